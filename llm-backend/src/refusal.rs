//! What a server says of a request that it refuses: its words, OpenAI's code, and which field is wrong.

use serde_json::Value;

use crate::{
    error::{Code, Detail, Error},
    text,
};

/// Longest message of a refusing backend that is passed on, in characters.
const MESSAGE_MAX: usize = 300;

/// Longest name of a field that is passed on, in characters.
const PARAM_MAX: usize = 100;
/// OpenAI's code for a key that is wrong: it is this gateway's, whatever the status. Google's servers say 400 of it.
const KEY: &str = "invalid_api_key";

/// An error as a server writes it.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// Its words, if it says any.
    pub(crate) message: Option<String>,
    detail: Detail,
    /// Whether it does not take this gateway's key.
    is_key_refused: bool,
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
            is_key_refused: code == Some(KEY),
        }
    }

    /// Whether it says by its code that the request is refused, and is no fault of the server's.
    pub(crate) fn is_refusal(&self) -> bool {
        self.is_key_refused || self.detail.code.is_some()
    }

    /// The refusal, which came with this status. One of our key is none of the request: another server may be asked.
    pub(crate) fn refused(self, backend: String, status: u16) -> Error {
        let status = if self.is_key_refused { 401 } else { status };
        let message = self.message.as_deref().map(shorten);
        let message = message.unwrap_or_else(|| "without saying why".to_owned());
        Error::Refused { backend, status, message, detail: self.detail }
    }
}

/// The message of an error value: an object with `message`, or a string.
pub(crate) fn message(error: &serde_json::Value) -> String {
    let text = error.get("message").unwrap_or(error).as_str();
    text.unwrap_or("without saying why").to_owned()
}

/// Whether a 503 says that the model is still being loaded.
pub(crate) fn is_loading(message: Option<&str>) -> bool {
    message.is_some_and(|message| message.to_ascii_lowercase().contains("loading"))
}

/// What llama-server says, with status 500, of a request that its model cannot take, in words that tell it from a fault:
/// `image input is not supported - hint: …`, `tools param requires --jinja flag`, and what the model's template says of a
/// conversation.
pub(crate) fn unsupported(message: &str) -> Option<String> {
    let lower = message.to_ascii_lowercase();
    if ["not supported", "not support ", "unsupported"].iter().any(|it| lower.contains(it)) {
        let kinds = [("image input", "vision"), ("audio input", "audio"), ("tools", "tools")];
        let known = kinds.iter().find(|(theirs, _)| lower.contains(theirs));
        if let Some((_, ours)) = known {
            return Some(format!("the model does not support {ours}"));
        }
    }
    // It was not started with what templates with tools need.
    if lower.contains("tools param requires") {
        return Some("the model does not support tools".to_owned());
    }
    let (_, said) = message.split_once("Jinja Exception: ")?;
    let said = shorten(said.lines().next().unwrap_or_default());
    Some(format!("the model's template does not support this conversation: {said}"))
}

/// The message of a refusing backend, as far as it is passed on; for tests and fuzzing.
#[must_use]
pub fn decode_error(body: &[u8]) -> Option<String> {
    Refusal::in_body(body).message.as_deref().map(shorten)
}

/// What is passed on of a backend's words.
pub(crate) fn shorten(text: &str) -> String {
    common::foreign::short(text, MESSAGE_MAX)
}
