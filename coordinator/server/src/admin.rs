//! The admin API, over a UNIX socket: see the crate `coordinator-api` for its paths.

mod api_keys;
mod devices;
mod error;
pub(crate) mod https;
mod invitations;
mod keys;
mod log;
mod network;
pub(crate) mod openapi;
mod policy;
mod records;
mod routes;
pub(crate) mod socket;
mod users;
mod waiting;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use chassis::{
    body::{self, Unread},
    endpoint::{self, Endpoint},
};
use coordinator_api::PREFIX;
use serde::de::DeserializeOwned;

use self::error::Error;
use crate::{
    app::App,
    limits::{AdminBodies, Caller},
};

/// The endpoints.
pub(crate) fn endpoints() -> Vec<Endpoint<App>> {
    let resources = users::endpoints()
        .into_iter()
        .chain(keys::endpoints())
        .chain(api_keys::endpoints())
        .chain(invitations::endpoints())
        .chain(devices::endpoints())
        .chain(records::endpoints())
        .chain(routes::endpoints())
        .chain(policy::endpoints())
        .chain(log::endpoints())
        .chain(network::endpoints())
        .chain(openapi::endpoints());
    resources.map(|endpoint| endpoint.below(PREFIX)).collect()
}

/// The router of all endpoints, with the state that they share.
pub(crate) fn router(app: App) -> Router {
    endpoint::router(endpoints())
        .fallback(|| async { Error::Path })
        .method_not_allowed_fallback(|| async { Error::Method })
        .layer(middleware::from_fn_with_state(app.clone(), carry_out))
        .with_state(app)
}

/// Answers a request on a task of its own, so that a change which began is made although its caller has hung up.
async fn carry_out(State(app): State<App>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(app.bodies.admins.clone());
    app.carry_out(next.run(request)).await
}

/// Reads a JSON body, under its content type only. An empty body stands for `{}`.
async fn read<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Error> {
    let (parts, body) = request.into_parts();
    let bodies = parts.extensions.get::<AdminBodies>().ok_or(Error::Unread(Unread::Busy))?;
    let origin = parts.extensions.get::<Caller>().map(|caller| caller.origin);
    let held = bodies.read(body, origin).await.map_err(Error::Unread)?;
    let bytes = held.bytes();
    if bytes.is_empty() {
        return serde_json::from_slice(b"{}").map_err(|error| Error::Body(error.to_string()));
    }
    if !body::is_json(&parts.headers) {
        return Err(Error::ContentType);
    }
    serde_json::from_slice(bytes).map_err(|error| Error::Body(error.to_string()))
}
