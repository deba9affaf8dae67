//! The API of a path, and so the format of its answers and errors.

use axum::response::{IntoResponse as _, Response};

use crate::{
    Error,
    error::{ollama::OllamaError, openai::OpenAiError},
};

/// The API of a path of the agent's listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    /// Maru's own, with problem documents (RFC 9457).
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

    /// Its label in the counters.
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

/// The listener that accepted a request, and so whether its identity header can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// The agent's: the header is verified.
    Agent,
    /// telmeet's: the header is an unverified claim.
    Plugin,
}

impl Listener {
    /// The API of a path of this listener.
    pub(super) fn surface(self, path: &str) -> Surface {
        match self {
            Self::Agent => Surface::of(path),
            Self::Plugin => Surface::Own,
        }
    }
}
