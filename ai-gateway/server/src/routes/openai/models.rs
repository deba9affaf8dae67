//! Lists and describes the models.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use crate::{App, error::openai::OpenAiError, models::HOUSEHOLD, openclaw::ModelRef};

/// Lists the models: the household's AI first, then the primary model, then the others.
pub(super) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let models = app.models.list();
    let window = models.first().and_then(|(_, window)| *window);
    let named = models.iter().map(|(model, window)| entry(model, *window));
    let data: Vec<_> = [household(window)].into_iter().chain(named).collect();
    Json(json!({"object": "list", "data": data}))
}

/// Describes one model, by any of its names.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, OpenAiError> {
    let chain = app.models.choose(Some(&name)).map_err(crate::Error::Model)?;
    if chain.household {
        return Ok(Json(household(chain.context_window)));
    }
    Ok(Json(entry(&chain.first, chain.context_window)))
}

fn entry(model: &ModelRef, context_window: Option<u32>) -> Value {
    json!({
        "id": model.to_string(),
        "object": "model",
        "created": 0,
        "owned_by": model.provider,
        "context_window": context_window,
    })
}

fn household(context_window: Option<u32>) -> Value {
    json!({
        "id": HOUSEHOLD,
        "object": "model",
        "created": 0,
        "owned_by": HOUSEHOLD,
        "context_window": context_window,
    })
}
