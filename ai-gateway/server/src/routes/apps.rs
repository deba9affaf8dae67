//! `/maru/v1/apps`: the admin adds, lists and removes apps, on the superuser's socket only.

use std::sync::Arc;

use ai_gateway_api::{
    apps::{AddApp, AddedApp, App as AppInfo},
    endpoints::{ADD_APP, LIST_APPS, REMOVE_APP},
};
use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderName, HeaderValue, header},
};
use chassis::endpoint::{Served, serve};

use super::body::Body;
use crate::{App, Error, now_ms};

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<Arc<App>>; 3] {
    [serve(&LIST_APPS, list), serve(&ADD_APP, add), serve(&REMOVE_APP, remove)]
}

/// Lists the apps, without their keys.
async fn list(State(app): State<Arc<App>>) -> Json<Vec<AppInfo>> {
    Json(app.apps.list())
}

/// Adds an app and returns its key, which is valid at once and never shown again.
async fn add(
    State(app): State<Arc<App>>,
    body: Body,
) -> Result<([(HeaderName, HeaderValue); 1], Json<AddedApp>), Error> {
    let AddApp { name } = serde_json::from_slice(&body.0?).map_err(Error::Body)?;
    let state = Arc::clone(&app);
    let added = tokio::task::spawn_blocking(move || state.apps.add(&name, now_ms()));
    let added = added.await.map_err(|_| Error::Busy)??;
    tracing::info!(app = %added.app.name, "app added");
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(added)))
}

/// Removes an app, closes its connections, and returns it.
async fn remove(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<AppInfo>, Error> {
    let state = Arc::clone(&app);
    let removed = tokio::task::spawn_blocking(move || state.apps.remove(&name));
    let removed = removed.await.map_err(|_| Error::Busy)??;
    tracing::info!(app = %removed.name, "app removed");
    Ok(Json(removed))
}
