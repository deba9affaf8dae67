//! Why a backend gave no answer, or not a whole one.

use std::{borrow::Cow, error::Error as StdError, path::PathBuf, time::Duration};

use chassis::pem::FileError;

use crate::code::{Code, Detail};

/// How [`Error::Cut`] begins to tell of an error in the place of an answer.
pub(crate) const REPORTED: &str = "the backend reported an error: ";

/// What is said of a backend that says itself that it failed.
pub(crate) const FAILED: &str = "failed inside: look at its log";
/// What is said of every model that is not at home.
pub(crate) const ELSEWHERE: &str = " runs in Ollama's cloud: only models at home are asked";

/// A backend failed. The variants are named by what the caller can do about it.
///
/// `Display` is one sentence with what to do; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base URL in the settings cannot be used; nothing was sent.
    #[error("backend address {url:?} cannot be used: {reason}")]
    Address {
        /// The address as written.
        url: String,
        /// What is wrong with it, and what to write.
        reason: &'static str,
    },
    /// A file that the settings name cannot be used; nothing was sent.
    #[error("{} cannot be used: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: Cow<'static, str>,
        /// The cause, if there is one below.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The key cannot be sent: it is empty, or holds what no header may. Its file is named, if it comes from one.
    #[error("the API key{} is empty or not one word of ASCII", in_file(.0.as_ref()))]
    Key(Option<PathBuf>),
    /// It gave no answer at all: another backend may be asked the same.
    #[error("backend {backend} {reason}")]
    Unreachable {
        /// Its base URL.
        backend: String,
        /// What happened, and what to do.
        reason: &'static str,
        /// Whether it may have seen the request.
        arrived: bool,
        /// The cause, if there is one below.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// It lives, but takes no request now: it is full, loads its model, or drains. Another backend may be asked.
    #[error("backend {backend} {reason}")]
    Busy {
        /// Its base URL.
        backend: String,
        /// What it said, and what to do.
        reason: &'static str,
    },
    /// It has not proved what it is and nothing was sealed to it; or what came back is not what a node sealed that had.
    #[error("backend {backend} {} ({code}): {reason}", not_trusted(*.sent))]
    Untrusted {
        /// Its name.
        backend: String,
        /// Which check failed: a stable word in kebab-case.
        code: &'static str,
        /// The same in a sentence.
        reason: &'static str,
        /// Whether the request had been sent before, sealed to nodes that had proved themselves.
        sent: bool,
    },
    /// It refused this request.
    #[error("backend {backend} refused the request ({status}): {message}")]
    Refused {
        /// Its base URL.
        backend: String,
        /// HTTP status.
        status: u16,
        /// Its own words, at most 300 characters.
        message: String,
        /// What it says besides.
        detail: Detail,
    },
    /// The reply broke off: what was received so far is not the whole of it.
    #[error("the reply from backend {backend} was cut: {reason}; ask again")]
    Cut {
        /// Its base URL.
        backend: String,
        /// What happened.
        reason: String,
        /// Whether text had been received before.
        began: bool,
        /// The cause, if there is one below.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The reply had begun, but did not end in the time that one may take.
    #[error("the reply from backend {backend} took longer than {budget:?}: ask for a shorter one")]
    Overlong {
        /// Its base URL.
        backend: String,
        /// How long a reply may take, from its first delta on.
        budget: Duration,
    },
}

impl From<FileError> for Error {
    fn from(FileError { path, reason, source }: FileError) -> Self {
        Self::File { path, reason, source }
    }
}

impl Error {
    /// The reply broke off.
    pub(crate) fn cut(
        backend: &str,
        began: bool,
        reason: impl Into<String>,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Cut { backend: backend.to_owned(), reason: reason.into(), began, source }
    }

    /// A check failed before anything that people wrote was sent.
    pub(crate) fn untrusted(backend: &str, code: &'static str, reason: &'static str) -> Self {
        Self::Untrusted { backend: backend.to_owned(), code, reason, sent: false }
    }

    /// The same for one more who waited for it, without its cause.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Address { url, reason } => Self::Address { url: url.clone(), reason },
            Self::File { path, reason, source: _ } => {
                Self::File { path: path.clone(), reason: reason.clone(), source: None }
            }
            Self::Key(path) => Self::Key(path.clone()),
            Self::Unreachable { backend, reason, arrived, source: _ } => Self::Unreachable {
                backend: backend.clone(),
                reason,
                arrived: *arrived,
                source: None,
            },
            Self::Busy { backend, reason } => Self::Busy { backend: backend.clone(), reason },
            Self::Untrusted { backend, code, reason, sent } => {
                Self::Untrusted { backend: backend.clone(), code, reason, sent: *sent }
            }
            Self::Refused { backend, status, message, detail } => Self::Refused {
                backend: backend.clone(),
                status: *status,
                message: message.clone(),
                detail: detail.clone(),
            },
            Self::Cut { backend, reason, began, source: _ } => {
                Self::cut(backend, *began, reason.clone(), None)
            }
            Self::Overlong { backend, budget } => {
                Self::Overlong { backend: backend.clone(), budget: *budget }
            }
        }
    }

    /// The same of a request that had been sent before it failed.
    pub(crate) fn once_sent(mut self) -> Self {
        if let Self::Untrusted { sent, .. } = &mut self {
            *sent = true;
        }
        self
    }

    /// Whether the same request may be sent to another backend: this one has delivered no text, and the fault is
    /// the backend's, not the request's.
    #[must_use]
    pub const fn may_try_another(&self) -> bool {
        match self {
            Self::Address { .. }
            | Self::File { .. }
            | Self::Key(_)
            | Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::Busy { .. } => true,
            // A redirect, a wrong key, an unknown path or model is this backend's trouble.
            Self::Refused { status, .. } => matches!(status, 300..=399 | 401 | 403..=405 | 407),
            Self::Cut { began, .. } => !*began,
            Self::Overlong { .. } => false,
        }
    }

    /// Whether the request was refused because the conversation is longer than the model's context, by OpenAI's code or in
    /// the words of `maru-llm`, llama-server, vLLM and Ollama.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        let Self::Refused { status: 400 | 413 | 422, message, detail, .. } = self else {
            return false;
        };
        if detail.code == Some(Code::TooLong) {
            return true;
        }
        let message = message.to_ascii_lowercase();
        ["context length", "context size", "context window"].iter().any(|it| message.contains(it))
    }

    /// Whether another model might answer the request: this one lacks what it needs, or is not asked at all.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        let Self::Refused { message, detail, .. } = self else {
            return false;
        };
        detail.code.is_some_and(Code::concerns_model)
            || [" does not support ", ELSEWHERE].iter().any(|words| message.contains(words))
    }

    /// Whether the backend refused the request because it does not take this field.
    #[must_use]
    pub fn is_without(&self, field: &str) -> bool {
        let Self::Refused { detail: Detail { code: Some(code), param: Some(param) }, .. } = self
        else {
            return false;
        };
        matches!(code, Code::UnsupportedParameter | Code::UnknownParameter) && param == field
    }

    /// Whether the request itself may have brought the backend into trouble: it had arrived before that.
    #[must_use]
    pub const fn may_be_poison(&self) -> bool {
        match self {
            Self::Unreachable { arrived, .. } => *arrived,
            Self::Cut { .. } => true,
            Self::Address { .. }
            | Self::File { .. }
            | Self::Key(_)
            | Self::Busy { .. }
            | Self::Untrusted { .. }
            | Self::Refused { .. }
            | Self::Overlong { .. } => false,
        }
    }

    /// Whether the backend said itself that it failed: perhaps it does so for this request alone, and answers all others.
    #[must_use]
    pub fn is_self_reported(&self) -> bool {
        match self {
            Self::Unreachable { reason, .. } => *reason == FAILED,
            Self::Cut { reason, .. } => reason.starts_with(REPORTED),
            Self::Address { .. }
            | Self::File { .. }
            | Self::Key(_)
            | Self::Busy { .. }
            | Self::Untrusted { .. }
            | Self::Refused { .. }
            | Self::Overlong { .. } => false,
        }
    }

    /// Whether the backend itself is in trouble: what a circuit breaker counts.
    #[must_use]
    pub const fn is_backend_fault(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Cut { .. } => true,
            Self::Address { .. }
            | Self::File { .. }
            | Self::Key(_)
            | Self::Busy { .. }
            | Self::Untrusted { .. }
            | Self::Refused { .. }
            | Self::Overlong { .. } => false,
        }
    }
}

/// What is said of a backend whose answer, or which itself, is not trusted.
const fn not_trusted(sent: bool) -> &'static str {
    if sent { "gave no answer that is taken" } else { "has not proved itself" }
}

fn in_file(path: Option<&PathBuf>) -> String {
    path.map(|path| format!(" in {}", path.display())).unwrap_or_default()
}
