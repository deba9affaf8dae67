//! `POST /verify`: whether a key is a node's, for other relays (`derper -verify-client-url`).
//!
//! The caller must know the key, which cannot be guessed, and learns one bit about it. The answer comes from memory, and the
//! rate limit of the public port applies.

use axum::{
    Json,
    body::Body,
    extract::{Extension, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use chassis::endpoint::{Served, serve};
use control_protocol::admit::{AdmitRequest, AdmitResponse, BODY_MAX};
use coordinator_api::public;

use crate::{app::App, clock, limits::Caller};

/// Endpoints of this resource.
pub(crate) fn endpoints() -> [Served<App>; 1] {
    [serve(&public::VERIFY, verify)]
}

/// Answers whether a node has this key and the key has not expired.
async fn verify(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Response {
    let held = match app.bodies.read(body, BODY_MAX, caller.origin).await {
        Ok(held) => held,
        Err(error) => return (error.status(), format!("{error}\n")).into_response(),
    };
    // Not serde's error, which would repeat the input.
    let Ok(request) = serde_json::from_slice::<AdmitRequest>(held.bytes()) else {
        let text = "send JSON with NodePublic, a key such as \"nodekey:…\", and Source\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let (snapshot, now) = (app.hub.snapshot(), clock::now());
    let allow = snapshot.has_node_key(&request.node_public, now);
    Json(AdmitResponse { allow }).into_response()
}
