//! `/maru/v1/providers`: how the servers behind the models are, for the superuser.

use std::sync::Arc;

use ai_gateway_api::{endpoints::LIST_PROVIDERS, providers::ProviderNode};
use axum::{Json, extract::State};
use chassis::endpoint::{Served, serve};

use crate::App;

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<Arc<App>>; 1] {
    [serve(&LIST_PROVIDERS, list)]
}

/// Asks every server how it is, and lists them.
async fn list(State(app): State<Arc<App>>) -> Json<Vec<ProviderNode>> {
    Json(app.models.examine().await)
}
