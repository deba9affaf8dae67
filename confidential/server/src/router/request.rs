//! Checks of requests.

use axum::{body::Body, extract::Request, http::StatusCode};
use chassis::problem::ErrorResponse;
use confidential_api::{Malformed, names::media};

use crate::http::{self, kind, listen::Caller};

/// Checks that the caller's certificate is for this role.
pub(super) fn only(caller: &Caller, role: &str) -> Result<(), ErrorResponse> {
    if caller.is_for(role) { Ok(()) } else { Err(forbidden()) }
}

pub(super) fn forbidden() -> ErrorResponse {
    let reason = "the client's certificate is not for this role: see `deployment machine --role`";
    ErrorResponse::new(StatusCode::FORBIDDEN, kind::FORBIDDEN, reason)
}

/// The body of a request in protobuf.
pub(super) fn body_of(request: Request) -> Result<Body, ErrorResponse> {
    if http::is_of(request.headers(), media::BINARY) {
        return Ok(request.into_body());
    }
    Err(ErrorResponse::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        kind::MEDIA_TYPE,
        "the content type must be application/octet-stream",
    ))
}

pub(super) fn malformed(error: Malformed) -> ErrorResponse {
    ErrorResponse::of(StatusCode::BAD_REQUEST, kind::BAD_REQUEST, &error)
}
