//! Discards the unread part of a request's body.
//!
//! If a handler does not read the body, and the client still sends it, closing the connection may lose the response. So a
//! limited part is read and discarded first.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
};
use chassis::body;
use hyper::body::{Frame, SizeHint};

/// Most bytes to discard.
const UNREAD: usize = 64 << 10;

/// Keeps the body of a request that a handler borrows.
pub(crate) struct UnreadBody(Arc<Mutex<Body>>);

/// A body borrowed by a handler.
struct LentBody(Arc<Mutex<Body>>);

impl UnreadBody {
    /// Splits off the body.
    pub(crate) fn keep(request: Request) -> (Self, Request) {
        let (head, body) = request.into_parts();
        let body = Arc::new(Mutex::new(body));
        (Self(Arc::clone(&body)), Request::from_parts(head, Body::new(LentBody(body))))
    }

    /// Discards the rest, for at most `limit`; nothing if the handler still reads it.
    pub(crate) async fn drain(self, limit: Duration) {
        let body = Arc::into_inner(self.0).and_then(|body| body.into_inner().ok());
        if let Some(body) = body.filter(|body| !hyper::body::Body::is_end_stream(body)) {
            let _ = body::whole(body, UNREAD, limit).await;
        }
    }
}

impl LentBody {
    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl hyper::body::Body for LentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}
