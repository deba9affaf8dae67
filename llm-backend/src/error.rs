//! Why a backend gave no answer, or an incomplete one.

use std::{borrow::Cow, error::Error as StdError, path::PathBuf, sync::Arc, time::Duration};

use chassis::pem::FileError;

/// The cause of an error.
pub(crate) type Cause = Arc<dyn StdError + Send + Sync>;

/// The beginning of the reason of [`Error::Cut`] if the backend sent an error instead of an answer.
pub(crate) const REPORTED: &str = "the backend reported an error: ";

/// The reason if a backend reports that it failed.
pub(crate) const FAILED: &str = "had an internal error: look at its log";
/// The end of the message for a model that does not run at home.
pub(crate) const ELSEWHERE: &str = " runs in Ollama's cloud: only models at home can be used";

/// Why a request is refused: the codes of OpenAI that clients act on. Other codes are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The model does not support this field.
    UnsupportedParameter,
    /// The model does not support this field's value.
    UnsupportedValue,
    /// The server does not have this field.
    UnknownParameter,
    /// The field's value is invalid.
    InvalidValue,
    /// The field's value has the wrong type.
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

    /// OpenAI's name of the code.
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

    /// Whether another model might accept the unchanged request.
    pub(crate) const fn concerns_model(self) -> bool {
        match self {
            Self::UnsupportedParameter | Self::UnsupportedValue | Self::UnknownParameter => true,
            Self::InvalidValue | Self::InvalidType | Self::TooLong => false,
        }
    }
}

/// The machine-readable part of a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Why.
    pub code: Option<Code>,
    /// The field that is wrong, as the server names it, in at most 100 characters on one line.
    pub param: Option<String>,
}

/// A backend failed. Each variant is a different case for the caller.
///
/// `Display` is one sentence that says what to do; the cause is in `source()`.
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
        /// The underlying error, if there is one.
        source: Option<Cause>,
    },
    /// The key cannot be sent: it is empty, or contains characters that a header cannot contain. With the key's file,
    /// if it comes from one.
    #[error("the API key{} is empty or not one word of ASCII", in_file(.0.as_ref()))]
    Key(Option<PathBuf>),
    /// It gave no answer at all. The request may be sent to another backend.
    #[error("backend {backend} {reason}")]
    Unreachable {
        /// Its base URL.
        backend: String,
        /// What happened, and what to do.
        reason: &'static str,
        /// Whether it may have received the request.
        arrived: bool,
        /// The underlying error, if there is one.
        source: Option<Cause>,
    },
    /// It is up, but accepts no requests now: it is full, is loading its model, or is draining. The request may be sent
    /// to another backend.
    #[error("backend {backend} {reason}")]
    Busy {
        /// Its base URL.
        backend: String,
        /// What it reported, and what to do.
        reason: &'static str,
    },
    /// No node was verified, so nothing was sent; or the answer is not one that a verified node sealed.
    #[error("backend {backend} {} ({code}): {reason}", not_trusted(*.sent))]
    Untrusted {
        /// Its name.
        backend: String,
        /// Which check failed: a stable word in kebab-case.
        code: &'static str,
        /// The same as a sentence.
        reason: &'static str,
        /// Whether the request had been sent before, sealed to verified nodes.
        sent: bool,
    },
    /// It refused this request.
    #[error("backend {backend} refused the request ({status}): {message}")]
    Refused {
        /// Its base URL.
        backend: String,
        /// HTTP status.
        status: u16,
        /// The backend's message, at most 300 characters.
        message: String,
        /// The backend's code, and the field that it names.
        detail: Detail,
    },
    /// The reply was cut: it is incomplete.
    #[error("the reply from backend {backend} was cut: {reason}; ask again")]
    Cut {
        /// Its base URL.
        backend: String,
        /// What happened.
        reason: String,
        /// Whether text had been received before.
        began: bool,
        /// The underlying error, if there is one.
        source: Option<Cause>,
    },
    /// The reply began, but exceeded the time limit of a reply.
    #[error("the reply from backend {backend} took longer than {budget:?}: ask for a shorter one")]
    Overlong {
        /// Its base URL.
        backend: String,
        /// The time limit, which begins with the first delta.
        budget: Duration,
    },
}

impl From<FileError> for Error {
    fn from(FileError { path, reason, source }: FileError) -> Self {
        Self::File { path, reason, source: source.map(Arc::from) }
    }
}

impl Error {
    /// [`Error::Cut`].
    pub(crate) fn cut(
        backend: &str,
        began: bool,
        reason: impl Into<String>,
        source: Option<Cause>,
    ) -> Self {
        Self::Cut { backend: backend.to_owned(), reason: reason.into(), began, source }
    }

    /// [`Error::Untrusted`] for a check that failed before any text of people was sent.
    pub(crate) fn untrusted(backend: &str, code: &'static str, reason: &'static str) -> Self {
        Self::Untrusted { backend: backend.to_owned(), code, reason, sent: false }
    }

    /// Records that the request had been sent before it failed.
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

    /// Whether the same request may be sent to another backend: this one has delivered no text, and the fault is the
    /// backend's, not the request's.
    #[must_use]
    pub const fn may_try_another(&self) -> bool {
        if let Self::Refused { status, .. } = self {
            // A redirect, a wrong key, an unknown path or an unknown model concerns only this backend.
            return matches!(status, 300..=399 | 401 | 403..=405 | 407);
        }
        !matches!(self, Self::Cut { began: true, .. } | Self::Overlong { .. })
    }

    /// Whether the request was refused because the conversation is longer than the model's context, by OpenAI's code or
    /// by the messages of `maru-llm`, llama-server, vLLM and Ollama.
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

    /// Whether another model might answer the request: this one lacks a capability, or runs in a cloud.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        let Self::Refused { message, detail, .. } = self else {
            return false;
        };
        detail.code.is_some_and(Code::concerns_model)
            || [" does not support ", ELSEWHERE].iter().any(|part| message.contains(part))
    }

    /// Whether the backend refused the request because it does not support this field.
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

    /// Whether the backend reported the failure itself. It may fail only at this request, and answer all others.
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

/// What failed: the answer if the request was sent, or else the backend's evidence.
const fn not_trusted(sent: bool) -> &'static str {
    if sent { "gave no valid answer" } else { "was not verified" }
}

fn in_file(path: Option<&PathBuf>) -> String {
    path.map(|path| format!(" in {}", path.display())).unwrap_or_default()
}
