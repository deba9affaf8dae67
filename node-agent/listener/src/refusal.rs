//! Why a request is refused, and the response.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::problem::ErrorResponse;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `Host` is missing, repeated, or another name.
    #[error("this service does not answer to that Host")]
    Host,
    /// `Origin` or Fetch Metadata of a website.
    #[error("requests from websites are refused")]
    Origin,
    /// The body has no content type, or another one than JSON.
    #[error("a body must be sent as application/json")]
    ContentType,
    /// The body has no content type, or one that its endpoint does not declare.
    #[error("this endpoint does not accept a body of that content type")]
    MediaType,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::ContentType | Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// The kind of problem: the word after `urn:maru:problem:`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Origin => "origin",
            Self::ContentType | Self::MediaType => "content-type",
        }
    }

    /// What the client can do.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Host => "Use the service's own name or its mesh address.",
            Self::Origin => {
                "Use an app that is not a website, or ask the admin to list this origin."
            }
            Self::ContentType => "Send JSON with the header Content-Type: application/json.",
            Self::MediaType => "Name the type of the body in the header Content-Type.",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = ErrorResponse::new(self.status(), self.kind(), self.to_string());
        problem.detail(self.detail()).into_response()
    }
}
