//! Tailscale's control protocol: `/key`, `/ts2021`, and inside its Noise channel `/machine/…`.

mod certificate;
mod lifetime;
pub(crate) mod machine;
mod map;
mod quota_stream;
mod refused;
mod register;
mod upgrade;

use axum::{Json, extract::State};
use chassis::endpoint::{Served, serve};
use control_protocol::key_response::KeyResponse;
use coordinator_api::public;

use crate::app::App;

/// What is served outside the Noise channel.
pub(crate) fn endpoints() -> [Served<App>; 2] {
    [serve(&public::KEY, key), serve(&public::UPGRADE, upgrade::upgrade)]
}

async fn key(State(app): State<App>) -> Json<KeyResponse> {
    Json(KeyResponse::new(app.noise.public()))
}
