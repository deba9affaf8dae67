//! `POST /api/embed`, and the older `POST /api/embeddings`.

use std::{sync::Arc, time::Instant};

use axum::{Extension, Json, extract::State, response::Response};
use chat_vocabulary::{EmbedRequest, ollama};
use llm_backend::Embeddings;
use mesh_identity::Person;
use serde_json::{Value, json};

use super::{
    super::{
        begin::{decoded, encoded},
        body::Body,
    },
    reply::nanoseconds,
};
use crate::{App, Error, chat, error::ollama::OllamaError, openclaw::ModelRef};

/// Makes a vector of each text.
pub(super) async fn embed(
    State(app): State<Arc<App>>,
    Extension(person): Extension<Person>,
    body: Body,
) -> Result<Response, OllamaError> {
    let request = decoded(body, ollama::decode_embed).await?;
    let begun = Instant::now();
    let asked = request.model.clone();
    let made = make(&app, &person, request).await?;
    let (model, made) = made.map_or((asked, None), |(model, made)| (model.to_string(), Some(made)));
    let tokens = made.as_ref().and_then(|made| made.prompt_tokens).unwrap_or_default();
    let numbers = made.as_ref().map_or(0, Embeddings::numbers);
    let answer = move || {
        json!({
            "model": model,
            "embeddings": made.map(|made| made.vectors).unwrap_or_default(),
            "total_duration": nanoseconds(begun.elapsed()),
            "load_duration": 0,
            "prompt_eval_count": tokens,
        })
    };
    Ok(encoded(numbers, answer).await?)
}

/// Makes the vector of one text.
pub(super) async fn embeddings(
    State(app): State<Arc<App>>,
    Extension(person): Extension<Person>,
    body: Body,
) -> Result<Json<Value>, OllamaError> {
    let request = decoded(body, ollama::decode_embeddings).await?;
    let made = make(&app, &person, request).await?;
    let vector = made.and_then(|(_, made)| made.vectors.into_iter().next()).unwrap_or_default();
    Ok(Json(json!({ "embedding": vector })))
}

/// Asks the model; `None` if there is no text, which only loads it.
async fn make(
    app: &Arc<App>,
    person: &Person,
    request: EmbedRequest,
) -> Result<Option<(ModelRef, Embeddings)>, Error> {
    let chain = app.models.choose(Some(&request.model))?;
    if request.input.is_empty() {
        return Ok(None);
    }
    let input = request.input;
    chat::embed(app, "ollama", person, &chain, input, request.dimensions).await.map(Some)
}
