//! Tailscale's control protocol: `/key`, `/ts2021`, and inside its Noise channel `/machine/…`.

mod counted;
mod map;
mod register;
mod upgrade;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use control_protocol::{
    MIN_CAPABILITY_VERSION,
    key::MachinePublic,
    key_response::{self, KeyResponse},
};

use crate::{limits::Origin, serve::App};

/// When to ask again what cannot be answered now, in seconds.
const RETRY_AFTER_S: &str = "10";

/// Who is at the other end of a Noise channel.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) app: App,
    /// Proved by the handshake.
    pub(crate) machine: MachinePublic,
    /// Where it is, as the coordinator sees it.
    pub(crate) origin: Origin,
}

/// What is served outside the Noise channel.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route(key_response::PATH, get(key))
        .route(control_stream::PATH, post(upgrade::upgrade))
}

/// What is served inside it.
fn machine_router(peer: Peer) -> Router {
    Router::new()
        .route(control_protocol::register::PATH, post(register::register))
        .route(control_protocol::map::PATH, post(map::map))
        .route("/machine/{*rest}", axum::routing::any(not_implemented))
        .with_state(peer)
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
        let later = self.0 == StatusCode::SERVICE_UNAVAILABLE;
        (self.0, later.then_some([(header::RETRY_AFTER, RETRY_AFTER_S)]), self.1).into_response()
    }
}

/// Reads a JSON body of at most `max` bytes.
async fn read<T: serde::de::DeserializeOwned>(
    body: axum::body::Body,
    max: usize,
) -> Result<T, Refused> {
    let bytes = crate::limits::read_body(body, max)
        .await
        .map_err(|error| Refused(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("not a request: {error}")))
}

/// Hides what failed here from whoever asked.
fn unavailable(error: &(dyn std::error::Error + 'static)) -> Refused {
    tracing::error!(error, "request failed");
    not_now()
}

fn not_now() -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, "the coordinator cannot answer now".to_owned())
}
