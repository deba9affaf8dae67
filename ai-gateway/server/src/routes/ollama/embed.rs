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
    let requested = request.model.clone();
    let (model, embeddings) = match make(&app, &person, request).await? {
        Some((model, embeddings)) => (model.to_string(), Some(embeddings)),
        None => (requested, None),
    };
    let tokens = embeddings.as_ref().and_then(|it| it.prompt_tokens).unwrap_or_default();
    let numbers = embeddings.as_ref().map_or(0, Embeddings::numbers);
    let answer = move || {
        json!({
            "model": model,
            "embeddings": embeddings.map(|it| it.vectors).unwrap_or_default(),
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
    let embeddings = make(&app, &person, request).await?.map(|(_, embeddings)| embeddings);
    let vector = embeddings.and_then(|it| it.vectors.into_iter().next()).unwrap_or_default();
    Ok(Json(json!({ "embedding": vector })))
}

/// Asks the model; `None` for a request without text, which in Ollama only loads the model.
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
