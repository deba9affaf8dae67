//! Why no model answered.

use chassis::log::event;
use llm_backend::{Detail, Error};

use crate::openclaw::ModelRef;

/// Why no model answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The model is not configured.
    #[error("there is no model {asked:?}: choose one of {}", .known.join(", "))]
    Unknown {
        /// The requested name, shortened.
        asked: String,
        /// The configured models.
        known: Vec<String>,
    },
    /// No candidate answered.
    #[error("no model answers (tried {}): try again in a moment", .0.join(", "))]
    Down(Vec<String>),
    /// No candidate can be used: files that the settings name are missing or wrong.
    #[error("no model can be used (tried {}): a key or certificate file of each is missing or wrong", .0.join(", "))]
    Unusable(Vec<String>),
    /// Every candidate that is up is busy.
    #[error("every model is busy (tried {})", .0.join(", "))]
    Busy(Vec<String>),
    /// No node of the confidential chain was verified, or the answer is not from a verified node.
    #[error("{} ({code}): {reason}", not_trusted(*.sent))]
    Untrusted {
        /// Code of the first check that failed.
        code: &'static str,
        /// The same as a sentence.
        reason: &'static str,
        /// Whether the request had been sent before, sealed to verified nodes.
        sent: bool,
    },
    /// The backend refused the request, with this message.
    #[error("the model refused the request: {0}")]
    Refused(String, Detail),
    /// The model lacks a capability (`MODEL does not support tools`, in Ollama's words), or it runs in a cloud.
    #[error("{0}")]
    Unsupported(String, Detail),
    /// The conversation is longer than the model's context, with the backend's message.
    #[error("the conversation is too long for the model: {0}")]
    TooLong(String),
    /// The reply broke off.
    #[error("the reply was cut: the model went away while answering")]
    Cut,
    /// The model's answer is unusable.
    #[error("the model's answer cannot be used: {0}")]
    Garbled(String),
    /// The reply exceeded its limit of time or size.
    #[error("the reply was cut: it exceeded the limit")]
    Overlong,
    /// The reader was too slow, so the reply was ended.
    #[error("the reply was cut: it was read too slowly")]
    Behind,
}

impl Failure {
    /// Whether the request had been sent to nodes of the confidential chain.
    pub(super) const fn was_sent(&self) -> bool {
        matches!(self, Self::Untrusted { sent: true, .. })
    }
}

/// The text for a deployment, or for its answer.
const fn not_trusted(sent: bool) -> &'static str {
    if sent { "no valid answer was received" } else { "no node was verified" }
}

/// Logs why a model failed, without the backend's message, which may quote the prompt.
pub(crate) fn report(model: &ModelRef, error: &Error) {
    match error {
        Error::Unreachable { .. } | Error::Address { .. } | Error::File { .. } | Error::Key(_) => {
            let (event, error) = (event::BACKEND_UNREACHABLE, error as &dyn std::error::Error);
            tracing::warn!(%event, %model, error, "model does not answer");
        }
        Error::Untrusted { code, sent: false, .. } => {
            tracing::warn!(%model, code, %error, "no node was verified, so nothing was sent");
        }
        Error::Untrusted { code, sent: true, .. } => {
            tracing::warn!(%model, code, %error, "the request was sent, sealed; the answer is invalid");
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
            // The request was accepted.
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
