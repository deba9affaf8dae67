//! HTTP errors: a problem document (RFC 9457) as an answer.
//!
//! A body says what the error itself says (`Display`), and what to do. Its causes (`Error::source`) are for the log
//! alone: what the database, the disk or the next hop said may name what only the operator may know.

use std::error::Error;

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use common::problem::{CONTENT_TYPE, Problem};
use messages::{Language, Message};

/// An error as it is answered over HTTP.
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
    /// An answer whose problem is of type `urn:maru:problem:<kind>`.
    pub fn new(status: StatusCode, kind: &'static str, title: impl Into<String>) -> Self {
        Self { status, kind, title: title.into(), detail: None, message: None, retry_after_s: None }
    }

    /// The answer to a request that failed with `error`: its own sentence, and none of its causes.
    ///
    /// What failed here (5xx) goes to the log with all its causes, what was refused only to who looks closely.
    pub fn of(status: StatusCode, kind: &'static str, error: &(dyn Error + 'static)) -> Self {
        if status.is_server_error() {
            tracing::error!(error, kind, "request failed");
        } else {
            tracing::debug!(%error, kind, "request refused");
        }
        Self::new(status, kind, error.to_string())
    }

    /// Adds what the reader can do about it.
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
