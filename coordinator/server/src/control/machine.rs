//! The endpoints inside the Noise channel.

use axum::{Router, http::StatusCode};
use chassis::endpoint::{self, Served, serve};
use coordinator_api::public;

use super::{certificate, map, register};
use crate::app::Peer;

/// The endpoints.
pub(crate) fn endpoints() -> [Served<Peer>; 4] {
    [
        serve(&public::REGISTER, register::register),
        serve(&public::MAP, map::map),
        serve(&public::CERTIFICATE, certificate::certificate),
        serve(&public::MACHINE, not_implemented),
    ]
}

/// The router for one machine.
pub(super) fn router(peer: Peer) -> Router {
    endpoint::router(endpoints()).with_state(peer)
}

async fn not_implemented() -> StatusCode {
    StatusCode::NOT_IMPLEMENTED
}
