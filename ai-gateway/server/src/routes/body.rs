//! Bodies of requests: read into one buffer, within the memory that was reserved for them.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::header,
};
use chassis::body::{self, BodyError};

use crate::bodies::SMALL;

/// Timeout for reading a body. The listener's own timeout started earlier, with the request's head.
const TIME: Duration = Duration::from_secs(30);

/// Longest body of a request, in bytes; [`SMALL`] without this extension, as on the superuser's socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxBody(pub(super) usize);

/// A complete body, or why it could not be read.
#[derive(Debug)]
pub(super) struct Body(pub(super) Result<Bytes, BodyError>);

impl<S: Sync> FromRequest<S> for Body {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        let most = request.extensions().get::<MaxBody>().map_or(SMALL, |most| most.0);
        Ok(Self(body::whole(request.into_body(), most, TIME).await))
    }
}

/// The body's length according to its head, if given.
pub(super) fn announced(request: &Request) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
