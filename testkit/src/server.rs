//! Servers that follow a script: the test writes the bytes of each answer, so it can break them.

use std::{io, net::SocketAddr, path::Path};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};
use tokio_util::task::AbortOnDropHandle;

/// A request as it came over the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The request line and the headers, up to the empty line and with it.
    pub head: String,
    /// As many bytes as `Content-Length` says.
    pub body: Vec<u8>,
}

impl Request {
    /// The request line without its end.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The path with the query.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// A header's value, without regard to the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim())
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The length of the body that the head announces.
    pub(crate) fn length(&self) -> usize {
        self.header("content-length").map_or(0, |length| length.parse().unwrap())
    }
}

/// Reads one request.
///
/// # Errors
///
/// The connection ends before the request does.
pub async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let mut request = Request { head: String::from_utf8(head).unwrap(), body: Vec::new() };
    request.body = vec![0; request.length()];
    stream.read_exact(&mut request.body).await?;
    Ok(request)
}

/// A response with a body of a known length. `status` has the reason as well: `200 OK`.
pub fn response(status: &str, media: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// The head of a response whose body comes in chunks.
pub fn chunked(status: &str, media: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {media}\r\ntransfer-encoding: chunked\r\n\r\n")
}

/// One chunk of such a body; an empty one ends it.
pub fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    _task: AbortOnDropHandle<()>,
}

impl Server {
    /// Serves each connection to a new UNIX socket in a task of its own.
    pub fn unix<F: Future<Output = ()> + Send + 'static>(
        socket: &Path,
        mut serve: impl FnMut(UnixStream) -> F + Send + 'static,
    ) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        Self::run(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream));
            }
        })
    }

    /// Serves each connection to a free port of this machine in a task of its own.
    pub async fn tcp<F: Future<Output = ()> + Send + 'static>(
        mut serve: impl FnMut(TcpStream) -> F + Send + 'static,
    ) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self::run(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream));
            }
        });
        (server, address)
    }

    fn run(serve: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { _task: AbortOnDropHandle::new(tokio::spawn(serve)) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Method, StatusCode};
    use tokio::{io::AsyncWriteExt as _, sync::Mutex};

    use super::*;
    use crate::{blocking, http as client};

    #[tokio::test]
    async fn both_clients_read_what_a_script_writes() {
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let seen = Arc::clone(&requests);
        let (_server, address) = Server::tcp(move |mut stream| {
            let seen = Arc::clone(&seen);
            async move {
                seen.lock().await.push(read_request(&mut stream).await.unwrap());
                let pieces =
                    [chunked("200 OK", "text/plain").into_bytes(), chunk("whole"), chunk("")];
                stream.write_all(&pieces.concat()).await.unwrap();
            }
        })
        .await;

        let body = serde_json::json!({"a": 1});
        let request = client::request::<http_body_util::Full<bytes::Bytes>>(
            Method::POST,
            "/a",
            "b",
            Some(&body),
        );
        let stream = TcpStream::connect(address).await.unwrap();
        let response = client::send(stream, request).await.unwrap();
        assert_eq!(
            (response.status, response.header("content-type")),
            (StatusCode::OK, "text/plain")
        );
        assert_eq!(response.text().await, "whole");
        let text = tokio::task::spawn_blocking(move || {
            let stream = std::net::TcpStream::connect(address).unwrap();
            blocking::http::request(stream, "POST", "/a", "b", &[], Some("{\"a\":1}"))
                .unwrap()
                .body()
        });
        assert_eq!(text.await.unwrap().unwrap(), "whole");

        for request in &*requests.lock().await {
            assert_eq!((request.line(), request.path()), ("POST /a HTTP/1.1", "/a"));
            assert_eq!((request.header("HOST"), request.json()), (Some("b"), body.clone()));
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error_and_what_came_before_it_is_kept() {
        let (_server, address) = Server::tcp(async |mut stream: TcpStream| {
            read_request(&mut stream).await.unwrap();
            let whole = response("200 OK", "text/plain", "whole");
            stream.write_all(whole.strip_suffix("le").unwrap().as_bytes()).await.unwrap();
        })
        .await;
        let request =
            || client::request::<http_body_util::Full<bytes::Bytes>>(Method::GET, "/", "b", None);
        let mut broken =
            client::send(TcpStream::connect(address).await.unwrap(), request()).await.unwrap();
        assert_eq!(broken.piece().await.unwrap().unwrap(), "who");
        assert!(broken.piece().await.unwrap().is_err());
        let broken =
            client::send(TcpStream::connect(address).await.unwrap(), request()).await.unwrap();
        assert!(broken.bytes().await.is_err());
    }
}
