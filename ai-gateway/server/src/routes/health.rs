//! Health, without content.

use std::sync::Arc;

use ai_gateway_api::problem::kind;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use mesh_listener::Problem;
use tokio::time::timeout;

use crate::{App, app::PATIENCE};

/// Routes of this resource.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/healthz", get(async || "ok")).route("/readyz", get(ready))
}

/// Whether some model answers.
async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    if timeout(PATIENCE, app.models.ready()).await.unwrap_or(false) {
        return Ok("ok");
    }
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, kind::MODEL, "no model answers")
        .detail("`maru doctor` at home shows which engine does not answer, and what to do."))
}
