//! An HTTP/1.1 client over any stream: UNIX, TCP, TLS.

use std::{error::Error, fmt, future::poll_fn, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::{
    body::{Body, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use crate::PATIENCE;

/// A connection. It is closed when it and all its responses are dropped.
#[derive(Debug)]
pub struct Connection<B = Full<Bytes>> {
    sender: SendRequest<B>,
    driver: Arc<AbortOnDropHandle<()>>,
}

impl<B> Connection<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    /// A connection over an open stream.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driver = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
        Self { sender, driver: Arc::new(driver) }
    }

    /// Sends a request; `None` if the connection ends before the response begins.
    pub async fn send(&mut self, request: Request<B>) -> Option<Response> {
        let sent = timeout(PATIENCE, self.sender.send_request(request)).await;
        let (head, body) = sent.expect("a response in time").ok()?.into_parts();
        let driver = Arc::clone(&self.driver);
        Some(Response { status: head.status, headers: head.headers, body, _driver: driver })
    }
}

/// Sends a request over a stream of its own; `None` if the stream ends before the response begins.
pub async fn send<B>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<B>,
) -> Option<Response>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    Connection::over(stream).await.send(request).await
}

/// A request with a JSON body, or none.
pub fn request<B: From<String>>(
    method: Method,
    path: &str,
    host: &str,
    body: Option<&Value>,
) -> Request<B> {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(body.map(Value::to_string).unwrap_or_default().into()).unwrap()
}

/// A response whose body is still to be read. Dropping it closes its connection, unless [`Connection`] keeps that.
pub struct Response {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    _driver: Arc<AbortOnDropHandle<()>>,
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.status, self.headers)
    }
}

impl Response {
    /// A header's value; empty if there is none.
    pub fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The next piece of the body; `None` at its end, an error if the connection broke before that.
    pub async fn piece(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        let frame = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx));
        let frame = timeout(PATIENCE, frame).await.expect("a piece of the body in time")?;
        Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    /// The whole body.
    ///
    /// # Errors
    ///
    /// The connection broke before its end.
    pub async fn bytes(mut self) -> Result<Bytes, hyper::Error> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece().await {
            bytes.extend_from_slice(&piece?);
        }
        Ok(bytes.into())
    }

    /// The whole body as text.
    pub async fn text(self) -> String {
        String::from_utf8(self.bytes().await.unwrap().into()).unwrap()
    }

    /// The whole body as JSON.
    pub async fn json(self) -> Value {
        let text = self.text().await;
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"))
    }

    /// Checks that it is this problem (RFC 9457), and returns it.
    pub async fn problem(self, status: u16, kind: &str) -> Value {
        assert_eq!(self.status.as_u16(), status);
        let problem = self.json().await;
        assert_eq!(problem["type"], format!("urn:maru:problem:{kind}"), "{problem}");
        problem
    }

    /// Checks that it is this error of OpenAI's API.
    pub async fn openai_error(self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status);
        let error = self.json().await;
        assert_eq!(error["error"]["code"], code, "{error}");
    }
}

/// Writes bytes as they are and returns what comes back until the peer closes the connection, cleanly or not.
pub async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> String {
    // The peer may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    rest(&mut stream).await
}

/// What comes until the peer closes the connection, cleanly or not.
pub async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut received = Vec::new();
    // A connection that is closed with bytes unread ends with an error.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("the end in time");
    String::from_utf8(received).unwrap()
}
