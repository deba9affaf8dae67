//! HTTP errors as problem documents (RFC 9457).
//!
//! A body contains the error's own sentence (`Display`), and what to do. Causes (`Error::source`) go to the log only: the
//! text of a database, disk or upstream may be confidential.

use std::error::Error;

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use common::problem::{CONTENT_TYPE, Problem};
use messages::{Language, Message};

/// An HTTP error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    status: StatusCode,
    kind: &'static str,
    title: String,
    detail: Option<String>,
    message: Option<Box<Message>>,
    retry_after_s: Option<u64>,
}

impl ErrorResponse {
    /// A response of problem type `urn:maru:problem:<kind>`.
    pub fn new(status: StatusCode, kind: &'static str, title: impl Into<String>) -> Self {
        Self { status, kind, title: title.into(), detail: None, message: None, retry_after_s: None }
    }

    /// The response to a request that failed with `error`, without its causes. Logs server errors (5xx) with their causes,
    /// others at level debug.
    pub fn of(status: StatusCode, kind: &'static str, error: &(dyn Error + 'static)) -> Self {
        if status.is_server_error() {
            tracing::error!(error, kind, "request failed");
        } else {
            tracing::debug!(%error, kind, "request refused");
        }
        Self::new(status, kind, error.to_string())
    }

    /// Adds what the client can do.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names the message that says the same in other languages; its attribute `detail` is the detail.
    #[must_use]
    pub fn message(self, message: Message) -> Self {
        let detail = message.attribute("detail", Language::English).or(self.detail);
        Self { detail, message: Some(Box::new(message)), ..self }
    }

    /// Adds a `Retry-After` header, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let (message, arguments) = self.message.and_then(|message| message.into_parts()).unzip();
        let problem = Problem {
            detail: self.detail,
            message,
            arguments: arguments.unwrap_or_default(),
            ..Problem::new(self.kind, self.status.as_u16(), self.title)
        };
        let content_type = [(header::CONTENT_TYPE, CONTENT_TYPE)];
        let mut response = (self.status, content_type, Json(problem)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[cfg(test)]
mod tests;
