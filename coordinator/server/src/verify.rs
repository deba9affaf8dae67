//! `POST /verify`: whether a key is a node's, for relays that are not ours (`derper -verify-client-url`).
//!
//! Whoever asks must know the key, which is 32 bytes that nobody guesses, and learns one bit about it. The answer comes
//! from memory, and each address may ask as often as it may ask anything (`listener::caller`).

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

/// What is served.
pub(crate) fn endpoints() -> [Served<App>; 1] {
    [serve(&public::VERIFY, verify)]
}

/// Answers whether the key is that of a node whose key has not expired.
async fn verify(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Response {
    let held = match app.bodies.read(body, BODY_MAX, caller.origin).await {
        Ok(held) => held,
        Err(error) => return (error.status(), format!("{error}\n")).into_response(),
    };
    // Not what is wrong with it: an error of serde repeats what it was given.
    let Ok(request) = serde_json::from_slice::<AdmitRequest>(held.bytes()) else {
        let text = "send JSON with NodePublic, a key such as \"nodekey:…\", and Source\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    let (snapshot, now) = (app.hub.snapshot(), clock::now());
    let allow = snapshot.has_node_key(&request.node_public, now);
    Json(AdmitResponse { allow }).into_response()
}
