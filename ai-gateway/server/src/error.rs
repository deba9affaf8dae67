//! What can go wrong in a request, and what the caller is told: a problem (RFC 9457), or OpenAI's shape on `/v1`,
//! Ollama's on `/api`.

pub(crate) mod ollama;
pub(crate) mod openai;

use ai_gateway_api::kind;
use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::{body::BodyError, problem::ErrorResponse, state::StateError};
use hpke_envelope::gateway::{OpenError, Reason};
use llm_backend::{Code, Detail};
use mesh_listener::Refusal;

use crate::{
    apps::AppError,
    devices,
    limits::{Exceeded, Limit},
    models::Failure,
};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is not what this endpoint takes.
    #[error("the body is not the JSON of this endpoint")]
    Body(#[source] serde_json::Error),
    /// The body is no chat request, or asks for what nobody here knows.
    #[error(transparent)]
    Chat(#[from] chat_vocabulary::DecodeError),
    /// The body is empty of what it must say, or says too much.
    #[error("{0}")]
    Request(&'static str),
    /// The body is larger than this endpoint takes.
    #[error("the request is too large")]
    TooLarge,
    /// The body did not arrive in time.
    #[error("the request did not arrive in time")]
    Slow,
    /// The body did not come to its end.
    #[error("the body ended early")]
    Cut,
    /// The body names a version that this gateway does not speak.
    #[error("version {found} is not known here; this gateway speaks version {known}")]
    Version {
        /// The version that the body names.
        found: u64,
        /// The one that this gateway speaks.
        known: u32,
    },
    /// A sealed request, or a proof, does not hold. The reason is counted, never sent.
    #[error("the request cannot be opened")]
    Sealed(Reason),
    /// The device key is not bound to the calling node and its person.
    #[error("this device key is not bound to the calling node and its person")]
    Device,
    /// The device key cannot be bound.
    #[error(transparent)]
    Bind(#[from] devices::BindError),
    /// A program of this machine has no key, or a wrong one.
    #[error("this needs the key of an app")]
    Key,
    /// The admin's call about an app cannot be done.
    #[error(transparent)]
    App(#[from] AppError),
    /// There is no such thing.
    #[error("there is nothing here")]
    NotFound,
    /// The path does not take that method.
    #[error("this path does not take that method")]
    Method,
    /// It would change which models there are.
    #[error("{0}")]
    Manage(&'static str),
    /// The listener refused it.
    #[error(transparent)]
    Listener(#[from] Refusal),
    /// A limit was exceeded.
    #[error("{}", match .0.limit {
        Limit::Rate => "too many requests",
        Limit::Person => "you have as many requests waiting as one person may",
        Limit::Total => "the queue of this model is full",
        Limit::WaitTime => "the model was busy with other replies for as long as a request may wait",
        Limit::Preempted => "others waited for the model, and this reply had not begun in its time",
    })]
    Exceeded(Exceeded),
    /// No memory, randomness or the like is left for now.
    #[error("the gateway has no room for this now")]
    Busy,
    /// No model answers.
    #[error(transparent)]
    Model(#[from] Failure),
    /// The gateway's own state could not be stored.
    #[error("the gateway cannot store its state")]
    Store(#[from] StateError),
}

impl From<BodyError> for Error {
    fn from(unread: BodyError) -> Self {
        match unread {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::NoMemory => Self::Busy,
            BodyError::Incomplete => Self::Cut,
            BodyError::Timeout => Self::Slow,
        }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Refused(refused) => Self::Sealed(refused.0),
            OpenError::CacheFull(_) | OpenError::Random(_) => Self::Busy,
        }
    }
}

impl From<ai_gateway_api::wire::DecodeError> for Error {
    fn from(error: ai_gateway_api::wire::DecodeError) -> Self {
        match error {
            ai_gateway_api::wire::DecodeError::Version { found, known } => {
                Self::Version { found, known }
            }
            ai_gateway_api::wire::DecodeError::Json(error) => Self::Body(error),
        }
    }
}

const AT_HOME: &str = "Ask whoever runs this gateway to do it there.";
const RETRY: &str = "Ask again in a moment.";
const ADMIN: &str = "Ask again; if it stays so, the admin can see why with `maru doctor`.";

impl Error {
    /// Status, problem kind, and what to do.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Body(_) => {
                (StatusCode::BAD_REQUEST, kind::BODY, "Correct the body; see docs/protocols.")
            }
            Self::Chat(_) | Self::Request(_) => {
                (StatusCode::BAD_REQUEST, kind::BODY, "Correct the request.")
            }
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                kind::TOO_LARGE,
                "Start a new conversation, or send less text.",
            ),
            Self::Slow => (
                StatusCode::REQUEST_TIMEOUT,
                kind::BODY,
                "Send the whole body at once, and end it; a slow network may need a smaller one.",
            ),
            Self::Cut => {
                (StatusCode::BAD_REQUEST, kind::BODY, "Send all of the body, then ask again.")
            }
            Self::Version { .. } => {
                (StatusCode::BAD_REQUEST, kind::VERSION, "Update the app, or this gateway.")
            }
            Self::Sealed(_) => (
                StatusCode::BAD_REQUEST,
                kind::SEALED,
                "Fetch the keys again and compare the clock.",
            ),
            Self::Device => (
                StatusCode::FORBIDDEN,
                kind::DEVICE,
                "Bind the key at POST /maru/v1/devices on port 18789, from this device.",
            ),
            Self::Bind(error) => bind_kind(error),
            Self::Key => (
                StatusCode::UNAUTHORIZED,
                kind::KEY,
                "Send Authorization: Bearer KEY; the admin gets one with `maru app add NAME`.",
            ),
            Self::App(error) => app_kind(error),
            Self::NotFound => {
                (StatusCode::NOT_FOUND, kind::NOT_FOUND, "See docs/protocols for what there is.")
            }
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                kind::NOT_FOUND,
                "See docs/protocols for what there is.",
            ),
            Self::Manage(_) => (StatusCode::FORBIDDEN, kind::FORBIDDEN, AT_HOME),
            Self::Listener(refusal) => (refusal.status(), refusal.kind(), refusal.detail()),
            Self::Exceeded(exceeded) => limit_kind(exceeded.limit),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, kind::BUSY, RETRY),
            Self::Model(failure) => model_kind(failure),
            Self::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store", ADMIN),
        }
    }

    /// What it is counted as: for a sealed request the reason, which the caller is not told.
    #[must_use]
    pub fn reason(&self) -> String {
        if let Self::Sealed(reason) = self { reason.to_string() } else { self.name().to_owned() }
    }

    /// The last part of the problem's type.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind().1
    }

    /// The text for a person: what happened, and what to do.
    #[must_use]
    pub fn message(&self) -> String {
        let title = self.to_string();
        let mut chars = title.chars();
        let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        format!("{first}{}. {}", chars.as_str(), self.kind().2)
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Exceeded(exceeded) => Some(exceeded.retry_after_s),
            Self::Busy | Self::Model(Failure::Busy(_)) => Some(2),
            Self::Model(Failure::Down(_)) => Some(5),
            Self::Body(_)
            | Self::Chat(_)
            | Self::Request(_)
            | Self::TooLarge
            | Self::Slow
            | Self::Cut
            | Self::Version { .. }
            | Self::Sealed(_)
            | Self::Device
            | Self::Bind(_)
            | Self::Key
            | Self::App(_)
            | Self::NotFound
            | Self::Method
            | Self::Manage(_)
            | Self::Listener(_)
            | Self::Model(_)
            | Self::Store(_) => None,
        }
    }

    /// An answer with this body, and when to ask again.
    fn answer(&self, body: serde_json::Value) -> Response {
        let (status, ..) = self.kind();
        self.log(status);
        let mut response = (status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    /// Tells the log what happened, never what was said: other errors' texts may quote the body.
    fn log(&self, status: StatusCode) {
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = self as &dyn std::error::Error, "request failed");
        } else {
            tracing::debug!(reason = self.reason(), %status, "request refused");
        }
    }
}

fn app_kind(error: &AppError) -> (StatusCode, &'static str, &'static str) {
    match error {
        AppError::Name(_) => (StatusCode::BAD_REQUEST, kind::BODY, "Choose another name."),
        AppError::Taken(_) => (
            StatusCode::CONFLICT,
            kind::TAKEN,
            "Choose another name, or remove that one first with `maru app remove`.",
        ),
        AppError::TooMany => {
            (StatusCode::FORBIDDEN, kind::FORBIDDEN, "Remove one with `maru app remove`.")
        }
        AppError::Unknown => {
            (StatusCode::NOT_FOUND, kind::NOT_FOUND, "`maru app list` shows those that there are.")
        }
        AppError::Random => (StatusCode::SERVICE_UNAVAILABLE, kind::BUSY, RETRY),
        AppError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store", ADMIN),
    }
}

fn bind_kind(error: &devices::BindError) -> (StatusCode, &'static str, &'static str) {
    match error {
        devices::BindError::OtherNode => {
            (StatusCode::CONFLICT, kind::DEVICE_BOUND, "Make a new device key for this device.")
        }
        devices::BindError::TooMany => (
            StatusCode::FORBIDDEN,
            kind::FORBIDDEN,
            "Remove one with DELETE /maru/v1/devices/<key>.",
        ),
        devices::BindError::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store", ADMIN),
    }
}

fn limit_kind(limit: Limit) -> (StatusCode, &'static str, &'static str) {
    match limit {
        Limit::Rate => (StatusCode::TOO_MANY_REQUESTS, kind::RATE, RETRY),
        Limit::Person => {
            (StatusCode::TOO_MANY_REQUESTS, kind::RATE, "Wait for one of them, or stop one.")
        }
        Limit::Total | Limit::WaitTime | Limit::Preempted => {
            (StatusCode::SERVICE_UNAVAILABLE, kind::BUSY, RETRY)
        }
    }
}

fn model_kind(failure: &Failure) -> (StatusCode, &'static str, &'static str) {
    match failure {
        Failure::Unknown { .. } => {
            (StatusCode::NOT_FOUND, kind::NOT_FOUND, "GET /v1/models lists them.")
        }
        Failure::Refused(..) => {
            (StatusCode::BAD_REQUEST, kind::BODY, "Correct what it names, or leave that out.")
        }
        Failure::Unsupported(_, Detail { code: Some(Code::UnsupportedValue), .. }) => (
            StatusCode::BAD_REQUEST,
            kind::BODY,
            "Choose another value or another model, or leave that out.",
        ),
        Failure::Unsupported(..) => {
            (StatusCode::BAD_REQUEST, kind::BODY, "Choose another model, or leave that out.")
        }
        Failure::TooLong(_) => (
            StatusCode::BAD_REQUEST,
            kind::BODY,
            "Shorten it, start a new conversation, or choose a model with a longer context.",
        ),
        Failure::Unusable(_) => (
            StatusCode::BAD_GATEWAY,
            kind::MODEL,
            "The admin can see with `maru doctor` at home which file it is.",
        ),
        Failure::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, kind::BUSY, RETRY),
        Failure::Untrusted { sent: false, .. } => (
            StatusCode::BAD_GATEWAY,
            kind::ATTESTATION,
            "Nothing was sent; the admin can see with `maru doctor` at home what is wrong.",
        ),
        Failure::Untrusted { sent: true, .. } => (
            StatusCode::BAD_GATEWAY,
            kind::ATTESTATION,
            "What you asked was sent, sealed to nodes that had proved themselves; only they can read it.",
        ),
        Failure::Cut => (StatusCode::BAD_GATEWAY, kind::MODEL, ADMIN),
        Failure::Garbled(_) => {
            (StatusCode::BAD_GATEWAY, kind::MODEL, "Ask again, or choose another model.")
        }
        Failure::Overlong => (StatusCode::BAD_GATEWAY, kind::MODEL, "Ask for a shorter one."),
        Failure::Behind => {
            (StatusCode::BAD_GATEWAY, kind::MODEL, "Ask again, and read the reply as it comes.")
        }
        Failure::Down(_) => (
            StatusCode::BAD_GATEWAY,
            kind::MODEL,
            "If it stays so, the admin can see with `maru doctor` at home which engine does not answer, and what to do.",
        ),
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, kind, detail) = self.kind();
        self.log(status);
        let mut response = ErrorResponse::new(status, kind, self.to_string()).detail(detail);
        if let Some(seconds) = self.retry_after_s() {
            response = response.retry_after(seconds);
        }
        response.into_response()
    }
}

#[cfg(test)]
mod tests;
