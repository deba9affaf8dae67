//! Bodies of requests: read whole into one buffer, within the room that was taken for them.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::header,
};
use chassis::body::{self, BodyError};

use crate::bodies::SMALL;

/// How long a body may take; the listener's own time began earlier, with its head.
const TIME: Duration = Duration::from_secs(30);

/// How many bytes the body of a request may have; [`SMALL`] if nothing says so, as on the superuser's socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxBody(pub(super) usize);

/// A body that was read whole, or why it was not.
#[derive(Debug)]
pub(super) struct Body(pub(super) Result<Bytes, BodyError>);

impl<S: Sync> FromRequest<S> for Body {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        let most = request.extensions().get::<MaxBody>().map_or(SMALL, |most| most.0);
        Ok(Self(body::whole(request.into_body(), most, TIME).await))
    }
}

/// How long a body is, if its head says so.
pub(super) fn announced(request: &Request) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
