//! Errors of requests, as problem documents (RFC 9457), in OpenAI's shape on `/v1`, in Ollama's on `/api`.

pub(crate) mod ollama;
pub(crate) mod openai;

use ai_gateway_api::{kind, rooms::MessageError, wire::DecodeError};
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
    devices::BindError,
    limits::{Exceeded, Limit},
    models::Failure,
    sessions::{NotKept, OperationError, UnknownModel},
};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The body is not the endpoint's JSON.
    #[error("the body is not the JSON of this endpoint")]
    Body(#[source] serde_json::Error),
    /// The body is not a chat request, or has an unknown field.
    #[error(transparent)]
    Chat(#[from] chat_vocabulary::DecodeError),
    /// The request is invalid.
    #[error("{0}")]
    Request(&'static str),
    /// The body is larger than this endpoint takes.
    #[error("the request is too large")]
    TooLarge,
    /// The body did not arrive in time.
    #[error("the request did not arrive in time")]
    Slow,
    /// The body was incomplete.
    #[error("the body ended early")]
    Cut,
    /// The body's version is not supported.
    #[error("version {found} is not supported; this gateway supports version {known}")]
    Version {
        /// The version that the body names.
        found: u64,
        /// The version that this gateway supports.
        known: u32,
    },
    /// A sealed request, or a proof, is invalid. The reason is counted but never sent.
    #[error("the request cannot be opened")]
    Sealed(Reason),
    /// The device key is not bound to the calling node and its person.
    #[error("this device key is not bound to the calling node and its person")]
    Device,
    /// The device key cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A program of this machine has no key, or a wrong one.
    #[error("an app's key is required")]
    Key,
    /// The admin's call about an app failed.
    #[error(transparent)]
    App(#[from] AppError),
    /// The participant sent this attempt at an event before.
    #[error("this attempt at the event was received before")]
    Repeated,
    /// The path or object does not exist.
    #[error("not found")]
    NotFound,
    /// The path does not support the method.
    #[error("this path does not support the method")]
    Method,
    /// The call would change the models.
    #[error("{0}")]
    Manage(&'static str),
    /// The listener refused it.
    #[error(transparent)]
    Listener(#[from] Refusal),
    /// A limit was exceeded.
    #[error("{}", match .0.limit {
        Limit::Rate => "too many requests",
        Limit::Person => "you have as many waiting requests as one person may have",
        Limit::Total => "the queue of this model is full",
        Limit::WaitTime => "the model was busy with other replies for as long as a request may wait",
        Limit::Preempted => "others waited for the model, and this reply had not begun in its time",
    })]
    Exceeded(Exceeded),
    /// Memory, randomness or the like is exhausted.
    #[error("the gateway is busy")]
    Busy,
    /// No model answered.
    #[error(transparent)]
    Model(#[from] Failure),
    /// The gateway's own state could not be stored.
    #[error("the gateway cannot store its state")]
    Store(#[from] StateError),
    /// A file of the memory has another text than the app has read.
    #[error("the file has changed since it was read")]
    MemoryChanged,
    /// A person's files in the workspace cannot be deleted.
    #[error("the person's files in the workspace cannot be deleted")]
    Workspace(#[source] std::io::Error),
    /// A session cannot be read or changed.
    #[error(transparent)]
    Session(#[from] NotKept),
    /// The model that a person chose is not known.
    #[error(transparent)]
    Unknown(#[from] UnknownModel),
    /// An operation on a session failed.
    #[error(transparent)]
    Operation(#[from] OperationError),
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

impl From<MessageError> for Error {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Decode(error) => error.into(),
            MessageError::TooLong => Self::TooLarge,
        }
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Refused(reason) => Self::Sealed(reason),
            OpenError::CacheFull | OpenError::Random(_) => Self::Busy,
        }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Version { found, known } => Self::Version { found, known },
            DecodeError::Json(error) => Self::Body(error),
        }
    }
}

const AT_HOME: &str = "Ask whoever runs this gateway to do it there.";
const RETRY: &str = "Ask again in a moment.";
const ADMIN: &str = "Ask again; if it fails again, the admin can see why with `maru doctor`.";
const DOCS: &str = "See docs/protocols for the endpoints.";

/// Status, problem kind, and what to do.
type Kind = (StatusCode, &'static str, &'static str);

const fn bad_request(kind: &'static str, detail: &'static str) -> Kind {
    (StatusCode::BAD_REQUEST, kind, detail)
}

const fn busy() -> Kind {
    (StatusCode::SERVICE_UNAVAILABLE, kind::BUSY, RETRY)
}

const fn not_stored() -> Kind {
    (StatusCode::INTERNAL_SERVER_ERROR, "store", ADMIN)
}

impl Error {
    fn kind(&self) -> Kind {
        match self {
            Self::Body(_) => bad_request(kind::BODY, "Correct the body; see docs/protocols."),
            Self::Chat(_) | Self::Request(_) => bad_request(kind::BODY, "Correct the request."),
            Self::TooLarge => {
                let detail = "Start a new conversation, or send less text.";
                (StatusCode::PAYLOAD_TOO_LARGE, kind::TOO_LARGE, detail)
            }
            Self::Slow => {
                let detail = "Send the whole body at once, and end it; a slow network may need a smaller one.";
                (StatusCode::REQUEST_TIMEOUT, kind::BODY, detail)
            }
            Self::Cut => bad_request(kind::BODY, "Send all of the body, then ask again."),
            Self::Version { .. } => bad_request(kind::VERSION, "Update the app, or this gateway."),
            Self::Sealed(_) => {
                bad_request(kind::SEALED, "Fetch the keys again and compare the clock.")
            }
            Self::Device => {
                let detail =
                    "Bind the key at POST /maru/v1/devices on port 18789, from this device.";
                (StatusCode::FORBIDDEN, kind::DEVICE, detail)
            }
            Self::Bind(error) => bind_kind(error),
            Self::Key => {
                let detail =
                    "Send Authorization: Bearer KEY; the admin gets one with `maru app add NAME`.";
                (StatusCode::UNAUTHORIZED, kind::KEY, detail)
            }
            Self::App(error) => app_kind(error),
            Self::Repeated => {
                (StatusCode::CONFLICT, kind::REPEATED, "Send the next attempt for another reply.")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, kind::NOT_FOUND, DOCS),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, kind::NOT_FOUND, DOCS),
            Self::Manage(_) => (StatusCode::FORBIDDEN, kind::FORBIDDEN, AT_HOME),
            Self::Listener(refusal) => (refusal.status(), refusal.kind(), refusal.detail()),
            Self::Exceeded(exceeded) => limit_kind(exceeded.limit),
            Self::Busy => busy(),
            Self::Model(failure) => model_kind(failure),
            Self::Store(_) | Self::Workspace(_) => not_stored(),
            Self::MemoryChanged => {
                (StatusCode::CONFLICT, kind::CHANGED, "Read it again, then change it.")
            }
            Self::Session(reason) | Self::Unknown(UnknownModel(reason)) => session_kind(*reason),
            Self::Operation(error) => operation_kind(error),
        }
    }

    /// The label of the counter: for a sealed request the reason, which is not sent.
    #[must_use]
    pub(crate) fn reason(&self) -> String {
        if let Self::Sealed(reason) = self { reason.to_string() } else { self.name().to_owned() }
    }

    /// The last part of the problem's type.
    #[must_use]
    pub(crate) fn name(&self) -> &'static str {
        self.kind().1
    }

    /// Whether the caller has to change the request.
    #[must_use]
    pub(crate) fn is_for_the_caller(&self) -> bool {
        self.kind().0.is_client_error()
    }

    /// The text for people: what happened, and what to do.
    #[must_use]
    pub(crate) fn message(&self) -> String {
        let title = self.to_string();
        let mut chars = title.chars();
        let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        format!("{first}{}. {}", chars.as_str(), self.kind().2)
    }

    /// When to send the request again, in seconds, if that is known.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        if let Self::Exceeded(exceeded) = self {
            return Some(exceeded.retry_after_s);
        }
        let busy = matches!(self, Self::Busy | Self::Model(Failure::Busy(_))).then_some(2);
        busy.or(matches!(self, Self::Model(Failure::Down(_))).then_some(5))
    }

    /// A response with this body and `Retry-After`.
    fn answer(&self, body: serde_json::Value) -> Response {
        let (status, ..) = self.kind();
        self.log(status);
        let mut response = (status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }

    /// Logs the error, without texts that may quote the body.
    fn log(&self, status: StatusCode) {
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = self as &dyn std::error::Error, "request failed");
        } else {
            tracing::debug!(reason = self.reason(), %status, "request refused");
        }
    }
}

fn session_kind(reason: NotKept) -> Kind {
    let (status, kind) = match reason {
        NotKept::Full | NotKept::MemoryFull => (StatusCode::INSUFFICIENT_STORAGE, kind::FULL),
        NotKept::OtherMachine => (StatusCode::CONFLICT, kind::OTHER_MACHINE),
        NotKept::Memory | NotKept::TooLong | NotKept::NoText => {
            (StatusCode::SERVICE_UNAVAILABLE, kind::BUSY)
        }
        NotKept::Disk | NotKept::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "store"),
    };
    (status, kind, reason.advice())
}

fn operation_kind(error: &OperationError) -> Kind {
    match error {
        OperationError::Missing => {
            (StatusCode::NOT_FOUND, kind::NOT_FOUND, "`maru chat --list` lists your sessions.")
        }
        OperationError::Taken => {
            (StatusCode::CONFLICT, kind::NAME_TAKEN, "Choose another name, or delete that one.")
        }
        OperationError::Name => bad_request(kind::BODY, "Choose another name."),
        OperationError::Number => bad_request(kind::BODY, "Read the session again."),
        OperationError::Long => (
            StatusCode::PAYLOAD_TOO_LARGE,
            kind::TOO_LARGE,
            "Start a new session, or branch at an earlier message.",
        ),
        OperationError::Running => {
            (StatusCode::TOO_MANY_REQUESTS, kind::RATE, "Wait for it, or stop it.")
        }
        OperationError::NotACode => {
            bad_request(kind::BODY, "Look for a letter that is missing or was read as another.")
        }
        OperationError::WrongCode => {
            let detail = "Look for the code that you made last; without it nobody can open them.";
            (StatusCode::FORBIDDEN, kind::WRONG_CODE, detail)
        }
        OperationError::Unavailable(reason) => session_kind(*reason),
    }
}

fn app_kind(error: &AppError) -> Kind {
    match error {
        AppError::Name(_) => bad_request(kind::BODY, "Choose another name."),
        AppError::Taken(_) => {
            let detail = "Choose another name, or remove that one first with `maru app remove`.";
            (StatusCode::CONFLICT, kind::TAKEN, detail)
        }
        AppError::TooMany => {
            (StatusCode::FORBIDDEN, kind::FORBIDDEN, "Remove one with `maru app remove`.")
        }
        AppError::Unknown => {
            (StatusCode::NOT_FOUND, kind::NOT_FOUND, "`maru app list` lists the apps.")
        }
        AppError::Random => busy(),
        AppError::Store(_) => not_stored(),
    }
}

fn bind_kind(error: &BindError) -> Kind {
    match error {
        BindError::OtherNode => {
            (StatusCode::CONFLICT, kind::DEVICE_BOUND, "Make a new device key for this device.")
        }
        BindError::TooMany => {
            let detail = "Remove one with DELETE /maru/v1/devices/<key>.";
            (StatusCode::FORBIDDEN, kind::FORBIDDEN, detail)
        }
        BindError::Store(_) => not_stored(),
    }
}

fn limit_kind(limit: Limit) -> Kind {
    match limit {
        Limit::Rate => (StatusCode::TOO_MANY_REQUESTS, kind::RATE, RETRY),
        Limit::Person => {
            (StatusCode::TOO_MANY_REQUESTS, kind::RATE, "Wait for one of them, or stop one.")
        }
        Limit::Total | Limit::WaitTime | Limit::Preempted => busy(),
    }
}

fn model_kind(failure: &Failure) -> Kind {
    let bad_gateway = |kind, detail| (StatusCode::BAD_GATEWAY, kind, detail);
    match failure {
        Failure::Unknown { .. } => {
            (StatusCode::NOT_FOUND, kind::NOT_FOUND, "GET /v1/models lists them.")
        }
        Failure::Refused(..) => {
            bad_request(kind::BODY, "Correct what the message names, or leave that out.")
        }
        Failure::Unsupported(_, Detail { code: Some(Code::UnsupportedValue), .. }) => {
            bad_request(kind::BODY, "Choose another value or another model, or leave that out.")
        }
        Failure::Unsupported(..) => {
            bad_request(kind::BODY, "Choose another model, or leave that out.")
        }
        Failure::TooLong(_) => bad_request(
            kind::BODY,
            "Shorten it, start a new conversation, or choose a model with a longer context.",
        ),
        Failure::Unusable(_) => bad_gateway(
            kind::MODEL,
            "The admin can see which file it is with `maru doctor` at home.",
        ),
        Failure::Busy(_) => busy(),
        Failure::Untrusted { sent: false, .. } => bad_gateway(
            kind::ATTESTATION,
            "Nothing was sent; the admin can see with `maru doctor` at home what is wrong.",
        ),
        Failure::Untrusted { sent: true, .. } => bad_gateway(
            kind::ATTESTATION,
            "The request was sent, sealed to nodes whose evidence was verified; only they can read it.",
        ),
        Failure::Cut => bad_gateway(kind::MODEL, ADMIN),
        Failure::Garbled(_) => bad_gateway(kind::MODEL, "Ask again, or choose another model."),
        Failure::Overlong => bad_gateway(kind::MODEL, "Ask for a shorter one."),
        Failure::Behind => bad_gateway(kind::MODEL, "Ask again, and read the reply as it comes."),
        Failure::Down(_) => bad_gateway(
            kind::MODEL,
            "If it fails again, the admin can see with `maru doctor` at home which engine does not answer, and what to do.",
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
