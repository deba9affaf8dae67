//! `/maru/v1/providers`: how the servers behind the models are, for the superuser.

use std::sync::Arc;

use ai_gateway_api::providers::{PATH, ProviderNode};
use axum::{Json, extract::State};
use chassis::endpoint::{Endpoint, get};

use crate::App;

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Endpoint<Arc<App>>; 1] {
    [get(PATH, list)]
}

/// Asks every server how it is, and lists them.
async fn list(State(app): State<Arc<App>>) -> Json<Vec<ProviderNode>> {
    Json(app.models.examine().await)
}
