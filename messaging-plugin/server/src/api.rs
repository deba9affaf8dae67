//! The endpoints of the client-server API.

use std::sync::Arc;

use axum::Router;

use crate::{homeserver::Homeserver, matrix};

/// Every endpoint. Each area has its own list.
#[must_use]
pub fn routes() -> Vec<matrix::Route> {
    let areas: [Vec<matrix::Route>; 0] = [];
    areas.into_iter().flatten().collect()
}

/// The router of the homeserver.
pub fn router(homeserver: Arc<Homeserver>) -> Router {
    matrix::router(routes()).with_state(homeserver)
}
