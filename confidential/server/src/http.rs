//! HTTP on both sides of a role: TLS where it listens, TLS where it asks, and bodies that are bounded.

pub(crate) mod listen;
pub(crate) mod stream;
pub(crate) mod upstream;

use std::time::Duration;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::{body::BodyError, problem::ErrorResponse};
use confidential_api::names::media;

/// What the bodies of all callers together may take, in bytes.
pub(crate) const BODIES: usize = 64 << 20;
/// Longest time that a body may take to arrive.
pub(crate) const ARRIVES: Duration = Duration::from_secs(30);

/// The kinds of problems that these roles answer with, beside RFC 9458's.
pub(crate) mod kind {
    pub(crate) const BAD_REQUEST: &str = "bad-request";
    pub(crate) const BUSY: &str = "busy";
    pub(crate) const FORBIDDEN: &str = "forbidden";
    pub(crate) const MEDIA_TYPE: &str = "media-type";
    pub(crate) const MISDIRECTED: &str = "misdirected";
    pub(crate) const NOT_FOUND: &str = "not-found";
    pub(crate) const TOO_LARGE: &str = "too-large";
    pub(crate) const UNREACHABLE: &str = "unreachable";
}

/// The answer for a path that is not there.
pub(crate) async fn not_found() -> ErrorResponse {
    ErrorResponse::new(StatusCode::NOT_FOUND, kind::NOT_FOUND, "there is nothing here")
}

/// The answer if the next one in the chain cannot be asked. Which it was, and why, is for the log alone.
pub(crate) fn unreachable() -> ErrorResponse {
    ErrorResponse::new(
        StatusCode::BAD_GATEWAY,
        kind::UNREACHABLE,
        "the next part of the chain cannot be reached",
    )
    .retry_after(2)
}

/// The answer if no more can be taken in at the moment.
pub(crate) fn busy() -> ErrorResponse {
    ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, kind::BUSY, "too much is under way")
        .retry_after(1)
}

/// The answer if a body is not held.
pub(crate) fn unread(unread: BodyError) -> ErrorResponse {
    match unread {
        BodyError::TooLarge => too_large(),
        BodyError::NoMemory => busy(),
        BodyError::Incomplete => refused(StatusCode::BAD_REQUEST, "the request was cut"),
        BodyError::Timeout => {
            refused(StatusCode::REQUEST_TIMEOUT, "the request did not arrive in time")
        }
    }
}

fn too_large() -> ErrorResponse {
    ErrorResponse::new(StatusCode::PAYLOAD_TOO_LARGE, kind::TOO_LARGE, "the request is too large")
}

fn refused(status: StatusCode, title: &'static str) -> ErrorResponse {
    ErrorResponse::new(status, kind::BAD_REQUEST, title)
}

/// Whether the content type is this one; parameters are left aside.
pub(crate) fn is_of(headers: &axum::http::HeaderMap, wanted: &str) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(wanted)
}

/// An answer in protobuf.
pub(crate) fn binary(bytes: impl Into<axum::body::Body>) -> Response {
    ([(header::CONTENT_TYPE, media::BINARY)], bytes.into()).into_response()
}
