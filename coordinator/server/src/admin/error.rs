//! What can go wrong in a handler, and what the caller is told.

use std::time::Duration;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{body::Unread, problem::ErrorResponse};
use coordinator_core::{api_key::Denied, name::NameError, route::RouteError, tagging::NotAllowed};

use crate::{
    hub::HubError,
    store::{DatabaseError, StoreError},
};

/// Why a request failed. `Display` is what the caller reads; a 5xx says no more than that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The body is not the JSON that is taken here.
    #[error("the request's body cannot be used: {0}")]
    Body(String),
    /// The body was not read.
    #[error("{0}")]
    Unread(Unread),
    /// The query is not one that is taken here.
    #[error("the request's query cannot be used: {0}")]
    Query(String),
    /// The body is not said to be JSON.
    #[error("the request's body must be application/json")]
    ContentType,
    /// There is no such path: the caller may be of another version.
    #[error("there is no such path")]
    Path,
    /// The path is there, for other methods.
    #[error("this path does not take that method")]
    Method,
    /// What was named does not exist.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Several devices call themselves so.
    #[error("several devices have that name: take the code or the number from the list")]
    Several,
    /// A device asks for tags that its owner may not give.
    #[error(
        "the device asks for tags that its owner may not give: give it tags yourself, add the owner to tagOwners in \
         the policy, or start the device without them"
    )]
    Tags,
    /// A name is not one, or is taken.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A route that is not offered, or can never be used.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The request conflicts with the present state.
    #[error("{0}")]
    State(&'static str),
    /// A pre-approved invitation where the coordinator is reached over plain HTTP.
    #[error("over plain HTTP an invitation with --approved needs --force")]
    PlainHttp,
    /// `server_url` is not an address that an invitation can name.
    #[error("`server_url` in coordinator.toml is no address that a device could join")]
    ServerUrl,
    /// The admin API was called over plain HTTP.
    #[error("the admin API is served over HTTPS alone")]
    HttpsOnly,
    /// A website asks, by a browser.
    #[error("requests from websites are refused")]
    Website,
    /// No API key was shown, or one that does not count.
    #[error("an API key is needed that is known here and not over")]
    ApiKey,
    /// Too many were tried; again after so long.
    #[error("too many wrong API keys came from this address")]
    Tries(Duration),
    /// The API key may not change anything.
    #[error("this API key may only read")]
    ReadOnly,
    /// The policy in force is not the one that was to be replaced.
    #[error("somebody else replaced the policy meanwhile")]
    Replaced,
    /// The policy cannot be used.
    #[error("the policy cannot be used")]
    Policy(#[source] acl::Error),
    /// A question about the policy that means nothing, or too much.
    #[error("{0}")]
    Question(String),
    /// The database failed.
    #[error("the database cannot be used now")]
    Store(#[source] StoreError),
    /// The network could not be read again.
    #[error("the network cannot be read now")]
    Hub(#[from] HubError),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        if let StoreError::Denied(denied) = error { denied.into() } else { Self::Store(error) }
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Key => Self::ApiKey,
            Denied::ReadOnly => Self::ReadOnly,
        }
    }
}

impl From<NotAllowed> for Error {
    fn from(NotAllowed: NotAllowed) -> Self {
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
            Self::Tries(_) => (StatusCode::TOO_MANY_REQUESTS, "tries"),
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
                Some("somebody else changed it meanwhile: try again".to_owned())
            }
            Self::PlainHttp => Some(
                "whoever sees it on its way, or answers in the coordinator's place where it is opened as \
                 a page, has a device in the network at once; leave out --approved and let the device in \
                 with `maru device approve`, or add --force"
                    .to_owned(),
            ),
            Self::HttpsOnly => Some(
                "set [tls], or [proxy] behind one that speaks HTTPS, with an https:// server_url in coordinator.toml, and call \
                 that; an API key that was sent over plain HTTP may have been read on its way: remove it"
                    .to_owned(),
            ),
            Self::Replaced => {
                Some("look at what yours opens and closes now, then set it again".to_owned())
            }
            Self::Website => {
                Some("ask with a program, and without a browser's headers: no page may use this API".to_owned())
            }
            Self::ApiKey => {
                Some("make one on the home machine: sudo maru api-key create NAME".to_owned())
            }
            Self::Tries(_) => Some("wait a minute, then try again".to_owned()),
            Self::ReadOnly => Some(
                "make one that may change things: sudo maru api-key create NAME --admin".to_owned(),
            ),
            Self::Unread(Unread::TooLarge) => Some("a body has at most 1 MiB".to_owned()),
            Self::Unread(Unread::Busy) => Some("try again in a moment".to_owned()),
            Self::Unread(Unread::Late | Unread::Cut) => {
                Some("send all of the body at once, and end it".to_owned())
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
        if let Self::Tries(wait) = self {
            return response.retry_after(wait.as_secs() + 1).into_response();
        }
        response.into_response()
    }
}
