//! HTTP/1.1 on a connection that has no task of its own: its bytes move while somebody waits for them, and dropping it
//! closes it.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::{Frame, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;

use super::stream::Stream;

/// A connection to a backend.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes; none once the connection has ended.
    io: Option<http1::Connection<TokioIo<Stream>, Full<Bytes>>>,
}

impl Connection {
    pub(super) async fn new(stream: Stream) -> Result<Self, hyper::Error> {
        let (sender, io) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, io: Some(io) })
    }

    /// Whether it can carry another request.
    pub(super) fn is_ready(&mut self) -> bool {
        matches!(moved(&mut self.io, self.sender.ready()).now_or_never(), Some(Ok(())))
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let answer = self.sender.send_request(request);
        moved(&mut self.io, answer).await
    }

    /// Waits for more of an answer's body.
    pub(super) async fn frame(
        &mut self,
        body: &mut Incoming,
    ) -> Option<Result<Frame<Bytes>, hyper::Error>> {
        moved(&mut self.io, chassis::body::frame(body)).await
    }
}

/// Waits for what comes over a connection while moving its bytes.
async fn moved<T>(
    io: &mut Option<http1::Connection<TokioIo<Stream>, Full<Bytes>>>,
    awaited: impl Future<Output = T>,
) -> T {
    let mut awaited = pin!(awaited);
    let mut step = |context: &mut Context<'_>| {
        if let Poll::Ready(done) = awaited.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        let Some(connection) = io else { return Poll::Pending };
        if connection.poll_unpin(context).is_ready() {
            // Its errors are told to whoever awaits the answer.
            *io = None;
        }
        awaited.as_mut().poll(context)
    };
    poll_fn(|context| step(context)).await
}
