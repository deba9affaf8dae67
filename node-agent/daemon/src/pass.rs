//! Bytes of a connection, passed on and never looked at.

use std::{io, pin::pin, time::Duration};

use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy},
    net::TcpStream,
    time::timeout,
};

/// How long a caller may go on sending to a service that has closed its side.
pub(crate) const LINGER: Duration = Duration::from_secs(5);
/// Silence after which the kernel asks whether the other end of a connection is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Passes bytes on both ways until both ends have closed. Half a close of the caller's reaches the service, which may
/// still answer for as long as it likes; a caller whose service has closed does not hold its permit for long.
pub(crate) async fn pass_on(
    (mut from_caller, mut to_caller): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    (mut from_service, mut to_service): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut inwards = pin!(async {
        copy(&mut from_caller, &mut to_service).await?;
        to_service.shutdown().await
    });
    let mut outwards = pin!(async {
        copy(&mut from_service, &mut to_caller).await?;
        to_caller.shutdown().await
    });
    tokio::select! {
        done = &mut inwards => {
            done?;
            outwards.await
        }
        done = &mut outwards => {
            done?;
            timeout(LINGER, inwards).await.unwrap_or(Ok(()))
        }
    }
}

/// Sees to it that an end that vanished is noticed within minutes.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEP_ALIVE);
    let _ = sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE / 4);
}
