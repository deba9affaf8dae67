//! What a server says of a request that it refuses, besides its words: OpenAI's code, and which field is wrong.

use serde_json::Value;

use crate::{
    Error,
    link::{message, shorten},
    text,
};

/// Longest name of a field that is passed on, in characters.
const PARAM_MAX: usize = 100;
/// OpenAI's code for a key that is wrong: it is this gateway's, whatever the status. Google's servers say 400 of it.
const KEY: &str = "invalid_api_key";

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
    const ALL: [Self; 6] = [
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
    pub(crate) const fn is_of_the_model(self) -> bool {
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

/// An error as a server writes it.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// Its words, if it says any.
    pub(crate) message: Option<String>,
    detail: Detail,
    /// Whether it does not take this gateway's key.
    is_of_key: bool,
}

impl Refusal {
    /// What the body of an answer says in `{"error": …}`, in any of the shapes that servers use.
    pub(crate) fn in_body(body: &[u8]) -> Self {
        let body = str::from_utf8(body).ok().and_then(|body| text::json::<Value>(body).ok());
        body.as_ref().and_then(|body| body.get("error")).map(Self::in_error).unwrap_or_default()
    }

    /// What such an error value says.
    pub(crate) fn in_error(error: &Value) -> Self {
        let word = |name: &str| error.get(name).and_then(Value::as_str);
        let code = word("code");
        let known = Code::ALL.into_iter().find(|known| code == Some(known.as_str()));
        let param = word("param").filter(|param| !param.is_empty());
        let param = param.map(|param| common::foreign::short(param, PARAM_MAX));
        Self {
            message: Some(message(error)),
            detail: Detail { code: known, param },
            is_of_key: code == Some(KEY),
        }
    }

    /// Whether it says by its code that the request is refused, and is no fault of the server's.
    pub(crate) fn is_refusal(&self) -> bool {
        self.is_of_key || self.detail.code.is_some()
    }

    /// The refusal, which came with this status. One of our key is none of the request: another server may be asked.
    pub(crate) fn refused(self, backend: String, status: u16) -> Error {
        let status = if self.is_of_key { 401 } else { status };
        let message = self.message.as_deref().map(shorten);
        let message = message.unwrap_or_else(|| "without saying why".to_owned());
        Error::Refused { backend, status, message, detail: self.detail }
    }
}
