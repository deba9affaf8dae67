//! Bytes of a connection, passed on and never looked at, but for the head of an answer of a service without pages.

use std::{io, pin::pin, time::Duration};

use node_agent_core::answer;
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy},
    net::TcpStream,
    time::timeout,
};

/// How long a caller may go on sending to a service that has closed its side.
pub(crate) const LINGER: Duration = Duration::from_secs(5);
/// Silence after which the kernel asks whether the other end of a connection is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// What a service may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Whatever it likes.
    Any,
    /// HTTP without pages.
    NoPages,
}

/// Passes bytes on both ways until both ends have closed. Half a close of the caller's reaches the service, which may
/// still answer for as long as it likes; a caller whose service has closed does not hold its permit for long.
pub(crate) async fn pass_on(
    (mut from_caller, mut to_caller): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    (mut from_service, mut to_service): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    answers: Answers,
) -> io::Result<()> {
    let mut inwards = pin!(async {
        copy(&mut from_caller, &mut to_service).await?;
        to_service.shutdown().await
    });
    let mut outwards = pin!(async {
        match answers {
            Answers::Any => {}
            Answers::NoPages => pass_head(&mut from_service, &mut to_caller).await?,
        }
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

/// Passes on the head of the one answer that a service without pages gives on a connection, and what came with it of the
/// body. Fails if that could be a page; nothing of it was passed on then.
async fn pass_head(
    from_service: &mut (impl AsyncRead + Unpin),
    to_caller: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut received = Vec::with_capacity(answer::HEAD_MAX);
    loop {
        let judged = answer::judge(&received).inspect_err(
            |refusal| tracing::warn!(%refusal, "an answer of a service without pages is cut"),
        );
        match judged.map_err(io::Error::other)? {
            None if from_service.read_buf(&mut received).await? == 0 => return Ok(()),
            None => {}
            Some(head) => {
                to_caller.write_all(&head.bytes).await?;
                received.drain(..head.len);
                if head.last {
                    return to_caller.write_all(&received).await;
                }
            }
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
