//! Ollama's calls that change models: here the admin does that, with a command at home.

use axum::http::Uri;

use crate::{Error, error::ollama::OllamaError};

/// Refuses, and names the command.
///
/// # Errors
///
/// Always 403.
pub(super) async fn refuse(uri: Uri) -> OllamaError {
    Error::Manage(match uri.path() {
        "/api/delete" => "models are removed at home, with `maru model remove NAME`",
        "/api/push" => "models stay at home; `maru model list` shows them there",
        "/api/copy" => "models have one name; `maru model use NAME` chooses one at home",
        _ => "models are fetched at home, with `maru model pull NAME`",
    })
    .into()
}
