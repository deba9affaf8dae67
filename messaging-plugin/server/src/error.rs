//! Why a request of the client-server API fails, and the error that the client receives.

use std::{
    io::{self, ErrorKind as IoErrorKind},
    time::Duration,
};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::body::BodyError;
use ruma::api::error::{ErrorKind, UnknownTokenErrorData};
use serde_json::Value;
use store::{
    DatabaseError,
    seal::{OpenError, SealError},
};

/// Why a request fails. Nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A decision about rooms, events, syncs or sign-in.
    #[error(transparent)]
    Core(#[from] telmeet_core::Error),
    /// The caller may see nothing of that kind with that id, or there is none.
    #[error("{0}")]
    NotFound(&'static str),
    /// The endpoint does not exist.
    #[error("this server does not have this endpoint")]
    Unrecognized,
    /// The request has no access token.
    #[error("the request has no access token")]
    MissingToken,
    /// The access token is void, or was given to another node. Apps delete their keys, so a failure of the server is
    /// never this.
    #[error("this access token is not valid; sign in again")]
    UnknownToken,
    /// The server cannot answer now.
    #[error("this server has no rooms now; its admin can see why with `maru doctor`")]
    Unavailable,
    /// Too many requests.
    #[error("too many requests; wait, then ask again")]
    Limited {
        /// When to ask again.
        retry_after: Duration,
    },
    /// The body is too long, late or incomplete.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Another reason.
    #[error("{2}")]
    Refused(StatusCode, ErrorKind, String),
    /// The database failed. Whether a change was made is not known, unless its disk is full.
    #[error("{}", database(.0))]
    Database(#[from] DatabaseError),
    /// The folder of the media failed.
    #[error("{}", media(.0))]
    Media(#[from] io::Error),
    /// A value cannot be sealed.
    #[error("a value cannot be stored")]
    Seal(#[from] SealError),
    /// A stored value does not open.
    #[error("a stored value cannot be read")]
    Open(#[from] OpenError),
}

impl Error {
    /// A request that the person may not make, with the reason.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::Core(telmeet_core::Error::Forbidden(reason.into()))
    }

    /// JSON that the endpoint does not take, with what is wrong.
    pub fn bad_json(reason: impl Into<String>) -> Self {
        Self::Core(telmeet_core::Error::BadJson(reason.into()))
    }

    /// A value that the endpoint does not take, with what is wrong.
    pub fn invalid(reason: impl Into<String>) -> Self {
        Self::Core(telmeet_core::Error::InvalidParam(reason.into()))
    }

    /// A refusal with status 400.
    pub fn bad_request(kind: ErrorKind, reason: impl Into<String>) -> Self {
        Self::Refused(StatusCode::BAD_REQUEST, kind, reason.into())
    }

    /// A quota is reached, with the reason.
    pub fn full(reason: impl Into<String>) -> Self {
        Self::Refused(StatusCode::INSUFFICIENT_STORAGE, ErrorKind::TooLarge, reason.into())
    }

    /// The HTTP status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Core(error) => {
                StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Self::NotFound(_) | Self::Unrecognized => StatusCode::NOT_FOUND,
            Self::MissingToken | Self::UnknownToken => StatusCode::UNAUTHORIZED,
            Self::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Body(error) => error.status(),
            Self::Refused(status, ..) => *status,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Media(error) if is_full(error) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Database(DatabaseError::Full) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Database(_) | Self::Media(_) | Self::Seal(_) | Self::Open(_) => {
                StatusCode::BAD_GATEWAY
            }
        }
    }

    /// The error code (specification, client-server API, "Standard error response").
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Core(error) => error.kind(),
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Unrecognized => ErrorKind::Unrecognized,
            Self::MissingToken => ErrorKind::MissingToken,
            Self::UnknownToken => ErrorKind::UnknownToken(UnknownTokenErrorData::new()),
            Self::Limited { .. } => ErrorKind::LimitExceeded(Default::default()),
            Self::Body(BodyError::TooLarge) => ErrorKind::TooLarge,
            Self::Media(error) if is_full(error) => ErrorKind::TooLarge,
            Self::Database(DatabaseError::Full) => ErrorKind::TooLarge,
            Self::Unavailable
            | Self::Body(_)
            | Self::Database(_)
            | Self::Media(_)
            | Self::Seal(_)
            | Self::Open(_) => ErrorKind::Unknown,
            Self::Refused(_, kind, _) => kind.clone(),
        }
    }

    /// The body of the response.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = serde_json::to_value(self.kind()).unwrap_or_default();
        if let Value::Object(body) = &mut body {
            body.insert("error".to_owned(), self.to_string().into());
            if let Self::Limited { retry_after } = self {
                let milliseconds = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
                body.insert("retry_after_ms".to_owned(), milliseconds.into());
            }
        }
        body
    }
}

/// What a person reads when nothing can be stored.
const FULL: &str = "the disk of the home machine is full; make room there, then try again";

/// Whether the disk has no room.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), IoErrorKind::StorageFull | IoErrorKind::QuotaExceeded)
}

fn media(error: &io::Error) -> &'static str {
    if is_full(error) { FULL } else { "the file cannot be used" }
}

fn database(error: &DatabaseError) -> &'static str {
    if matches!(error, DatabaseError::Full) { FULL } else { "the database failed" }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if self.status() == StatusCode::BAD_GATEWAY {
            let cause = std::error::Error::source(&self);
            tracing::error!(error = %self, cause, "a request failed");
        }
        let mut response = (self.status(), axum::Json(self.body())).into_response();
        if let Self::Limited { retry_after } = self {
            let seconds = retry_after.as_secs().saturating_add(1);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
