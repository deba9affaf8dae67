//! llama-server's HTTP shapes: chat completions, models, health, slots.

mod chat;
mod error;
mod wire;

use std::sync::atomic::Ordering::Relaxed;

use axum::{Json, Router, extract::State};
use chassis::endpoint::{self, Endpoint, get, post};
use serde_json::{Value, json};

use self::error::ApiError;
use crate::engine::{Engine, Gauge};

/// What it answers.
fn endpoints() -> [Endpoint<Engine>; 5] {
    [
        post("/v1/chat/completions", chat::completions),
        get("/v1/models", models),
        get("/health", health),
        get("/v1/health", health),
        get("/slots", slots),
    ]
}

/// Everything that is served.
pub(crate) fn router(engine: Engine) -> Router {
    endpoint::router(endpoints())
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::Method)
        .with_state(engine)
}

async fn health(State(engine): State<Engine>) -> Result<Json<Value>, ApiError> {
    engine.model().ok_or(ApiError::Loading)?;
    Ok(Json(json!({ "status": "ok" })))
}

async fn models(State(engine): State<Engine>) -> Result<Json<Value>, ApiError> {
    let model = engine.model().ok_or(ApiError::Loading)?;
    let llama = model.llama();
    let meta = json!({
        "n_ctx": model.ctx(),
        "n_ctx_train": llama.n_ctx_train(),
        "n_vocab": llama.n_vocab(),
        "n_embd": llama.n_embd(),
        "n_params": llama.n_params(),
        "size": llama.size(),
    });
    let data = json!({ "id": engine.name(), "object": "model", "created": 0, "owned_by": "maru", "meta": meta });
    Ok(Json(json!({ "object": "list", "data": [data] })))
}

/// What each slot is doing: numbers only.
async fn slots(State(engine): State<Engine>) -> Result<Json<Value>, ApiError> {
    let model = engine.model().ok_or(ApiError::Loading)?;
    let slot = |(id, gauge): (usize, &Gauge)| {
        json!({
            "id": id,
            "id_task": gauge.task.load(Relaxed),
            "n_ctx": model.ctx(),
            "is_processing": gauge.is_processing.load(Relaxed),
            "n_prompt_tokens": gauge.n_prompt.load(Relaxed),
            "n_prompt_tokens_processed": gauge.n_read.load(Relaxed),
            "n_decoded": gauge.n_decoded.load(Relaxed),
        })
    };
    Ok(Json(engine.gauges().iter().enumerate().map(slot).collect()))
}

#[cfg(test)]
mod tests {
    use super::{endpoint, endpoints};

    /// All of these are for whoever may enter the socket's folder, which is the gateway: a new one has to be judged
    /// by that first. (The other daemons' endpoints are in the test `surfaces` of `docs/walkthrough`.)
    #[test]
    fn every_endpoint_was_judged() {
        let judged = [
            "POST /v1/chat/completions",
            "GET /v1/models",
            "GET /health",
            "GET /v1/health",
            "GET /slots",
        ];
        assert_eq!(endpoint::list(&endpoints()), judged);
    }
}
