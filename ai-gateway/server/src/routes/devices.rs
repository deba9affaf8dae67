//! `/maru/v1/devices`: a node binds, lists and revokes the keys of its apps.
//!
//! Only the agent's listener has it. Web pages cannot call it: the listener's guard refuses requests that a browser
//! marks as sent by a page.

use std::sync::Arc;

use ai_gateway_api::{
    endpoints::{BIND_DEVICE, LIST_DEVICES, REVOKE_DEVICE},
    sealed::{BindDevice, Device, Devices, Ed25519Public},
    wire::Version,
};
use axum::{
    Extension, Json,
    extract::{Path, State},
    http::StatusCode,
};
use chassis::endpoint::{Served, serve};
use hpke_envelope::device;
use mesh_identity::Header;

use super::body::Body;
use crate::{App, Error, now_ms};

/// Longest name of an app, in characters.
const NAME_MAX: usize = 64;

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<Arc<App>>; 3] {
    [serve(&LIST_DEVICES, list), serve(&BIND_DEVICE, bind), serve(&REVOKE_DEVICE, revoke)]
}

/// Binds a device key to the calling node and its person. Repeating it is safe.
async fn bind(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Header>,
    body: Body,
) -> Result<Json<Device>, Error> {
    let request = BindDevice::decode(body.0?)?;
    let now = now_ms();
    device::verify(&request, app.identity(), &caller.identity.node, now).map_err(|reason| {
        app.metrics.refuse(reason);
        Error::Sealed(reason)
    })?;
    let name: String =
        request.name.chars().filter(|c| !common::foreign::steers(*c)).take(NAME_MAX).collect();
    let device = Device { device_pubkey: request.device_pubkey, name, bound_at: now };
    let (state, identity) = (Arc::clone(&app), caller.identity.clone());
    let bound = tokio::task::spawn_blocking(move || state.devices.bind(&identity, device));
    let device = bound.await.map_err(|_| Error::Busy)??;
    tracing::info!(node = caller.identity.node, key = %device.device_pubkey, "device key bound");
    Ok(Json(device))
}

/// Lists the calling node's keys.
async fn list(State(app): State<Arc<App>>, Extension(caller): Extension<Header>) -> Json<Devices> {
    let devices = app.devices.of(&caller.identity);
    Json(Devices { version: Version, node: caller.identity.node, devices })
}

/// Revokes one of the calling node's keys.
async fn revoke(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Header>,
    Path(key): Path<String>,
) -> Result<StatusCode, Error> {
    let key: Ed25519Public = key.parse().map_err(|_| Error::NotFound)?;
    let (state, identity) = (Arc::clone(&app), caller.identity.clone());
    let revoked = tokio::task::spawn_blocking(move || state.devices.revoke(&identity, key));
    if !revoked.await.map_err(|_| Error::Busy)?? {
        return Err(Error::NotFound);
    }
    tracing::info!(node = caller.identity.node, %key, "device key revoked");
    Ok(StatusCode::NO_CONTENT)
}
