//! A server's refusal of a request: its message, OpenAI's code, and the wrong field.

use serde_json::Value;

use crate::{
    error::{Code, Detail, Error},
    text,
};

/// Longest message of a refusing backend that is passed on, in characters.
const MESSAGE_MAX: usize = 300;

/// Longest name of a field that is passed on, in characters.
const PARAM_MAX: usize = 100;
/// OpenAI's code for a wrong key: it concerns this gateway's key, whatever the status. Google's servers answer 400.
const KEY: &str = "invalid_api_key";

/// The message if the server sent none.
const NO_MESSAGE: &str = "without a message";

/// An error as a server writes it.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// The message, if there is one.
    pub(crate) message: Option<String>,
    detail: Detail,
    /// Whether the server rejects this gateway's key.
    is_key_refused: bool,
}

impl Refusal {
    /// Reads `{"error": …}` from the body of an answer, in any of the formats that servers use.
    pub(crate) fn in_body(body: &[u8]) -> Self {
        let body = str::from_utf8(body).ok().and_then(|body| text::json::<Value>(body).ok());
        body.as_ref().and_then(|body| body.get("error")).map(Self::in_error).unwrap_or_default()
    }

    /// Reads the value of `error`.
    pub(crate) fn in_error(error: &Value) -> Self {
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let code = text("code");
        let known = Code::ALL.into_iter().find(|known| code == Some(known.as_str()));
        let param = text("param").filter(|param| !param.is_empty());
        let param = param.map(|param| common::foreign::short(param, PARAM_MAX));
        Self {
            message: Some(message(error)),
            detail: Detail { code: known, param },
            is_key_refused: code == Some(KEY),
        }
    }

    /// Whether the code is that of a refusal and not of a fault of the server.
    pub(crate) fn is_refusal(&self) -> bool {
        self.is_key_refused || self.detail.code.is_some()
    }

    /// The error for this refusal, which had this status. If the key was rejected, the request may be sent to another
    /// server.
    pub(crate) fn refused(self, backend: String, status: u16) -> Error {
        let status = if self.is_key_refused { 401 } else { status };
        let message = self.message.as_deref().map(shorten);
        let message = message.unwrap_or_else(|| NO_MESSAGE.to_owned());
        Error::Refused { backend, status, message, detail: self.detail }
    }
}

/// The message of an error value: an object with `message`, or a string.
pub(crate) fn message(error: &serde_json::Value) -> String {
    let text = error.get("message").unwrap_or(error).as_str();
    text.unwrap_or(NO_MESSAGE).to_owned()
}

/// Whether a 503 says that the model is still being loaded.
pub(crate) fn is_loading(message: Option<&str>) -> bool {
    message.is_some_and(|message| message.to_ascii_lowercase().contains("loading"))
}

/// The error message if llama-server's message with status 500 means that its model does not support the request, which
/// is not a fault: `image input is not supported - hint: …`, `tools param requires --jinja flag`, or an exception of
/// the model's template.
pub(crate) fn unsupported(message: &str) -> Option<String> {
    let lower = message.to_ascii_lowercase();
    if ["not supported", "not support ", "unsupported"].iter().any(|it| lower.contains(it)) {
        let kinds = [("image input", "vision"), ("audio input", "audio"), ("tools", "tools")];
        let known = kinds.iter().find(|(theirs, _)| lower.contains(theirs));
        if let Some((_, ours)) = known {
            return Some(format!("the model does not support {ours}"));
        }
    }
    // It was started without the option that templates with tools need.
    if lower.contains("tools param requires") {
        return Some("the model does not support tools".to_owned());
    }
    let (_, exception) = message.split_once("Jinja Exception: ")?;
    let exception = shorten(exception.lines().next().unwrap_or_default());
    Some(format!("the model's template does not support this conversation: {exception}"))
}

/// The shortened message of a refusal; for tests and fuzzing.
#[must_use]
pub fn decode_error(body: &[u8]) -> Option<String> {
    Refusal::in_body(body).message.as_deref().map(shorten)
}

/// Shortens a backend's message to the part that is passed on.
pub(crate) fn shorten(text: &str) -> String {
    common::foreign::short(text, MESSAGE_MAX)
}
