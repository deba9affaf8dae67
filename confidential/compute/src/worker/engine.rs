//! The engine: whatever answers `/v1/chat/completions` on this machine.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use confidential_envelope::bhttp::ResponseHead;
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use zeroize::Zeroizing;

use crate::{Error, Root};

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// A UNIX socket.
    Socket(PathBuf),
    /// A port of this machine's loopback.
    Loopback(SocketAddr),
}

impl Engine {
    /// Reads the settings: a socket's path below the root, or `http://` with a loopback address.
    pub(super) fn read(root: &Root, text: &str) -> Result<Self, Error> {
        let wrong = || Error::Url {
            what: "engine",
            url: text.to_owned(),
            reason: "write a socket's path, or http:// with a loopback address and its port",
        };
        if let Some(place) = text.strip_prefix("http://") {
            let place = place.trim_end_matches('/');
            let at = place.parse::<SocketAddr>().ok().filter(|at| at.ip().is_loopback());
            return at.map(Self::Loopback).ok_or_else(wrong);
        }
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.is_empty() || path.contains("://") {
            return Err(wrong());
        }
        Ok(Self::Socket(root.path(Path::new(path))))
    }

    /// Asks it for a chat completion; what it says comes as it says it.
    pub(super) async fn ask(
        &self,
        body: Zeroizing<Vec<u8>>,
    ) -> io::Result<(ResponseHead, Incoming)> {
        match self {
            Self::Socket(path) => ask(UnixStream::connect(path).await?, body).await,
            Self::Loopback(at) => {
                let stream = TcpStream::connect(at).await?;
                stream.set_nodelay(true)?;
                ask(stream, body).await
            }
        }
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    body: Zeroizing<Vec<u8>>,
) -> io::Result<(ResponseHead, Incoming)> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    // The copy ends with this process.
    let mut request = Request::new(Full::new(Bytes::copy_from_slice(&body)));
    drop(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/v1/chat/completions");
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let (head, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
    let mut headers = HeaderMap::new();
    if let Some(kind) = head.headers.get(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, kind.clone());
    }
    Ok((ResponseHead { status: head.status, headers }, body))
}

/// Does something with each piece of a body.
///
/// # Errors
///
/// The engine broke off, or what was done failed.
pub(super) async fn each(
    mut body: Incoming,
    mut take: impl AsyncFnMut(Bytes) -> io::Result<()>,
) -> io::Result<()> {
    while let Some(frame) = body.frame().await {
        // What is no data is a trailer, which nobody reads.
        if let Ok(bytes) = frame.map_err(io::Error::other)?.into_data() {
            take(bytes).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_on_this_machine() {
        let root = Root::new(Path::new("/srv"));
        let read = |text| Engine::read(&root, text).ok();
        assert_eq!(read("run/llm.sock"), Some(Engine::Socket("/srv/run/llm.sock".into())));
        assert_eq!(read("unix:///run/llm.sock"), Some(Engine::Socket("/srv/run/llm.sock".into())));
        let loopback = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(read("http://127.0.0.1:8080/"), Some(Engine::Loopback(loopback)));
        for other in
            ["", "http://10.0.0.1:80", "http://localhost", "https://127.0.0.1:1", "ftp://x"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
