//! What apps ask before they sign in: where the homeserver is, and what it can do.

use std::sync::Arc;

use axum::{Json, extract::State};
use ruma::api::client::discovery::{
    discover_homeserver, get_authorization_server_metadata, get_capabilities,
    get_supported_versions,
};
use serde_json::{Value, json};
use telmeet_core::sign_in::metadata;

use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Route, route},
    session::{Session, Visitor},
};

pub(super) fn routes() -> Vec<Route> {
    [
        route::<discover_homeserver::Request, _, _>(well_known),
        route::<get_supported_versions::Request, _, _>(versions),
        route::<get_capabilities::v3::Request, _, _>(capabilities),
        route::<get_authorization_server_metadata::v1::Request, _, _>(auth_metadata),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn well_known(
    State(homeserver): State<Arc<Homeserver>>,
    Visitor(header): Visitor,
) -> Json<Value> {
    let base = homeserver.sign_in.base(&header);
    Json(json!({ "m.homeserver": { "base_url": base } }))
}

/// Up to the version with authenticated media. Simplified sliding sync is no part of any version yet; without its flag,
/// Element X does not start.
async fn versions() -> Json<Value> {
    let versions: Vec<String> = (1..=11).map(|minor| format!("v1.{minor}")).collect();
    let features = json!({ "org.matrix.simplified_msc3575": true });
    Json(json!({ "versions": versions, "unstable_features": features }))
}

async fn capabilities(_: Session) -> Json<Value> {
    let disabled = json!({ "enabled": false });
    Json(json!({ "capabilities": {
        "m.room_versions": { "default": "11", "available": { "11": "stable" } },
        "m.change_password": disabled,
        "m.set_displayname": { "enabled": true },
        "m.set_avatar_url": { "enabled": true },
        "m.3pid_changes": disabled,
        "m.get_login_token": disabled,
    } }))
}

async fn auth_metadata(
    State(homeserver): State<Arc<Homeserver>>,
    Visitor(header): Visitor,
) -> Result<Json<Value>, Error> {
    homeserver.sign_in.check_oauth(&header)?;
    Ok(Json(metadata::document(&homeserver.sign_in.base(&header))))
}
