//! Errors in Ollama's format.

use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Error;
use crate::models::Failure;

/// An error in Ollama's format.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct OllamaError(#[from] pub Error);

impl OllamaError {
    /// The body: `{"error": text}`.
    #[must_use]
    pub(crate) fn body(&self) -> serde_json::Value {
        let unknown = matches!(&self.0, Error::Model(Failure::Unknown { .. }));
        let detail = if unknown { "GET /api/tags lists them." } else { self.0.kind().2 };
        // The first letter stays as it is: the text may begin with a model's name.
        json!({ "error": format!("{}. {detail}", self.0) })
    }
}

impl IntoResponse for OllamaError {
    fn into_response(self) -> Response {
        self.0.answer(self.body())
    }
}
