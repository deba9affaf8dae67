//! Errors in llama-server's format: `{"error": {"code", "message", "type"}}`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    engine::{PromptError, QueueFull},
    request::InvalidRequest,
};

/// An error for the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The body cannot be used; says why, without repeating it.
    #[error(transparent)]
    Request(#[from] InvalidRequest),
    /// The connection broke within the body.
    #[error("the body did not arrive")]
    Arrival,
    /// The body takes too long to arrive.
    #[error("the body did not arrive in time")]
    Late,
    /// The conversation cannot be made into a prompt.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The body is too long.
    #[error("the request body is longer than 4 MiB")]
    TooLarge,
    /// The model is not loaded yet.
    #[error("Loading model")]
    Loading,
    /// Too many requests are waiting.
    #[error("all slots are busy and the queue is full; try again later")]
    QueueFull,
    /// The grammar leaves no token.
    #[error(
        "the model has no token with which the reply could follow response_format; ask for another format, or another model"
    )]
    NoToken,
    /// The engine is stopping, or failed.
    #[error("the engine failed or is stopping; try again")]
    Engine,
    /// No such path.
    #[error(
        "no such path; there are /v1/chat/completions, /v1/completions, /v1/models, /health and /slots"
    )]
    NotFound,
    /// No such method.
    #[error("this path does not support that method")]
    Method,
}

impl ApiError {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Prompt(PromptError::TooLong { .. }) => {
                (StatusCode::BAD_REQUEST, "exceed_context_size_error")
            }
            Self::Request(_) | Self::Arrival | Self::Prompt(_) => {
                (StatusCode::BAD_REQUEST, "invalid_request_error")
            }
            Self::Late => (StatusCode::REQUEST_TIMEOUT, "invalid_request_error"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error"),
            Self::Loading | Self::QueueFull => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable_error")
            }
            Self::NoToken | Self::Engine => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found_error"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "not_supported_error"),
        }
    }

    /// The error's JSON, for a response or an event of a stream.
    pub(super) fn body(&self) -> Value {
        let (status, kind) = self.kind();
        let mut error =
            json!({ "code": status.as_u16(), "message": self.to_string(), "type": kind });
        if let Self::Prompt(PromptError::TooLong { tokens, ctx }) = self {
            error["n_prompt_tokens"] = json!(tokens);
            error["n_ctx"] = json!(ctx);
        }
        json!({ "error": error })
    }
}

impl From<QueueFull> for ApiError {
    fn from(QueueFull: QueueFull) -> Self {
        Self::QueueFull
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.kind().0, Json(self.body())).into_response()
    }
}
