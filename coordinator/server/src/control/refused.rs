//! Reads requests inside the Noise channel, and refuses them.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use control_protocol::MIN_CAPABILITY_VERSION;

use crate::{app::Peer, limits::RequestBody};

/// `Retry-After` of temporary errors, in seconds.
pub(super) const RETRY_AFTER_S: &str = "10";

/// Refuses clients that are too old for our maps.
pub(super) fn check_version(version: u32) -> Result<(), Refused> {
    if version >= MIN_CAPABILITY_VERSION {
        return Ok(());
    }
    let text = format!(
        "capability version {version} is too old: {MIN_CAPABILITY_VERSION} is needed; update the client"
    );
    Err(Refused(StatusCode::BAD_REQUEST, text))
}

/// An error response: a status and a sentence that stock clients log.
pub(super) struct Refused(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let later =
            [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&self.0);
        (self.0, later.then_some([(header::RETRY_AFTER, RETRY_AFTER_S)]), self.1).into_response()
    }
}

/// Reads a JSON body of at most `max` bytes. Its memory is reserved while the returned body lives.
pub(super) async fn read<T: serde::de::DeserializeOwned>(
    peer: &Peer,
    body: axum::body::Body,
    max: usize,
) -> Result<(T, RequestBody), Refused> {
    let held = peer
        .app
        .bodies
        .read_machine(body, max, (peer.origin, peer.node()))
        .await
        .map_err(|error| Refused(error.status(), error.to_string()))?;
    let request = serde_json::from_slice(held.bytes())
        .map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("invalid request: {error}")))?;
    Ok((request, held))
}

/// Logs the error, and answers 503 without details.
pub(super) fn unavailable(error: &(dyn std::error::Error + 'static)) -> Refused {
    tracing::error!(error, "request failed");
    not_now()
}

/// Answers 503.
pub(super) fn not_now() -> Refused {
    Refused(
        StatusCode::SERVICE_UNAVAILABLE,
        "the coordinator is temporarily unavailable".to_owned(),
    )
}
