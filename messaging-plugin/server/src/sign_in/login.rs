//! `login` and `whoami`.

use std::{sync::Arc, time::Instant};

use axum::{Json, extract::State, http::Method};
use mesh_identity::Header;
use ruma::{
    OwnedDeviceId, OwnedUserId,
    api::{
        client::{account::whoami, session::get_login_types},
        error::ErrorKind,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use telmeet_core::{
    person,
    sign_in::code::{Grant, Proof},
};

use super::{
    devices::{self, NewDevice},
    people,
};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{self, Reply, Route, raw, route},
    participant,
    session::{Session, Visitor},
};

pub(super) fn routes() -> Vec<Route> {
    [
        route::<get_login_types::v3::Request, _, _>(flows),
        raw(Method::POST, "/_matrix/client/r0/login", login),
        raw(Method::POST, "/_matrix/client/v3/login", login),
        route::<whoami::v3::Request, _, _>(who_am_i),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A login. The type of `ruma` panics without a `type`. Not `Debug`: it has secrets.
#[derive(Deserialize)]
struct Login {
    #[serde(rename = "type")]
    kind: String,
    identifier: Option<Identifier>,
    /// The user in the form before `identifier`.
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
    device_id: Option<OwnedDeviceId>,
    initial_device_display_name: Option<String>,
}

#[derive(Deserialize)]
struct Identifier {
    user: Option<String>,
}

async fn flows() -> Json<Value> {
    let mesh = json!({ "id": "mesh", "name": "Mesh" });
    Json(json!({ "flows": [
        { "type": "m.login.sso", "identity_providers": [mesh] },
        { "type": "m.login.token" },
        { "type": "m.login.password" },
    ] }))
}

/// Signs an app in with a one-time password, or with the token that the page of SSO gave it.
async fn login(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    matrix::Json(login): matrix::Json<Login>,
) -> Result<Json<Value>, Error> {
    let person = visitor.person()?.clone();
    match login.kind.as_str() {
        "m.login.token" => check_token(&homeserver, &visitor.0, &login).await?,
        // Whoever calls there is the AI; no app of a person's node is.
        participant::LOGIN if participant::is(&person) => {}
        "m.login.password" => check_password(&homeserver, &visitor.0, &login).await?,
        _ => {
            let reason = "sign in by m.login.sso or m.login.password";
            return Err(Error::bad_request(ErrorKind::Unknown, reason));
        }
    }
    let new = NewDevice {
        person,
        node: visitor.0.identity.node,
        device: login.device_id,
        name: login.initial_device_display_name,
    };
    let opened = devices::open(&homeserver, new).await?;
    Ok(Json(json!({
        "user_id": opened.user,
        "device_id": opened.device,
        "access_token": opened.token,
    })))
}

async fn check_token(homeserver: &Homeserver, header: &Header, login: &Login) -> Result<(), Error> {
    let token = login.token.as_deref().ok_or_else(|| Error::bad_json("token is missing"))?;
    let caller = people::caller(homeserver, header).await?;
    let mut codes = homeserver.sign_in.codes();
    let grant = codes.redeem(token, &caller, Proof::LoginToken, Instant::now())?;
    match grant {
        Grant::LoginToken => Ok(()),
        Grant::Authorization { .. } => Err(Error::forbidden("this is no login token")),
    }
}

async fn check_password(
    homeserver: &Homeserver,
    header: &Header,
    login: &Login,
) -> Result<(), Error> {
    let password = login.password.as_deref();
    let password = password.ok_or_else(|| Error::bad_json("password is missing"))?;
    let user = named_user(login, &homeserver.network)?;
    let owner = people::caller(homeserver, header).await?.person;
    Ok(homeserver.sign_in.passwords().redeem(&user, &owner, password, Instant::now())?)
}

/// The user that a login names, by a whole id or the localpart.
fn named_user(login: &Login, network: &str) -> Result<OwnedUserId, Error> {
    let identified = login.identifier.as_ref().and_then(|identifier| identifier.user.as_deref());
    let name = identified.or(login.user.as_deref());
    let name = name.ok_or_else(|| Error::bad_json("the user is missing"))?.trim();
    let localpart = name.strip_prefix('@').unwrap_or(name);
    let (localpart, server) = localpart.split_once(':').unwrap_or((localpart, network));
    Ok(person::user_id(&localpart.to_ascii_lowercase(), server)?)
}

async fn who_am_i(session: Session) -> Reply<whoami::v3::Response> {
    let mut response = whoami::v3::Response::new(session.user, false);
    response.device_id = Some(session.device);
    Reply(response)
}
