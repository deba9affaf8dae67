//! HTTP/1.1 as a client, on one connection.
//!
//! A connection has no task of its own: its bytes move while its caller awaits a response or its body. Dropping the
//! connection, or the body of its response, closes it, so closing is cancelling.

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use hyper::{
    Request, Response,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;

use crate::{body, dial::Io, http::BUFFER};

/// Moves a connection's bytes; empty once the connection has ended.
struct Driver(Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>);

/// A connection to an HTTP server, for one request at a time.
#[derive(Debug)]
pub struct Connection<B> {
    sender: SendRequest<B>,
    driver: Driver,
}

impl<B> Connection<B>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    /// Prepares a stream for requests; nothing is sent yet. The head of a response has at most 64 KiB.
    ///
    /// # Errors
    ///
    /// hyper's, which has none for HTTP/1.1.
    pub async fn new(stream: impl Io + 'static) -> hyper::Result<Self> {
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER);
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Driver(Some(Box::pin(driver))) })
    }

    /// Whether the connection is free for another request, as far as is known: the server may close it at any time.
    pub fn is_ready(&mut self) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let ready = pin!(self.sender.ready());
        matches!(self.driver.poll_with(ready, &mut context), Poll::Ready(Ok(())))
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    ///
    /// The connection failed, or the request's body did.
    pub async fn send(&mut self, request: Request<B>) -> hyper::Result<Response<Incoming>> {
        let mut response = pin!(self.sender.send_request(request));
        poll_fn(|context| self.driver.poll_with(response.as_mut(), context)).await
    }

    /// Waits for more of a response's body; `None` at its end.
    pub async fn frame(&mut self, body: &mut Incoming) -> Option<hyper::Result<Frame<Bytes>>> {
        let mut frame = pin!(body::frame(body));
        poll_fn(|context| self.driver.poll_with(frame.as_mut(), context)).await
    }
}

/// Sends one request on a connection of its own. The response's body owns the connection.
///
/// # Errors
///
/// The connection failed, or the request's body did.
pub async fn send<B>(
    stream: impl Io + 'static,
    request: Request<B>,
) -> hyper::Result<Response<ResponseBody>>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut connection = Connection::new(stream).await?;
    let response = connection.send(request).await?;
    let driver = connection.driver;
    Ok(response.map(|body| ResponseBody { body, driver }))
}

/// The body of a response, and the connection it arrives on.
#[derive(Debug)]
pub struct ResponseBody {
    body: Incoming,
    driver: Driver,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Self { body, driver } = self.get_mut();
        driver.poll_with(pin!(body::frame(body)), context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Driver {
    /// Polls a future, and moves the connection's bytes while the future is not ready.
    fn poll_with<T>(
        &mut self,
        mut awaited: Pin<&mut impl Future<Output = T>>,
        context: &mut Context<'_>,
    ) -> Poll<T> {
        if let Poll::Ready(done) = awaited.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        // If the connection fails, the awaited future returns the error.
        if self.0.as_mut().is_some_and(|driver| driver.as_mut().poll(context).is_ready()) {
            self.0 = None;
        }
        awaited.poll(context)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "open" } else { "closed" })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// A response's start, and the server's end of the connection once the request's head was read.
    async fn ask(response: &str) -> (hyper::Result<Response<ResponseBody>>, DuplexStream) {
        let (near, mut far) = duplex(256 << 10);
        let request = Request::new(Empty::<Bytes>::new());
        let (response, ()) = tokio::join!(send(near, request), async {
            let mut head = [0; 16];
            assert!(far.read_exact(&mut head).await.is_ok() && head.starts_with(b"GET / HTTP/1.1"));
            far.write_all(response.as_bytes()).await.unwrap();
        });
        (response, far)
    }

    #[tokio::test]
    async fn a_body_moves_its_own_connection_and_dropping_it_closes_that() {
        let (response, mut far) =
            ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        let mut body = response.unwrap().into_body();
        assert_eq!(body::frame(&mut body).await.unwrap().unwrap().into_data().unwrap(), "hello");

        far.write_all(b"5\r\nagain\r\n").await.unwrap();
        assert_eq!(body::frame(&mut body).await.unwrap().unwrap().into_data().unwrap(), "again");
        drop(body);

        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
    }

    #[tokio::test]
    async fn a_body_that_is_cut_off_fails() {
        let (response, far) = ask("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        drop(far);
        let whole = body::whole(response.unwrap().into_body(), 100, Duration::from_secs(60)).await;
        assert_eq!(whole, Err(body::BodyError::Incomplete));
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_is_refused() {
        let filler = "a".repeat(2 * BUFFER);
        let (response, _far) = ask(&format!("HTTP/1.1 200 OK\r\nX: {filler}\r\n\r\n")).await;
        assert!(response.err().is_some_and(|error| error.is_parse_too_large()));
    }

    #[tokio::test]
    async fn a_connection_carries_one_request_after_another() {
        let (near, mut far) = duplex(1024);
        let mut connection = Connection::<Empty<Bytes>>::new(near).await.unwrap();
        for _ in 0..2 {
            assert!(connection.is_ready());
            let (response, ()) = tokio::join!(connection.send(Request::new(Empty::new())), async {
                assert!(far.read(&mut [0; 1024]).await.unwrap() > 0);
                far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            });
            let mut body = response.unwrap().into_body();
            let frame = connection.frame(&mut body).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "ok");
            assert!(connection.frame(&mut body).await.is_none());
        }
    }
}
