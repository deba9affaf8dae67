//! `POST /v1/completions`, OpenAI's older API.

use std::sync::Arc;

use axum::{Extension, extract::State, response::Response};
use chat_vocabulary::decode_completion;
use mesh_identity::Person;

use super::{
    super::{begin::decoded, body::Body},
    chat::answer,
    reply::Kind,
};
use crate::{App, chat::compose, error::openai::OpenAiError};

/// Goes on from a text, streamed or whole.
///
/// # Errors
///
/// As of a chat; and 400 for a suffix, if the model does not fill gaps.
pub(super) async fn completions(
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
