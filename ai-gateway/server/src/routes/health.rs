//! Health, without content.

use std::sync::Arc;

use ai_gateway_api::{
    endpoints::{HEALTHZ, READYZ},
    kind,
};
use axum::{extract::State, http::StatusCode};
use chassis::{
    endpoint::{Served, serve},
    problem::ErrorResponse,
};
use tokio::time::timeout;

use crate::{App, models::PATIENCE};

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<Arc<App>>; 2] {
    [serve(&HEALTHZ, async || "ok"), serve(&READYZ, ready)]
}

/// Whether some model answers.
async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, ErrorResponse> {
    if timeout(PATIENCE, app.models.ready()).await.unwrap_or(false) {
        return Ok("ok");
    }
    Err(ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, kind::MODEL, "no model answers")
        .detail("`maru doctor` at home shows which engine does not answer, and what to do."))
}
