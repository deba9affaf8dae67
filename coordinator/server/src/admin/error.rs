//! Errors of the admin API, and the problems (RFC 9457) that callers receive.

use std::{fmt, time::Duration};

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{body::BodyError, problem::ErrorResponse};
use coordinator_core::{
    api_key::AccessDenied, name::NameError, route::RouteError, tagging::TagNotAllowed,
};
use messages::{Message, message};

use crate::{
    hub::HubError,
    store::{DatabaseError, StoreError},
};

/// Why a request failed. `Display` is the problem's title; a 5xx has no further detail.
#[derive(Debug)]
pub(crate) enum Error {
    /// The body is not the expected JSON.
    Body(String),
    /// The body was not read.
    Unread(BodyError),
    /// The query has unknown or invalid parameters.
    Query(String),
    /// The content type is not JSON.
    ContentType,
    /// There is no such path: the caller may have another version.
    Path,
    /// The path supports other methods only.
    Method,
    /// The named object does not exist.
    NotFound(&'static str),
    /// Several devices have that hostname.
    Several,
    /// A device requests tags that its owner may not assign.
    Tags,
    /// A name is invalid, reserved or taken.
    Name(NameError),
    /// A route that the device does not offer, or that can never be used.
    Route(RouteError),
    /// The request conflicts with the present state.
    State(Message),
    /// A pre-approved invitation where the coordinator is reached over plain HTTP.
    PlainHttp,
    /// `server_url` does not fit into an invitation.
    ServerUrl,
    /// The admin API was called over plain HTTP.
    HttpsOnly,
    /// A browser sent the request for a website.
    Website,
    /// The API key is missing, unknown or expired.
    ApiKey,
    /// Too many wrong API keys; try again after this time.
    AttemptLimit(Duration),
    /// The API key may not change anything.
    ReadOnly,
    /// The policy in force has another revision than the request.
    Replaced,
    /// The policy is invalid.
    Policy(acl::Error),
    /// The question about the policy is invalid.
    Question(Message),
    /// The database failed.
    Store(StoreError),
    /// The network could not be reloaded.
    Hub(HubError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Policy(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Hub(error) => Some(error),
            Self::Body(_)
            | Self::Unread(_)
            | Self::Query(_)
            | Self::ContentType
            | Self::Path
            | Self::Method
            | Self::NotFound(_)
            | Self::Several
            | Self::Tags
            | Self::Name(_)
            | Self::Route(_)
            | Self::State(_)
            | Self::PlainHttp
            | Self::ServerUrl
            | Self::HttpsOnly
            | Self::Website
            | Self::ApiKey
            | Self::AttemptLimit(_)
            | Self::ReadOnly
            | Self::Replaced
            | Self::Question(_) => None,
        }
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl From<RouteError> for Error {
    fn from(error: RouteError) -> Self {
        Self::Route(error)
    }
}

impl From<HubError> for Error {
    fn from(error: HubError) -> Self {
        Self::Hub(error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        if let StoreError::AccessDenied(denied) = error {
            denied.into()
        } else {
            Self::Store(error)
        }
    }
}

impl From<AccessDenied> for Error {
    fn from(denied: AccessDenied) -> Self {
        match denied {
            AccessDenied::Key => Self::ApiKey,
            AccessDenied::ReadOnly => Self::ReadOnly,
        }
    }
}

impl From<TagNotAllowed> for Error {
    fn from(TagNotAllowed: TagNotAllowed) -> Self {
        Self::Tags
    }
}

impl Error {
    /// Status and problem type.
    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Body(_) => (StatusCode::BAD_REQUEST, "body"),
            Self::Unread(unread) => (unread.status(), "body"),
            Self::Query(_) => (StatusCode::BAD_REQUEST, "query"),
            Self::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type"),
            Self::Path => (StatusCode::NOT_FOUND, "path"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found"),
            Self::Name(NameError::Taken) => (StatusCode::CONFLICT, "name-taken"),
            Self::Name(NameError::Reserved) => (StatusCode::UNPROCESSABLE_ENTITY, "name-reserved"),
            Self::Name(
                NameError::Label
                | NameError::Letters(_)
                | NameError::User
                | NameError::Tag
                | NameError::ApiKey,
            ) => (StatusCode::UNPROCESSABLE_ENTITY, "name"),
            Self::Several => (StatusCode::CONFLICT, "several"),
            Self::Tags => (StatusCode::CONFLICT, "tags"),
            Self::State(_)
            | Self::Store(StoreError::Full | StoreError::Database(DatabaseError::Conflict)) => {
                (StatusCode::CONFLICT, "state")
            }
            Self::Route(_) => (StatusCode::UNPROCESSABLE_ENTITY, "route"),
            Self::PlainHttp => (StatusCode::UNPROCESSABLE_ENTITY, "plain-http"),
            Self::ServerUrl => (StatusCode::INTERNAL_SERVER_ERROR, "server-url"),
            Self::HttpsOnly => (StatusCode::FORBIDDEN, "https-only"),
            Self::Website => (StatusCode::FORBIDDEN, "origin"),
            Self::ApiKey => (StatusCode::UNAUTHORIZED, "api-key"),
            Self::AttemptLimit(_) => (StatusCode::TOO_MANY_REQUESTS, "tries"),
            Self::ReadOnly => (StatusCode::FORBIDDEN, "read-only"),
            Self::Replaced => (StatusCode::CONFLICT, "policy-replaced"),
            Self::Policy(_) => (StatusCode::UNPROCESSABLE_ENTITY, "policy"),
            Self::Question(_) => (StatusCode::UNPROCESSABLE_ENTITY, "question"),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store"),
            Self::Hub(_) => (StatusCode::SERVICE_UNAVAILABLE, "network"),
        }
    }

    /// What the caller reads; its attribute `detail` says what to do.
    fn message(&self) -> Message {
        match self {
            Self::Body(reason) => message!("problem-body-reason", reason),
            Self::Unread(BodyError::TooLarge) => message!("problem-body-too-large"),
            Self::Unread(BodyError::NoMemory) => message!("problem-body-busy"),
            Self::Unread(BodyError::Incomplete) => message!("problem-body-cut"),
            Self::Unread(BodyError::Timeout) => message!("problem-body-late"),
            Self::Query(reason) => message!("problem-query-reason", reason),
            Self::ContentType => message!("problem-content-type"),
            Self::Path => message!("problem-path"),
            Self::Method => message!("problem-method"),
            Self::NotFound(thing) => message!("problem-no-such", thing),
            Self::Several => message!("problem-several"),
            Self::Tags => message!("problem-tags"),
            Self::Name(error) => error.message(),
            Self::State(message) => message.clone(),
            Self::PlainHttp => message!("problem-plain-http"),
            Self::ServerUrl => message!("problem-server-url"),
            Self::HttpsOnly => message!("problem-https-only"),
            Self::Website => message!("problem-origin"),
            Self::ApiKey => message!("problem-api-key"),
            Self::AttemptLimit(_) => message!("problem-tries"),
            Self::ReadOnly => message!("problem-read-only"),
            Self::Replaced => message!("problem-policy-replaced"),
            Self::Policy(_) => message!("problem-policy"),
            Self::Route(error) => error.message(),
            Self::Question(message) => message.clone(),
            Self::Store(StoreError::Database(DatabaseError::Conflict)) => {
                message!("problem-state-conflict")
            }
            Self::Store(StoreError::Full) => message!("problem-state-addresses"),
            Self::Store(_) => message!("problem-store"),
            Self::Hub(_) => message!("problem-network"),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, kind) = self.kind();
        let response = ErrorResponse::of(status, kind, &self);
        let response = if let Self::Policy(error) = &self {
            response.detail(error.to_string())
        } else {
            response
        };
        let response = response.message(self.message());
        if let Self::AttemptLimit(wait) = self {
            return response.retry_after(wait.as_secs() + 1).into_response();
        }
        response.into_response()
    }
}
