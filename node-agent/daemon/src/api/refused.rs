//! Why a request of the local API is refused.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{body::JsonBodyError, problem::ErrorResponse};
use messages::{Language, Message, message};

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum Refused {
    NotRoot,
    Request(JsonBodyError),
    Invitation(Message),
    Joined(Message),
    NoHttps,
    NotFound,
    NotANode(Message),
    /// With the name that was asked for.
    NodeUnknown(String),
    /// With the name that was asked for.
    NodeAmbiguous(String),
    NodeSelf,
    /// With the peer's name.
    NoPong(String),
    PingRate,
    Stopping,
}

impl Refused {
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotRoot => (StatusCode::FORBIDDEN, "not-root"),
            Self::Request(rejection) => (rejection.status(), "request"),
            Self::Invitation(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invitation"),
            Self::Joined(_) => (StatusCode::CONFLICT, "joined"),
            Self::NoHttps => (StatusCode::BAD_GATEWAY, "no-https"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            Self::NotANode(_) => (StatusCode::CONFLICT, "not-a-node"),
            Self::NodeUnknown(_) => (StatusCode::NOT_FOUND, "node-unknown"),
            Self::NodeAmbiguous(_) => (StatusCode::CONFLICT, "node-ambiguous"),
            Self::NodeSelf => (StatusCode::CONFLICT, "node-self"),
            Self::NoPong(_) => (StatusCode::GATEWAY_TIMEOUT, "no-pong"),
            Self::PingRate => (StatusCode::TOO_MANY_REQUESTS, "ping-rate"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        }
    }

    fn message(self) -> Message {
        match self {
            Self::NotRoot => message!("problem-not-root"),
            Self::Request(reason) => {
                let reason = reason.to_string().replace('\n', " ");
                message!("problem-join-request", reason)
            }
            Self::Invitation(message) | Self::Joined(message) | Self::NotANode(message) => message,
            Self::NoHttps => message!("problem-no-https"),
            Self::NotFound => message!("problem-not-found"),
            Self::NodeUnknown(name) => message!("problem-node-unknown-name", name),
            Self::NodeAmbiguous(name) => message!("problem-node-ambiguous-name", name),
            Self::NodeSelf => message!("problem-node-self"),
            Self::NoPong(name) => message!("problem-no-pong-of", name),
            Self::PingRate => message!("problem-ping-rate"),
            Self::Stopping => message!("problem-stopping"),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, kind) = self.kind();
        let message = self.message();
        let title = message.text(Language::English).into_owned();
        let answer = ErrorResponse::new(status, kind, title).message(message);
        match status {
            StatusCode::TOO_MANY_REQUESTS => answer.retry_after(1).into_response(),
            _ => answer.into_response(),
        }
    }
}
