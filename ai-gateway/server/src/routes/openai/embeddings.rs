//! `POST /v1/embeddings`.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use chat_vocabulary::{EmbeddingRequest, base64};
use mesh_identity::Person;
use serde_json::json;

use super::super::{
    begin::{decoded, encoded},
    body::Body,
};
use crate::{App, Error, chat::embed, error::openai::OpenAiError};

/// Makes a vector of each text.
pub(super) async fn embeddings(
    State(app): State<Arc<App>>,
    Extension(person): Extension<Person>,
    body: Body,
) -> Result<Response, OpenAiError> {
    let request = decoded(body, EmbeddingRequest::decode).await?;
    let chain = app.models.choose(request.model.as_deref()).map_err(Error::Model)?;
    let (input, dimensions) = (request.input, request.dimensions);
    let (model, embeddings) = embed(&app, "openai", &person, &chain, input, dimensions).await?;
    let (numbers, as_base64) = (embeddings.numbers(), request.as_base64);
    let answer = move || {
        let data = embeddings.vectors.iter().enumerate().map(|(index, vector)| {
            let vector = if as_base64 { json!(base64(vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": vector})
        });
        let data: Vec<_> = data.collect();
        let tokens = embeddings.prompt_tokens.unwrap_or_default();
        json!({
            "object": "list",
            "model": model.to_string(),
            "data": data,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        })
    };
    Ok(encoded(numbers, answer).await?)
}
