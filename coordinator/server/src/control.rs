//! Tailscale's control protocol: `/key`, `/ts2021`, and inside its Noise channel `/machine/…`.

mod counted;
pub(crate) mod machine;
mod map;
mod refused;
mod register;
mod standing;
mod upgrade;

use axum::{Json, extract::State};
use chassis::endpoint::{Endpoint, get, post};
use control_protocol::key_response::{self, KeyResponse};

use crate::app::App;

/// What is served outside the Noise channel.
pub(crate) fn endpoints() -> [Endpoint<App>; 2] {
    [get(key_response::PATH, key), post(control_stream::PATH, upgrade::upgrade)]
}

async fn key(State(app): State<App>) -> Json<KeyResponse> {
    Json(KeyResponse::new(app.noise.public()))
}
