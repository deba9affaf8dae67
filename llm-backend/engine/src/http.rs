//! llama-server's HTTP shapes: chat completions, models, health, slots.

mod chat;
mod error;
mod wire;

use std::sync::atomic::Ordering::Relaxed;

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use serde_json::{Value, json};

use self::error::ApiError;
use crate::engine::{Engine, Gauge};

/// Everything that is served.
pub(crate) fn router(engine: Engine) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat::completions))
        .route("/v1/models", get(models))
        .route("/health", get(health))
        .route("/v1/health", get(health))
        .route("/slots", get(slots))
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
