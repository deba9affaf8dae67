//! Why a backend gave no answer, or not a whole one.

use std::{borrow::Cow, error::Error as StdError, path::PathBuf, sync::Arc, time::Duration};

use chassis::pem::FileError;

/// The cause of an error.
pub(crate) type Cause = Arc<dyn StdError + Send + Sync>;

/// How [`Error::Cut`] begins to tell of an error in the place of an answer.
pub(crate) const REPORTED: &str = "the backend reported an error: ";

/// What is said of a backend that says itself that it failed.
pub(crate) const FAILED: &str = "failed inside: look at its log";
/// What is said of every model that is not at home.
pub(crate) const ELSEWHERE: &str = " runs in Ollama's cloud: only models at home are asked";

/// Why a request is refused: those of OpenAI's codes that its clients go by. All others are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The model does not take this field.
    UnsupportedParameter,
    /// The model does not take this field's value.
    UnsupportedValue,
    /// The server does not know this field.
    UnknownParameter,
    /// The field's value is none that it may have.
    InvalidValue,
    /// The field's value is of another type than it must be.
    InvalidType,
    /// The conversation is longer than the model's context.
    TooLong,
}

impl Code {
    pub(crate) const ALL: [Self; 6] = [
        Self::UnsupportedParameter,
        Self::UnsupportedValue,
        Self::UnknownParameter,
        Self::InvalidValue,
        Self::InvalidType,
        Self::TooLong,
    ];

    /// OpenAI's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnsupportedParameter => "unsupported_parameter",
            Self::UnsupportedValue => "unsupported_value",
            Self::UnknownParameter => "unknown_parameter",
            Self::InvalidValue => "invalid_value",
            Self::InvalidType => "invalid_type",
            Self::TooLong => "context_length_exceeded",
        }
    }

    /// Whether another model might take the request as it is.
    pub(crate) const fn concerns_model(self) -> bool {
        match self {
            Self::UnsupportedParameter | Self::UnsupportedValue | Self::UnknownParameter => true,
            Self::InvalidValue | Self::InvalidType | Self::TooLong => false,
        }
    }
}

/// What a refusal says besides its words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Why.
    pub code: Option<Code>,
    /// The field that is wrong, as the server names it, in at most 100 characters on one line.
    pub param: Option<String>,
}

/// A backend failed. The variants are named by what the caller can do about it.
///
/// `Display` is one sentence with what to do; the cause is in `source()`.
#[derive(Clone, Debug, thiserror::Error)]
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
        source: Option<Cause>,
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
        source: Option<Cause>,
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
        source: Option<Cause>,
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
        Self::File { path, reason, source: source.map(Arc::from) }
    }
}

impl Error {
    /// The reply broke off.
    pub(crate) fn cut(
        backend: &str,
        began: bool,
        reason: impl Into<String>,
        source: Option<Cause>,
    ) -> Self {
        Self::Cut { backend: backend.to_owned(), reason: reason.into(), began, source }
    }

    /// A check failed before anything that people wrote was sent.
    pub(crate) fn untrusted(backend: &str, code: &'static str, reason: &'static str) -> Self {
        Self::Untrusted { backend: backend.to_owned(), code, reason, sent: false }
    }

    /// The same of a request that had been sent before it failed.
    pub(crate) fn once_sent(mut self) -> Self {
        if let Self::Untrusted { sent, .. } = &mut self {
            *sent = true;
        }
        self
    }

    /// Whether the settings, or a file that they name, cannot be used.
    #[must_use]
    pub const fn is_settings_fault(&self) -> bool {
        matches!(self, Self::Address { .. } | Self::File { .. } | Self::Key(_))
    }

    /// Whether the same request may be sent to another backend: this one has delivered no text, and the fault is
    /// the backend's, not the request's.
    #[must_use]
    pub const fn may_try_another(&self) -> bool {
        if let Self::Refused { status, .. } = self {
            // A redirect, a wrong key, an unknown path or model concerns this backend alone.
            return matches!(status, 300..=399 | 401 | 403..=405 | 407);
        }
        !matches!(self, Self::Cut { began: true, .. } | Self::Overlong { .. })
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

    /// Whether the request itself may have caused the fault: the backend had received it before.
    #[must_use]
    pub const fn may_be_poison(&self) -> bool {
        matches!(self, Self::Unreachable { arrived: true, .. } | Self::Cut { .. })
    }

    /// Whether the backend reported the failure itself. It may fail at this request alone, and answer all others.
    #[must_use]
    pub fn is_self_reported(&self) -> bool {
        let unreachable = matches!(self, Self::Unreachable { reason, .. } if *reason == FAILED);
        unreachable || matches!(self, Self::Cut { reason, .. } if reason.starts_with(REPORTED))
    }

    /// Whether it is a fault of the backend, which a circuit breaker counts.
    #[must_use]
    pub const fn is_backend_fault(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Cut { .. })
    }
}

/// What is said of a backend whose answer, or which itself, is not trusted.
const fn not_trusted(sent: bool) -> &'static str {
    if sent { "gave no answer that is taken" } else { "has not proved itself" }
}

fn in_file(path: Option<&PathBuf>) -> String {
    path.map(|path| format!(" in {}", path.display())).unwrap_or_default()
}
