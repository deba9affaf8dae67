//! In whose shape a path answers.

use axum::response::{IntoResponse as _, Response};

use crate::{
    Error,
    error::{ollama::OllamaError, openai::OpenAiError},
};

/// In whose shape a path of the agent's listener answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    /// Problem documents (RFC 9457).
    Own,
    /// OpenAI's, on `/v1`.
    OpenAi,
    /// Ollama's, on `/api`.
    Ollama,
}

impl Surface {
    pub(super) fn of(path: &str) -> Self {
        match path.split('/').nth(1) {
            Some("v1") => Self::OpenAi,
            Some("api") => Self::Ollama,
            _ => Self::Own,
        }
    }

    /// What the counters call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::OpenAi => "openai",
            Self::Ollama => "ollama",
        }
    }

    pub(super) fn answer(self, error: Error) -> Response {
        match self {
            Self::Own => error.into_response(),
            Self::OpenAi => OpenAiError(error).into_response(),
            Self::Ollama => OllamaError(error).into_response(),
        }
    }
}
