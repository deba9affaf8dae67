//! What is served inside the Noise channel.

use axum::{Router, http::StatusCode};
use chassis::endpoint::{self, Endpoint, any, post};

use super::{map, register};
use crate::app::Peer;

/// The endpoints.
pub(crate) fn endpoints() -> [Endpoint<Peer>; 3] {
    [
        post(control_protocol::register::PATH, register::register),
        post(control_protocol::map::PATH, map::map),
        any("/machine/{*rest}", not_implemented),
    ]
}

/// Answers one machine.
pub(super) fn router(peer: Peer) -> Router {
    endpoint::router(endpoints()).with_state(peer)
}

async fn not_implemented() -> StatusCode {
    StatusCode::NOT_IMPLEMENTED
}
