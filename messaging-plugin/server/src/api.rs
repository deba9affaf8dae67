//! The endpoints of the client-server API.

use std::sync::Arc;

use axum::{Router, middleware};

use crate::{homeserver::Homeserver, keys, matrix, media, personal, push, rooms, sign_in, sync};

/// Every endpoint. Each area has its own list.
#[must_use]
pub fn routes() -> Vec<matrix::Route> {
    let areas = [
        sign_in::routes(),
        rooms::routes(),
        personal::routes(),
        sync::routes(),
        keys::routes(),
        media::routes(),
        push::routes(),
    ];
    areas.into_iter().flatten().collect()
}

/// The router of the homeserver, which pushes from now on.
pub fn router(homeserver: Arc<Homeserver>) -> Router {
    push::start(&homeserver);
    let guard = middleware::from_fn_with_state(Arc::clone(&homeserver), sign_in::guard);
    matrix::router(routes()).layer(guard).with_state(homeserver)
}
