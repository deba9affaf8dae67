//! Errors in OpenAI's shape.

use ai_gateway_api::kind;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chat_vocabulary::DecodeError;
use llm_backend::{Code, Detail};
use serde_json::json;

use super::Error;
use crate::models::Failure;

/// An error in OpenAI's shape.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct OpenAiError(#[from] pub Error);

impl OpenAiError {
    /// The body: `{"error": {message, type, param, code}}`.
    #[must_use]
    pub fn body(&self) -> serde_json::Value {
        let (status, kind, _) = self.0.kind();
        let (code, param) = self.code().unwrap_or((kind, None));
        let family = match status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        };
        let message = self.0.message();
        json!({"error": {"message": message, "type": family, "param": param, "code": code}})
    }
}

impl OpenAiError {
    /// The code where OpenAI has one of its own, and the field that is wrong.
    fn code(&self) -> Option<(&'static str, Option<&str>)> {
        Some(match &self.0 {
            Error::Model(Failure::Unknown { .. }) => ("model_not_found", Some("model")),
            Error::Model(Failure::TooLong(_)) => ("context_length_exceeded", Some("messages")),
            Error::Model(Failure::Unsupported(_, Detail { code, param })) => {
                (code.unwrap_or(Code::UnsupportedParameter).as_str(), param.as_deref())
            }
            Error::Model(Failure::Refused(_, Detail { code, param })) => {
                (code.map_or(kind::BODY, Code::as_str), param.as_deref())
            }
            Error::Chat(DecodeError::Unknown(name)) => ("unknown_parameter", Some(name)),
            Error::Chat(DecodeError::Field { at, .. }) => ("invalid_value", Some(at)),
            Error::Exceeded(_) => ("rate_limit_exceeded", None),
            Error::Key => ("invalid_api_key", None),
            Error::Model(_)
            | Error::Chat(_)
            | Error::Body(_)
            | Error::Request(_)
            | Error::TooLarge
            | Error::Slow
            | Error::Cut
            | Error::Version { .. }
            | Error::Sealed(_)
            | Error::Device
            | Error::Bind(_)
            | Error::App(_)
            | Error::NotFound
            | Error::Method
            | Error::Manage(_)
            | Error::Listener(_)
            | Error::Busy
            | Error::Store(_) => return None,
        })
    }
}

impl IntoResponse for OpenAiError {
    fn into_response(self) -> Response {
        self.0.answer(self.body())
    }
}
