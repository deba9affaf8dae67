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

/// The listener by which a request came in, and so whether its identity header can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// The agent's: the header is true.
    Agent,
    /// telmeet's: the header is a claim.
    Plugin,
}

impl Listener {
    /// The surface of a path there.
    pub(super) fn surface(self, path: &str) -> Surface {
        match self {
            Self::Agent => Surface::of(path),
            Self::Plugin => Surface::Own,
        }
    }
}
