//! Errors of the admin API, and the problems (RFC 9457) that callers receive.

use std::time::Duration;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{body::BodyError, problem::ErrorResponse};
use coordinator_core::{
    api_key::AccessDenied, name::NameError, route::RouteError, tagging::TagNotAllowed,
};

use crate::{
    hub::HubError,
    store::{DatabaseError, StoreError},
};

/// Why a request failed. `Display` is the problem's title; a 5xx has no further detail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The body is not the expected JSON.
    #[error("invalid request body: {0}")]
    Body(String),
    /// The body was not read.
    #[error("{0}")]
    Unread(BodyError),
    /// The query has unknown or invalid parameters.
    #[error("invalid query: {0}")]
    Query(String),
    /// The content type is not JSON.
    #[error("the content type must be application/json")]
    ContentType,
    /// There is no such path: the caller may have another version.
    #[error("there is no such path")]
    Path,
    /// The path supports other methods only.
    #[error("the path does not support this method")]
    Method,
    /// The named object does not exist.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Several devices have that hostname.
    #[error("several devices have that name: use the code or the number from the list")]
    Several,
    /// A device requests tags that its owner may not assign.
    #[error(
        "the device requests tags that its owner may not assign: approve it with tags, add the owner to tagOwners in \
         the policy, or start the device without them"
    )]
    Tags,
    /// A name is invalid, reserved or taken.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A route that the device does not offer, or that can never be used.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The request conflicts with the present state.
    #[error("{0}")]
    State(&'static str),
    /// A pre-approved invitation where the coordinator is reached over plain HTTP.
    #[error("over plain HTTP an invitation with --approved needs --force")]
    PlainHttp,
    /// `server_url` does not fit into an invitation.
    #[error("`server_url` in coordinator.toml is not an address that an invitation can contain")]
    ServerUrl,
    /// The admin API was called over plain HTTP.
    #[error("the admin API needs HTTPS")]
    HttpsOnly,
    /// A browser sent the request for a website.
    #[error("requests from websites are refused")]
    Website,
    /// The API key is missing, unknown or expired.
    #[error("a valid API key is needed")]
    ApiKey,
    /// Too many wrong API keys; try again after this time.
    #[error("too many wrong API keys came from this address")]
    AttemptLimit(Duration),
    /// The API key may not change anything.
    #[error("this API key is read-only")]
    ReadOnly,
    /// The policy in force has another revision than the request.
    #[error("the policy was replaced in the meantime")]
    Replaced,
    /// The policy is invalid.
    #[error("the policy is invalid")]
    Policy(#[source] acl::Error),
    /// The question about the policy is invalid.
    #[error("{0}")]
    Question(String),
    /// The database failed.
    #[error("the database is unavailable")]
    Store(#[source] StoreError),
    /// The network could not be reloaded.
    #[error("the network cannot be read")]
    Hub(#[from] HubError),
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
            Self::State(_) | Self::Store(StoreError::Database(DatabaseError::Conflict)) => {
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

    fn detail(&self) -> Option<String> {
        match self {
            Self::Policy(error) => Some(error.to_string()),
            Self::Store(StoreError::Database(DatabaseError::Conflict)) => {
                Some("it was changed in the meantime: try again".to_owned())
            }
            Self::PlainHttp => Some(
                "anyone who reads the invitation in transit could join at once; leave out --approved and \
                 approve the device with `maru device approve`, or add --force"
                    .to_owned(),
            ),
            Self::HttpsOnly => Some(
                "set [tls], or [proxy] behind an HTTPS proxy, and an https:// server_url in coordinator.toml, and use that URL; \
                 remove the API key if it was sent over plain HTTP"
                    .to_owned(),
            ),
            Self::Replaced => {
                Some("check the changes of your policy again, then set it".to_owned())
            }
            Self::Website => {
                Some("use a program that sends no browser headers: websites may not use this API".to_owned())
            }
            Self::ApiKey => {
                Some("create one on the home machine: sudo maru api-key create NAME".to_owned())
            }
            Self::AttemptLimit(_) => Some("wait a minute, then try again".to_owned()),
            Self::ReadOnly => Some(
                "create one with write access: sudo maru api-key create NAME --admin".to_owned(),
            ),
            Self::Unread(BodyError::TooLarge) => Some("the limit is 1 MiB".to_owned()),
            Self::Unread(BodyError::NoMemory) => Some("try again in a moment".to_owned()),
            Self::Unread(BodyError::Timeout | BodyError::Incomplete) => {
                Some("send the whole body without pauses".to_owned())
            }
            Self::Body(_)
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
            | Self::ServerUrl
            | Self::Question(_)
            | Self::Store(_)
            | Self::Hub(_) => None,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, kind) = self.kind();
        let response = ErrorResponse::of(status, kind, &self);
        let response = match self.detail() {
            Some(detail) => response.detail(detail),
            None => response,
        };
        if let Self::AttemptLimit(wait) = self {
            return response.retry_after(wait.as_secs() + 1).into_response();
        }
        response.into_response()
    }
}
