//! The admin API ([`coordinator_api::endpoints`]).

mod api_keys;
mod devices;
mod error;
pub(crate) mod https;
mod invitations;
mod keys;
mod log;
mod lookup;
mod network;
pub(crate) mod openapi;
mod policy;
mod read;
mod records;
mod routes;
pub(crate) mod socket;
mod users;
mod wireguard;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use chassis::endpoint::{self, Served};

use self::error::Error;
use crate::app::App;

/// The endpoints.
pub(crate) fn endpoints() -> Vec<Served<App>> {
    users::endpoints()
        .into_iter()
        .chain(keys::endpoints())
        .chain(api_keys::endpoints())
        .chain(invitations::endpoints())
        .chain(devices::endpoints())
        .chain(wireguard::endpoints())
        .chain(records::endpoints())
        .chain(routes::endpoints())
        .chain(policy::endpoints())
        .chain(log::endpoints())
        .chain(network::endpoints())
        .chain(openapi::endpoints())
        .collect()
}

/// Routes requests to the endpoints.
pub(crate) fn router(app: App) -> Router {
    endpoint::router(endpoints())
        .fallback(|| async { Error::Path })
        .method_not_allowed_fallback(|| async { Error::Method })
        .layer(middleware::from_fn_with_state(app.clone(), carry_out))
        .with_state(app)
}

/// Handles a request on a task of its own, so that a change that has begun completes even if the caller disconnects.
async fn carry_out(State(app): State<App>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(app.bodies.admins.clone());
    app.carry_out(next.run(request)).await
}
