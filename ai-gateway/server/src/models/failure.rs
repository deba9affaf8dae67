//! Why no model answers.

use llm_backend::{Detail, Error};

use crate::openclaw::ModelRef;

/// Why no model answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// No such model is configured.
    #[error("there is no model {asked:?}: choose one of {}", .known.join(", "))]
    Unknown {
        /// What was asked for, cut to a sensible length.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// None of the candidates answers.
    #[error("no model answers (tried {}): try again in a moment", .0.join(", "))]
    Down(Vec<String>),
    /// None of the candidates can be asked: files that the settings name cannot be used.
    #[error("no model can be asked (tried {}): a key or certificate file of each is missing or wrong", .0.join(", "))]
    Unusable(Vec<String>),
    /// None of the candidates has room, but one lives at least.
    #[error("every model is busy (tried {})", .0.join(", "))]
    Busy(Vec<String>),
    /// No node of the confidential chain has proved itself, or the answer is not one of a node that had.
    #[error("{} ({code}): {reason}", not_trusted(*.sent))]
    Untrusted {
        /// Which check failed first.
        code: &'static str,
        /// The same in a sentence.
        reason: &'static str,
        /// Whether the question had been sent before, sealed to nodes that had proved themselves.
        sent: bool,
    },
    /// The backend refused the request.
    #[error("the model refused the request: {0}")]
    Refused(String, Detail),
    /// The model cannot do what the request needs: `MODEL does not support tools`, in Ollama's words. Or it is not asked,
    /// because it is not at home.
    #[error("{0}")]
    Unsupported(String, Detail),
    /// The conversation is longer than the model's context; in the backend's words.
    #[error("the conversation is too long for the model: {0}")]
    TooLong(String),
    /// The reply broke off.
    #[error("the reply was cut: the model went away while answering")]
    Cut,
    /// The model answered what nobody can use.
    #[error("the model's answer cannot be used: {0}")]
    Garbled(String),
    /// The reply took longer than one may, or became larger.
    #[error("the reply was cut: it was longer than a reply may be")]
    Overlong,
    /// The reader held the reply up for too long, so it ended.
    #[error("the reply was cut: it was read too slowly")]
    Behind,
}

impl Failure {
    /// Whether the question had been sent to nodes of the confidential chain, of which none is trusted with its answer.
    pub(super) const fn was_sent(&self) -> bool {
        matches!(self, Self::Untrusted { sent: true, .. })
    }
}

/// What is said of a deployment, or of its answer.
const fn not_trusted(sent: bool) -> &'static str {
    if sent { "no answer came that is taken" } else { "no node has proved itself" }
}

/// Tells the log why a model failed, without a backend's own words: they may quote the prompt.
pub(crate) fn report(model: &ModelRef, error: &Error) {
    match error {
        Error::Unreachable { .. } | Error::Address { .. } | Error::File { .. } | Error::Key(_) => {
            tracing::warn!(%model, error = error as &dyn std::error::Error, "model does not answer");
        }
        Error::Untrusted { code, sent: false, .. } => {
            tracing::warn!(%model, code, %error, "nothing was sealed to the model");
        }
        Error::Untrusted { code, sent: true, .. } => {
            tracing::warn!(%model, code, %error, "what was asked was sent sealed; the answer is not taken");
        }
        Error::Busy { .. } => tracing::debug!(%model, %error, "model is busy"),
        Error::Overlong { .. } => tracing::info!(%model, %error, "reply cut"),
        Error::Refused { status, .. } => tracing::warn!(%model, status, "model refused a request"),
        Error::Cut { began, .. } => tracing::warn!(%model, began, "reply cut"),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (too_long, unsupported) = (error.is_too_long(), error.is_unsupported());
        match error {
            Error::Refused { message, .. } if too_long => Self::TooLong(message),
            Error::Refused { message, detail, .. } if unsupported => {
                Self::Unsupported(message, detail)
            }
            // It took the request.
            Error::Refused { status: 200..=299, message, .. } => Self::Garbled(message),
            Error::Refused { message, detail, .. } => Self::Refused(message, detail),
            Error::Cut { .. } => Self::Cut,
            Error::Overlong { .. } => Self::Overlong,
            Error::Busy { .. } => Self::Busy(Vec::new()),
            Error::Untrusted { code, reason, sent, .. } => Self::Untrusted { code, reason, sent },
            Error::Address { .. } | Error::File { .. } | Error::Key(_) => {
                Self::Unusable(Vec::new())
            }
            Error::Unreachable { .. } => Self::Down(Vec::new()),
        }
    }
}
