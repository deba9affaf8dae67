//! Copies bytes between a caller and a service; of a service without pages, response heads are checked.

use std::{io, pin::pin, sync::Arc, time::Duration};

use node_agent_core::{
    request_head::{self, RequestedName},
    response_head,
};
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy},
    net::TcpStream,
    time::timeout,
};

/// How long a caller may send after the service has closed its side.
pub(crate) const LINGER: Duration = Duration::from_secs(5);
/// Idle time before TCP keep-alive probes.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Pause between two of the nine questions that the kernel asks then (`tcp_keepalive_probes` in tcp(7)): who slept for five minutes
/// finds its connections as they were.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// Timeout of the first request's head, if it decides about pages.
const HEAD: Duration = Duration::from_secs(30);

/// Which responses of a service are forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ResponsePolicy {
    /// Any bytes.
    Any,
    /// HTTP responses that are not web pages.
    NoPages,
    /// Any bytes to who calls the service by a name with one of these first labels, else as for [`Self::NoPages`].
    PagesAt(Arc<[String]>),
}

/// Copies bytes both ways until both ends have closed. A half-close of the caller is passed on, and the service may answer
/// without a limit; after the service has closed, the caller has [`LINGER`].
pub(crate) async fn forward(
    (mut from_caller, mut to_caller): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    (mut from_service, mut to_service): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    answers: ResponsePolicy,
) -> io::Result<()> {
    let may_have_pages = match answers {
        ResponsePolicy::Any => true,
        ResponsePolicy::NoPages => false,
        ResponsePolicy::PagesAt(names) => {
            let mut received = Vec::new();
            let may = timeout(HEAD, is_called(&names, &mut from_caller, &mut received)).await;
            to_service.write_all(&received).await?;
            may.unwrap_or(Ok(false))?
        }
    };
    let mut inwards = pin!(async {
        copy(&mut from_caller, &mut to_service).await?;
        to_service.shutdown().await
    });
    let mut outwards = pin!(async {
        if !may_have_pages {
            pass_head(&mut from_service, &mut to_caller).await?;
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

/// Reads the head of the first request; whether it calls the service by one of these labels.
async fn is_called(
    names: &[String],
    from_caller: &mut (impl AsyncRead + Unpin),
    received: &mut Vec<u8>,
) -> io::Result<bool> {
    loop {
        match request_head::called(received) {
            RequestedName::Label(label) => {
                return Ok(names.iter().any(|name| name.eq_ignore_ascii_case(label)));
            }
            RequestedName::Unknown => return Ok(false),
            RequestedName::Incomplete => {}
        }
        if from_caller.read_buf(received).await? == 0 {
            return Ok(false);
        }
    }
}

/// Forwards the head of a service's only response on a connection, and the part of the body that came with it. Fails without
/// sending anything if it could be a web page.
async fn pass_head(
    from_service: &mut (impl AsyncRead + Unpin),
    to_caller: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut received = Vec::with_capacity(response_head::HEAD_MAX);
    loop {
        let judged = response_head::judge(&received).inspect_err(
            |refusal| tracing::warn!(%refusal, "a response of a service without pages is refused"),
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

/// Enables TCP keep-alive, so that a vanished end is noticed within minutes.
pub(crate) fn keep_alive(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEP_ALIVE);
    let _ = sockopt::set_tcp_keepintvl(stream, ASK_AGAIN);
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_end_may_be_silent_for_five_minutes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        keep_alive(&stream);
        assert!(sockopt::socket_keepalive(&stream).unwrap());
        let (idle, pause) =
            (sockopt::tcp_keepidle(&stream).unwrap(), sockopt::tcp_keepintvl(&stream).unwrap());
        let limit = idle + pause * sockopt::tcp_keepcnt(&stream).unwrap();
        assert!(limit >= Duration::from_secs(300), "{limit:?}");
    }
}
