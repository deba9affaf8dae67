//! The HTTP server and client of a role.

pub(crate) mod listen;
pub(crate) mod stream;
pub(crate) mod upstream;

use std::time::Duration;

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::{body::BodyError, problem::ErrorResponse};
use confidential_api::names::media;

/// Memory for the bodies of all requests, in bytes.
pub(crate) const BODIES: usize = 64 << 20;
/// Longest time for receiving a body.
pub(crate) const ARRIVES: Duration = Duration::from_secs(30);

/// The kinds of problems beside RFC 9458's.
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

/// The response for an unknown path.
pub(crate) async fn not_found() -> ErrorResponse {
    ErrorResponse::new(StatusCode::NOT_FOUND, kind::NOT_FOUND, "this path does not exist")
}

/// The response if the next server of the chain does not respond; only the log has the cause.
pub(crate) fn unreachable() -> ErrorResponse {
    ErrorResponse::new(
        StatusCode::BAD_GATEWAY,
        kind::UNREACHABLE,
        "the next server of the chain cannot be reached",
    )
    .retry_after(2)
}

/// The response if there is no capacity.
pub(crate) fn busy() -> ErrorResponse {
    ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, kind::BUSY, "the server is busy")
        .retry_after(1)
}

/// The response if a body was not read.
pub(crate) fn unread(error: BodyError) -> ErrorResponse {
    let (status, kind, title) = match error {
        BodyError::NoMemory => return busy(),
        BodyError::TooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, kind::TOO_LARGE, "the request is too large")
        }
        BodyError::Incomplete => {
            (StatusCode::BAD_REQUEST, kind::BAD_REQUEST, "the request is incomplete")
        }
        BodyError::Timeout => {
            let title = "the request did not arrive in time";
            (StatusCode::REQUEST_TIMEOUT, kind::BAD_REQUEST, title)
        }
    };
    ErrorResponse::new(status, kind, title)
}

/// The content type, which must be one of these.
pub(crate) fn content_type(
    headers: &HeaderMap,
    allowed: &[&'static str],
    title: &'static str,
) -> Result<&'static str, ErrorResponse> {
    let media = allowed.iter().copied().find(|media| is_of(headers, media));
    let refused =
        || ErrorResponse::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, kind::MEDIA_TYPE, title);
    media.ok_or_else(refused)
}

/// Whether the content type is this one, without its parameters.
fn is_of(headers: &HeaderMap, wanted: &str) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(wanted)
}

/// A response in protobuf.
pub(crate) fn binary(bytes: impl Into<axum::body::Body>) -> Response {
    ([(header::CONTENT_TYPE, media::BINARY)], bytes.into()).into_response()
}
