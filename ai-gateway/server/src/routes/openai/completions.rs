//! `POST /v1/completions`, OpenAI's older API.

use std::sync::Arc;

use ai_gateway_api::chat::{Capability, CompletionRequest};
use axum::{Extension, extract::State, response::Response};
use mesh_identity::Person;

use super::{
    super::{Body, whole},
    chat::answer,
    reply::Kind,
};
use crate::{App, Error, chat::compose, error::OpenAiError, models::Failure};

/// Goes on from a text, streamed or whole.
///
/// # Errors
///
/// As of a chat; and 400 for a suffix, because no backend that is spoken to by OpenAI's API fills gaps.
pub(super) async fn completions(
    State(app): State<Arc<App>>,
    Extension(person): Extension<Person>,
    body: Body,
) -> Result<Response, OpenAiError> {
    let request = CompletionRequest::decode(&whole(body)?).map_err(Error::Chat)?;
    let mut chat = request.chat;
    if request.has_suffix {
        let chain = app.models.choose(chat.model.as_deref()).map_err(Error::Model)?;
        let words = format!("{} does not support {}", chain.first, Capability::Insert.as_str());
        return Err(Error::Model(Failure::Unsupported(words)).into());
    }
    chat.messages = compose(&app, &person, chat.model.as_deref(), chat.messages).await?;
    answer(&app, &person, chat, Kind::Text).await
}
