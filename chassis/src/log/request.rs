//! The span of a request: what is logged while it is served has its id, in the journal as `REQUEST`.
//!
//! An id is 64 random bits that are made here. One of the client's would let it give its events the id of another request,
//! and a number that counts would tell how much others ask.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderName, HeaderValue},
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tracing::{Instrument as _, Metadata, Span};

/// Name of the span.
const NAME: &str = "request";
/// Header of a response to a request that failed here (5xx): the id, which leads to its cause in the log.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Serves a request in a span of its own, its response's body included. A task that serving spawns is outside of it, unless
/// it takes the span along ([`tracing::Instrument::in_current_span`]).
///
/// # Errors
///
/// Never.
pub async fn in_span(
    served: impl Future<Output = Result<Response, Infallible>>,
) -> Result<Response, Infallible> {
    let id = format!("{:016x}", getrandom::u64().unwrap_or_default());
    // Of the highest level: whatever is logged has it.
    let span = tracing::error_span!("request", %id);
    let mut response = served.instrument(span.clone()).await?;
    if response.status().is_server_error()
        && let Ok(id) = HeaderValue::from_str(&id)
    {
        response.headers_mut().insert(HEADER, id);
    }
    Ok(response.map(|body| {
        // A body that is whole logs nothing.
        let is_whole = body.size_hint().exact().is_some();
        if is_whole { body } else { Body::new(Traced { body, span }) }
    }))
}

/// Whether a span is that of a request.
pub(super) fn is_request(span: &Metadata<'_>) -> bool {
    span.name() == NAME && span.target() == module_path!()
}

/// A body that is read in a span.
struct Traced {
    body: Body,
    span: Span,
}

impl HttpBody for Traced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let _entered = this.span.enter();
        Pin::new(&mut this.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
