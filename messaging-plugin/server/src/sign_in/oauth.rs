//! OAuth 2.0 as Matrix has it (MSC3861): an app introduces itself, exchanges a code, and signs out.
//!
//! Its pages are in `page`. Errors have OAuth's form (RFC 6749, section 5.2; RFC 7591, section 3.2.2).

use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use mesh_identity::Header;
use serde_json::{Value, json};
use telmeet_core::sign_in::{
    code::{Grant, Proof},
    form::Form,
    metadata,
    registration::App,
};

use super::{
    devices::{self, NewDevice},
    people,
};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Bytes, Route, raw},
    session::{Visitor, token_hash},
};

pub(super) fn routes() -> Vec<Route> {
    [
        raw(Method::POST, metadata::REGISTER_PATH, register),
        raw(Method::POST, metadata::TOKEN_PATH, exchange),
        raw(Method::POST, metadata::REVOKE_PATH, revoke),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn register(
    State(homeserver): State<Arc<Homeserver>>,
    Visitor(header): Visitor,
    Bytes(body): Bytes,
) -> Result<Response, Error> {
    let sign_in = &homeserver.sign_in;
    sign_in.check_oauth(&header)?;
    let caller = people::caller(&homeserver, &header).await?;
    Ok(match App::register(body.bytes(), &sign_in.own_names) {
        Ok(app) => {
            let response = answer(StatusCode::CREATED, app.response());
            sign_in.apps().add(caller.person, app);
            response
        }
        Err(telmeet_core::Error::InvalidParam(_)) => refused("invalid_redirect_uri"),
        Err(_) => refused("invalid_client_metadata"),
    })
}

async fn exchange(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    Bytes(body): Bytes,
) -> Result<Response, Error> {
    homeserver.sign_in.check_oauth(&visitor.0)?;
    let Ok(form) = Form::parse(body.bytes()) else {
        return Ok(refused("invalid_request"));
    };
    match form.get("grant_type") {
        Some("authorization_code") => {}
        // None is ever given out.
        Some("refresh_token") => return Ok(refused("invalid_grant")),
        Some(_) | None => return Ok(refused("unsupported_grant_type")),
    }
    let Some(grant) = redeem(&homeserver, &visitor.0, &form).await? else {
        return Ok(refused("invalid_grant"));
    };
    let Grant::Authorization { client_id, scope, .. } = grant else {
        return Ok(refused("invalid_grant"));
    };
    let caller = people::caller(&homeserver, &visitor.0).await?;
    let app = homeserver.sign_in.apps().find(&caller.person, &client_id);
    let new = NewDevice {
        person: visitor.person()?.clone(),
        node: visitor.0.identity.node,
        device: Some(scope.device.clone()),
        name: app.map(|app| app.name),
    };
    let opened = devices::open(&homeserver, new).await?;
    let body = json!({
        "access_token": opened.token,
        "token_type": "Bearer",
        "scope": scope.as_str(),
    });
    Ok(answer(StatusCode::OK, body))
}

/// Uses the code of a token request.
async fn redeem(
    homeserver: &Homeserver,
    header: &Header,
    form: &Form,
) -> Result<Option<Grant>, Error> {
    let caller = people::caller(homeserver, header).await?;
    let value = |name: &str| form.get(name).unwrap_or_default();
    let proof = Proof::Authorization {
        client_id: value("client_id"),
        redirect_uri: value("redirect_uri"),
        verifier: value("code_verifier"),
    };
    let mut codes = homeserver.sign_in.codes();
    Ok(codes.redeem(value("code"), &caller, proof, Instant::now()).ok())
}

/// Signs the app out that has the token, if it is the caller's. Otherwise there is nothing to do (RFC 7009, section 2.2).
async fn revoke(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    Bytes(body): Bytes,
) -> Result<Response, Error> {
    homeserver.sign_in.check_oauth(&visitor.0)?;
    let Ok(form) = Form::parse(body.bytes()) else {
        return Ok(refused("invalid_request"));
    };
    let token = form.get("token").unwrap_or_default();
    let app = homeserver.sign_in.tokens.get(&token_hash(token));
    let owner = visitor.person()?.id;
    if let Some(app) = app.filter(|app| app.node == visitor.0.identity.node && app.owner == owner) {
        devices::remove_all(&homeserver, app.user.clone(), vec![app.device.clone()]).await?;
    }
    Ok(answer(StatusCode::OK, json!({})))
}

fn refused(error: &str) -> Response {
    answer(StatusCode::BAD_REQUEST, json!({ "error": error }))
}

fn answer(status: StatusCode, body: Value) -> Response {
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (status, headers, Json(body)).into_response()
}
