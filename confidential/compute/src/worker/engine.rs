//! The engine, which serves `/v1/chat/completions` on this machine.

use std::{io, net::SocketAddr, path::Path};

use bytes::Bytes;
use chassis::{body::frame, client::ResponseBody, dial::Io, unix::Connector};
use confidential_envelope::bhttp::ResponseHead;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::{Error, Root, http::post};

/// The address of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// A UNIX socket.
    Socket(Connector),
    /// A port of this machine's loopback.
    Loopback(SocketAddr),
}

impl Engine {
    /// Reads the settings: a socket's path below the root, or `http://` with a loopback address.
    /// `uid` listens on a socket.
    pub(super) fn read(root: &Root, text: &str, uid: Option<u32>) -> Result<Self, Error> {
        let reason = "write a socket's path, or http:// with a loopback address and its port";
        let wrong = || Error::Url("engine", text.to_owned(), reason);
        if let Some(place) = text.strip_prefix("http://") {
            let place = place.trim_end_matches('/');
            let at = place.parse::<SocketAddr>().ok().filter(|at| at.ip().is_loopback());
            return at.map(Self::Loopback).ok_or_else(wrong);
        }
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.is_empty() || path.contains("://") {
            return Err(wrong());
        }
        Ok(Self::Socket(root.connector(Path::new(path)).listener(uid)))
    }

    /// Requests a chat completion; the response is streamed.
    pub(super) async fn ask(
        &self,
        body: Zeroizing<Vec<u8>>,
    ) -> io::Result<(ResponseHead, ResponseBody)> {
        match self {
            Self::Socket(connector) => ask(connector.connect().await?, body).await,
            Self::Loopback(at) => {
                let stream = TcpStream::connect(at).await?;
                stream.set_nodelay(true)?;
                ask(stream, body).await
            }
        }
    }
}

async fn ask(
    stream: impl Io + 'static,
    body: Zeroizing<Vec<u8>>,
) -> io::Result<(ResponseHead, ResponseBody)> {
    // The copy is freed with this process.
    let copy = Bytes::copy_from_slice(&body);
    drop(body);
    let (host, path) = (HeaderValue::from_static("localhost"), "/v1/chat/completions");
    let response = post(stream, host, path, "application/json", copy).await?;
    let (head, body) = response.into_parts();
    let mut headers = HeaderMap::new();
    if let Some(kind) = head.headers.get(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, kind.clone());
    }
    Ok((ResponseHead { status: head.status, headers }, body))
}

/// Calls a function with each part of a body.
pub(super) async fn each(
    mut body: ResponseBody,
    mut take: impl AsyncFnMut(Bytes) -> io::Result<()>,
) -> io::Result<()> {
    while let Some(frame) = frame(&mut body).await {
        // Trailers are ignored.
        if let Ok(bytes) = frame.map_err(io::Error::other)?.into_data() {
            take(bytes).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// It would receive requests in plain text.
    #[tokio::test]
    async fn a_link_in_the_place_of_the_engines_socket_and_another_users_socket_are_not_asked() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let own = root.path().metadata().unwrap().uid();
        let other = tokio::net::UnixListener::bind(at("other.sock")).unwrap();
        std::os::unix::fs::symlink("other.sock", at("own.sock")).unwrap();
        let told = tokio::spawn(async move {
            let (mut looked, _) = other.accept().await.unwrap();
            looked.read(&mut [0; 1]).await.unwrap()
        });
        for (path, uid, says) in [
            ("own.sock", None, "is a link or no socket"),
            ("other.sock", Some(own + 1), "should: stop what listens"),
        ] {
            let engine = Engine::read(&Root::new(root.path()), path, uid).unwrap();
            let error = engine.ask(Zeroizing::new(b"{}".to_vec())).await.unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
        assert_eq!(told.await.unwrap(), 0, "who was connected to was told nothing");
    }

    #[test]
    fn an_engine_is_on_this_machine() {
        let root = Root::new(Path::new("/srv"));
        let read = |text| Engine::read(&root, text, Some(7)).ok();
        let socket = Connector::new(Path::new("/srv"), Path::new("run/llm.sock")).listener(7);
        assert_eq!(read("run/llm.sock"), Some(Engine::Socket(socket.clone())));
        assert_eq!(read("unix:///run/llm.sock"), Some(Engine::Socket(socket)));
        let loopback = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(read("http://127.0.0.1:8080/"), Some(Engine::Loopback(loopback)));
        for other in
            ["", "http://10.0.0.1:80", "http://localhost", "https://127.0.0.1:1", "ftp://x"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
