//! `POST /v1/chat/completions` and the older `POST /v1/completions`.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use chat_vocabulary::{ChatRequest, decode_completion};
use mesh_identity::Person;

use super::{
    super::{begin::decoded, body::Body},
    reply::{Kind, Reply},
};
use crate::{App, Error, chat::compose, error::openai::OpenAiError};

/// Answers a chat, streamed or whole.
pub(super) async fn completions(
    State(app): State<Arc<App>>,
    Extension(person): Extension<Person>,
    body: Body,
) -> Result<Response, OpenAiError> {
    let mut request = decoded(body, chat_vocabulary::decode).await?;
    if request.messages.is_empty() {
        return Err(Error::Request("the conversation is empty").into());
    }
    let messages = std::mem::take(&mut request.messages);
    request.messages = compose(&app, &person, request.model.as_deref(), messages).await?;
    answer(&app, &person, request, Kind::Chat).await
}

/// Continues a text, streamed or whole.
pub(super) async fn text_completions(
    State(app): State<Arc<App>>,
    Extension(person): Extension<Person>,
    body: Body,
) -> Result<Response, OpenAiError> {
    let mut request = decoded(body, decode_completion).await?;
    if request.completion.is_none() {
        let messages = std::mem::take(&mut request.messages);
        request.messages = compose(&app, &person, request.model.as_deref(), messages).await?;
    }
    answer(&app, &person, request, Kind::Text).await
}

/// Asks the model, and answers in one of OpenAI's formats.
async fn answer(
    app: &Arc<App>,
    person: &Person,
    request: ChatRequest,
    kind: Kind,
) -> Result<Response, OpenAiError> {
    let streamed = request.stream;
    let with_usage = request.stream_options.is_some_and(|options| options.include_usage);
    // If the model fails soon, the client gets a status and not a broken stream.
    let reply = Reply::begin(app, person, request, kind).await?;
    if streamed {
        return Ok(reply.stream(with_usage));
    }
    Ok(reply.whole().await?)
}
