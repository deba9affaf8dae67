//! Frames of OpenClaw's WebSocket protocol v4, as JSON text: requests, responses, events
//! (`RequestFrame`, `ResponseFrame`, `EventFrame` of `@openclaw/gateway-protocol` 2026.9.1).

use std::borrow::Cow;

use common::surrogate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::Error;

/// Longest id of a request, and longest name of a method, in bytes. The response repeats them.
const NAME_MAX: usize = 256;

/// A request, borrowed from its text.
#[derive(Debug, Deserialize)]
pub struct Request<'a> {
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    /// Repeated by the response.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The method's name.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// The text is not a request.
#[derive(Debug, thiserror::Error)]
#[error("send requests as JSON: type \"req\", id, method, params")]
pub struct NotARequest;

/// Replaces lone surrogates in a message, which JavaScript may send.
#[must_use]
pub fn cleaned(text: String) -> String {
    surrogate::replace_lone_in(text)
}

impl<'a> Request<'a> {
    /// Parses a message.
    ///
    /// # Errors
    ///
    /// It is not the JSON of a request, or its id or method is empty or has more than 256 bytes.
    pub fn parse(text: &'a str) -> Result<Self, NotARequest> {
        let request: Self = serde_json::from_str(text).map_err(|_| NotARequest)?;
        let is_name = |name: &str| (1..=NAME_MAX).contains(&name.len());
        let is_request = request.kind == "req" && is_name(&request.id) && is_name(&request.method);
        is_request.then_some(request).ok_or(NotARequest)
    }

    /// Size of the parameters, in bytes.
    pub(super) fn len(&self) -> usize {
        self.params.map_or(0, |params| params.get().len())
    }

    /// The parameters of this method. Unknown ones are ignored: the protocol grows by calendar.
    pub(super) fn params<T: Deserialize<'a>>(&self) -> Result<T, Failure> {
        let text = self.params.map_or("{}", RawValue::get);
        // The cause could quote a message. A list would be read as the members in order.
        let params = text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten();
        params.ok_or_else(|| Failure::Invalid(format!("invalid {} params", self.method).into()))
    }
}

/// Why a request failed (`ErrorShape`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The request has to be changed.
    Invalid(Cow<'static, str>),
    /// The handshake is refused, with a code of OpenClaw's `ConnectErrorDetailCodes`.
    Connect(&'static str, &'static str),
    /// The caller lacks this scope.
    Scope(&'static str),
    /// The same request may succeed later.
    Unavailable(Cow<'static, str>, Option<u64>),
}

impl Failure {
    /// Itself as JSON, for the result of a request that succeeded in part.
    pub(super) fn shape(&self) -> Value {
        // Texts and numbers: it cannot fail.
        serde_json::to_value(ErrorShape::from(self)).unwrap_or_default()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.message().into();
        match error.retry_after_s() {
            Some(seconds) => Self::Unavailable(message, Some(seconds.saturating_mul(1000))),
            None if error.is_for_the_caller() => Self::Invalid(message),
            None => Self::Unavailable(message, None),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorShape<'a> {
    code: &'static str,
    message: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_scope: Option<&'static str>,
}

impl<'a> From<&'a Failure> for ErrorShape<'a> {
    fn from(failure: &'a Failure) -> Self {
        let shape = |code, message| Self {
            code,
            message,
            details: None,
            retryable: false,
            retry_after_ms: None,
        };
        match failure {
            Failure::Invalid(message) => shape("INVALID_REQUEST", Cow::Borrowed(message)),
            Failure::Connect(code, message) => {
                let details = Some(Details { code, missing_scope: None });
                Self { details, ..shape("INVALID_REQUEST", Cow::Borrowed(message)) }
            }
            Failure::Scope(scope) => {
                let details = Details { code: "MISSING_SCOPE", missing_scope: Some(scope) };
                let message = format!("missing scope: {scope}").into();
                Self { details: Some(details), ..shape("FORBIDDEN", message) }
            }
            Failure::Unavailable(message, retry_after_ms) => Self {
                retryable: true,
                retry_after_ms: *retry_after_ms,
                ..shape("UNAVAILABLE", Cow::Borrowed(message))
            },
        }
    }
}

#[derive(Serialize)]
struct Response<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorShape<'a>>,
}

#[derive(Serialize)]
struct Event<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    event: &'static str,
    payload: &'a T,
    seq: u64,
}

/// The text of a response.
pub(super) fn response<T: Serialize>(id: &str, result: Result<&T, &Failure>) -> String {
    let (payload, error) = match result {
        Ok(payload) => (Some(payload), None),
        Err(failure) => (None, Some(failure.into())),
    };
    encode(&Response { kind: "res", id, ok: error.is_none(), payload, error })
}

/// The text of an event, which a connection numbers.
pub(super) fn event<T: Serialize>(name: &'static str, seq: u64, payload: &T) -> String {
    encode(&Event { kind: "event", event: name, payload, seq })
}

fn encode(frame: &impl Serialize) -> String {
    // Maps with text as keys, and texts: neither can fail.
    serde_json::to_string(frame).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_has_a_type_an_id_and_a_method() {
        let text =
            r#"{"type":"req","id":"1","method":"chat.send","params":{"a":"b"},"traceparent":"x"}"#;
        let request = Request::parse(text).unwrap();
        assert_eq!((&*request.id, &*request.method), ("1", "chat.send"));
        assert_eq!(request.params::<Value>().unwrap(), json!({"a": "b"}));
        let long = format!(r#"{{"type":"req","id":"{}","method":"a"}}"#, "x".repeat(257));
        for text in [
            "",
            "[]",
            "null",
            r#"{"type":"res","id":"1","method":"a"}"#,
            r#"{"type":"req","id":"","method":"a"}"#,
            r#"{"type":"req","id":1,"method":"a"}"#,
            r#"{"type":"req","id":"1"}"#,
            &long,
            &"[".repeat(100_000),
        ] {
            assert!(Request::parse(text).is_err(), "{:.40}", text);
        }
    }

    #[test]
    fn what_a_person_wrote_is_in_no_error() {
        let text =
            r#"{"type":"req","id":"1","method":"chat.send","params":{"message":["secret"]}}"#;
        #[derive(Debug, Deserialize)]
        struct Params {
            #[expect(dead_code, reason = "only read")]
            message: String,
        }
        let failure = Request::parse(text).unwrap().params::<Params>().unwrap_err();
        assert_eq!(failure, Failure::Invalid("invalid chat.send params".into()));
    }

    #[test]
    fn frames_have_the_protocols_members() {
        let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        assert_eq!(
            read(response("1", Ok(&json!({"ok": true})))),
            json!({"type": "res", "id": "1", "ok": true, "payload": {"ok": true}})
        );
        assert_eq!(
            read(response::<()>("1", Err(&Failure::Scope("operator.admin")))),
            json!({"type": "res", "id": "1", "ok": false, "error": {"code": "FORBIDDEN",
                "message": "missing scope: operator.admin",
                "details": {"code": "MISSING_SCOPE", "missingScope": "operator.admin"}}})
        );
        assert_eq!(
            read(response::<()>("1", Err(&Failure::Unavailable("busy".into(), Some(2000))))),
            json!({"type": "res", "id": "1", "ok": false, "error": {"code": "UNAVAILABLE",
                "message": "busy", "retryable": true, "retryAfterMs": 2000}})
        );
        assert_eq!(
            read(event("tick", 7, &json!({"ts": 1}))),
            json!({"type": "event", "event": "tick", "payload": {"ts": 1}, "seq": 7})
        );
    }
}
