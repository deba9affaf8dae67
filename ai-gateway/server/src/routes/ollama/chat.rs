//! `POST /api/chat` and `POST /api/generate`.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use chat_vocabulary::{
    ChatRequest,
    ollama::{self, TextRequest},
};
use mesh_identity::Person;

use super::{
    super::{begin::decoded, body::Body},
    reply::{Kind, Reply},
};
use crate::{App, Error, chat::compose, error::ollama::OllamaError};

/// Answers a chat, streamed or whole.
pub(super) async fn chat(
    State(app): State<Arc<App>>,
    Extension(person): Extension<Person>,
    body: Body,
) -> Result<Response, OllamaError> {
    let request = decoded(body, ollama::decode_chat).await?;
    answer(&app, &person, request, Kind::Chat).await
}

/// Answers one question, streamed or whole.
pub(super) async fn generate(
    State(app): State<Arc<App>>,
    Extension(person): Extension<Person>,
    body: Body,
) -> Result<Response, OllamaError> {
    let request = decoded(body, ollama::decode_generate).await?;
    answer(&app, &person, request, Kind::Generation).await
}

async fn answer(
    app: &Arc<App>,
    person: &Person,
    request: TextRequest,
    kind: Kind,
) -> Result<Response, OllamaError> {
    let (name, reason) = match request {
        TextRequest::Ask(request) => return ask(app, person, *request, kind).await,
        TextRequest::Load(name) => (name, "load"),
        TextRequest::Unload(name) => (name, "unload"),
    };
    // The engines manage their memory: a client cannot load or unload a model for the others.
    let chain = app.models.choose(Some(&name)).map_err(Error::Model)?;
    Ok(Json(kind.idle(&chain.first, reason)).into_response())
}

async fn ask(
    app: &Arc<App>,
    person: &Person,
    mut request: ChatRequest,
    kind: Kind,
) -> Result<Response, OllamaError> {
    let streamed = request.stream;
    // A plain completion continues the client's text without a prompt before it.
    if request.completion.is_none() {
        let messages = std::mem::take(&mut request.messages);
        request.messages = compose(app, person, request.model.as_deref(), messages).await?;
    }
    // If the model fails soon, the client gets a status and not a broken stream.
    let reply = Reply::begin(app, person, request, kind).await?;
    if streamed {
        return Ok(reply.stream());
    }
    Ok(reply.whole().await?)
}
