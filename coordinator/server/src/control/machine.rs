//! The endpoints inside the Noise channel. A request has its channel's [`Peer`](crate::app::Peer) as an extension.

use std::sync::LazyLock;

use axum::{Router, http::StatusCode};
use chassis::endpoint::{self, Served, serve};
use coordinator_api::public;

use super::{certificate, map, register};

/// The endpoints.
pub(crate) fn endpoints() -> [Served; 4] {
    [
        serve(&public::REGISTER, register::register),
        serve(&public::MAP, map::map),
        serve(&public::CERTIFICATE, certificate::certificate),
        serve(&public::MACHINE, not_implemented),
    ]
}

/// The router, which all channels share.
pub(super) fn router() -> Router {
    static ROUTER: LazyLock<Router> =
        LazyLock::new(|| endpoint::router(endpoints()).with_state(()));
    ROUTER.clone()
}

async fn not_implemented() -> StatusCode {
    StatusCode::NOT_IMPLEMENTED
}
