//! What the mesh decides, and no app: accounts, passwords, and who a person is elsewhere.

use axum::{Json, http::Method};
use serde_json::{Value, json};

use crate::{
    error::Error,
    matrix::{Route, raw},
    session::Session,
};

/// Endpoints that are refused whoever asks.
const REFUSED: [(Method, &str); 14] = [
    (Method::POST, "/_matrix/client/r0/register"),
    (Method::POST, "/_matrix/client/v3/register"),
    (Method::GET, "/_matrix/client/r0/register/available"),
    (Method::GET, "/_matrix/client/v3/register/available"),
    (Method::POST, "/_matrix/client/r0/account/password"),
    (Method::POST, "/_matrix/client/v3/account/password"),
    (Method::POST, "/_matrix/client/r0/account/3pid"),
    (Method::POST, "/_matrix/client/v3/account/3pid"),
    (Method::POST, "/_matrix/client/v3/account/3pid/add"),
    (Method::POST, "/_matrix/client/v3/account/3pid/bind"),
    (Method::POST, "/_matrix/client/v3/account/3pid/delete"),
    (Method::POST, "/_matrix/client/v3/account/3pid/unbind"),
    (Method::POST, "/_matrix/client/v3/account/3pid/email/requestToken"),
    (Method::POST, "/_matrix/client/v3/account/3pid/msisdn/requestToken"),
];

pub(super) fn routes() -> Vec<Route> {
    let refused = REFUSED.into_iter().flat_map(|(method, path)| raw(method, path, refuse));
    let none = ["/_matrix/client/r0/account/3pid", "/_matrix/client/v3/account/3pid"];
    refused
        .chain(none.into_iter().flat_map(|path| raw(Method::GET, path, third_party_ids)))
        .collect()
}

async fn refuse() -> Error {
    Error::forbidden("people and their devices are managed in the mesh, by the network's admin")
}

async fn third_party_ids(_: Session) -> Json<Value> {
    Json(json!({ "threepids": [] }))
}
