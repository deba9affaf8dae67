//! Tailscale's control protocol: `/key`, `/ts2021`, and inside its Noise channel `/machine/…`.

mod counted;
mod map;
mod register;
mod standing;
mod upgrade;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::endpoint::{self, Endpoint, any, get, post};
use control_protocol::{
    MIN_CAPABILITY_VERSION,
    key_response::{self, KeyResponse},
};

use crate::{
    app::{App, Peer},
    limits::HeldBody,
};

/// `Retry-After` of an answer that says "not now", in seconds.
const RETRY_AFTER_S: &str = "10";

/// What is served outside the Noise channel.
pub(crate) fn endpoints() -> [Endpoint<App>; 2] {
    [get(key_response::PATH, key), post(control_stream::PATH, upgrade::upgrade)]
}

/// What is served inside it.
pub(crate) fn machine_endpoints() -> [Endpoint<Peer>; 3] {
    [
        post(control_protocol::register::PATH, register::register),
        post(control_protocol::map::PATH, map::map),
        any("/machine/{*rest}", not_implemented),
    ]
}

fn machine_router(peer: Peer) -> Router {
    endpoint::router(machine_endpoints()).with_state(peer)
}

async fn key(State(app): State<App>) -> Json<KeyResponse> {
    Json(KeyResponse::new(app.noise.public()))
}

async fn not_implemented() -> StatusCode {
    StatusCode::NOT_IMPLEMENTED
}

/// Refuses clients that are too old to read our maps.
fn check_version(version: u32) -> Result<(), Refused> {
    if version >= MIN_CAPABILITY_VERSION {
        return Ok(());
    }
    let text = format!(
        "capability version {version} is too old: {MIN_CAPABILITY_VERSION} is needed; update the client"
    );
    Err(Refused(StatusCode::BAD_REQUEST, text))
}

/// An error answer inside the Noise channel: a status and a sentence, which stock clients log.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let later =
            [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&self.0);
        (self.0, later.then_some([(header::RETRY_AFTER, RETRY_AFTER_S)]), self.1).into_response()
    }
}

/// Reads a JSON body of at most `max` bytes; its memory is counted for as long as the request is.
async fn read<T: serde::de::DeserializeOwned>(
    peer: &Peer,
    body: axum::body::Body,
    max: usize,
) -> Result<(T, HeldBody), Refused> {
    let held = peer
        .app
        .bodies
        .read_machine(body, max, (peer.origin, peer.node()))
        .await
        .map_err(|error| Refused(error.status(), error.to_string()))?;
    let request = serde_json::from_slice(held.bytes())
        .map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("not a request: {error}")))?;
    Ok((request, held))
}

/// Logs the error, and answers 503 without it.
fn unavailable(error: &(dyn std::error::Error + 'static)) -> Refused {
    tracing::error!(error, "request failed");
    not_now()
}

fn not_now() -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, "the coordinator cannot answer now".to_owned())
}
