//! llama-server's HTTP API: chat completions, completions, models, health, slots.

mod chat;
mod error;
mod wire;

use std::sync::atomic::Ordering::Relaxed;

use ::endpoint::Raw;
use axum::{Json, Router, extract::State};
use chassis::endpoint::{self, Served, serve};
use serde_json::{Value, json};

use self::error::ApiError;
use crate::engine::{Engine, SlotGauge};

::endpoint::declare! {
    /// Endpoints of the engine.
    ENDPOINTS for Folder;

    /// Continues a conversation.
    CHAT: POST "/v1/chat/completions" (Raw) => Raw;
    /// Continues a prompt.
    COMPLETION: POST "/v1/completions" (Raw) => Raw;
    /// Lists the model.
    MODELS: GET "/v1/models" => Raw;
    /// Returns whether the model is loaded.
    HEALTH: GET "/health" => Raw;
    /// The same, by another path.
    HEALTH_ALIAS: GET "/v1/health" => Raw;
    /// Returns the state of each slot, as numbers only.
    SLOTS: GET "/slots" => Raw;
}

fn endpoints() -> [Served<Engine>; 6] {
    [
        serve(&CHAT, chat::completions),
        serve(&COMPLETION, chat::text_completions),
        serve(&MODELS, models),
        serve(&HEALTH, health),
        serve(&HEALTH_ALIAS, health),
        serve(&SLOTS, slots),
    ]
}

/// The router of all endpoints.
pub(crate) fn router(engine: Engine) -> Router {
    endpoint::router(endpoints())
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::Method)
        .with_state(engine)
}

async fn health(State(engine): State<Engine>) -> Result<Json<Value>, ApiError> {
    if engine.is_standby() {
        // It answers if others do not.
        return Ok(Json(json!({ "status": "standby" })));
    }
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

/// The state of each slot, as numbers only.
async fn slots(State(engine): State<Engine>) -> Result<Json<Value>, ApiError> {
    let model = engine.model().ok_or(ApiError::Loading)?;
    let slot = |(id, gauge): (usize, &SlotGauge)| {
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

    /// The gateway, and nobody else, may enter the socket's folder and call all of these: consider this before adding
    /// one. (The test `surfaces` of `docs/walkthrough` has the other daemons' endpoints.)
    #[test]
    fn every_endpoint_is_listed_here() {
        let expected = [
            "POST /v1/chat/completions",
            "POST /v1/completions",
            "GET /v1/models",
            "GET /health",
            "GET /v1/health",
            "GET /slots",
        ];
        let served: Vec<_> = endpoint::list(&endpoints()).iter().map(ToString::to_string).collect();
        assert_eq!(served, expected);
    }
}
