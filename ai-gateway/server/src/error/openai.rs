//! Errors in OpenAI's format.

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

/// An error in OpenAI's format.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct OpenAiError(#[from] pub Error);

impl OpenAiError {
    /// The body: `{"error": {message, type, param, code}}`.
    #[must_use]
    pub(crate) fn body(&self) -> serde_json::Value {
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

    /// OpenAI's own code for the error, if there is one, and the field that is wrong.
    fn code(&self) -> Option<(&'static str, Option<&str>)> {
        if let Error::Model(failure) = &self.0 {
            return model_code(failure);
        }
        if let Error::Chat(DecodeError::Unknown(name)) = &self.0 {
            return Some(("unknown_parameter", Some(name)));
        }
        if let Error::Chat(DecodeError::Field { at, .. }) = &self.0 {
            return Some(("invalid_value", Some(at)));
        }
        let limit = matches!(&self.0, Error::Exceeded(_)).then_some(("rate_limit_exceeded", None));
        limit.or(matches!(&self.0, Error::Key).then_some(("invalid_api_key", None)))
    }
}

fn model_code(failure: &Failure) -> Option<(&'static str, Option<&str>)> {
    if let Failure::Unsupported(_, Detail { code, param }) = failure {
        let code = code.unwrap_or(Code::UnsupportedParameter);
        return Some((code.as_str(), param.as_deref()));
    }
    if let Failure::Refused(_, Detail { code, param }) = failure {
        return Some((code.map_or(kind::BODY, Code::as_str), param.as_deref()));
    }
    let unknown = matches!(failure, Failure::Unknown { .. });
    let too_long = matches!(failure, Failure::TooLong(_));
    let unknown = unknown.then_some(("model_not_found", Some("model")));
    unknown.or(too_long.then_some(("context_length_exceeded", Some("messages"))))
}

impl IntoResponse for OpenAiError {
    fn into_response(self) -> Response {
        self.0.answer(self.body())
    }
}
