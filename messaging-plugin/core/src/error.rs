//! Why a request is refused, as the client-server API names it.

use ruma::api::error::ErrorKind;

/// Why a request is refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The authorization rules or a person's rights do not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// Something is larger than its limit.
    #[error("{what} is too large: the limit is {max}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit, with its unit.
        max: &'static str,
    },
    /// The JSON is malformed, or not what the endpoint takes.
    #[error("{0}")]
    BadJson(String),
    /// A parameter has a value that is not allowed.
    #[error("{0}")]
    InvalidParam(String),
    /// The same reaction to the same event again.
    #[error("this reaction was already sent")]
    DuplicateAnnotation,
    /// The requested room version is not offered.
    #[error("only room version 11 is supported")]
    UnsupportedRoomVersion,
    /// A sliding sync connection expired; the client starts it anew.
    #[error("this position is not known; start the connection anew")]
    UnknownPos,
}

impl Error {
    /// The error code for the response's body.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Forbidden(_) => ErrorKind::Forbidden,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::BadJson(_) => ErrorKind::BadJson,
            Self::InvalidParam(_) => ErrorKind::InvalidParam,
            Self::DuplicateAnnotation => ErrorKind::DuplicateAnnotation,
            Self::UnsupportedRoomVersion => ErrorKind::UnsupportedRoomVersion,
            Self::UnknownPos => ErrorKind::UnknownPos,
        }
    }

    /// The HTTP status of the response.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Forbidden(_) => 403,
            Self::TooLarge { .. } => 413,
            Self::BadJson(_)
            | Self::InvalidParam(_)
            | Self::DuplicateAnnotation
            | Self::UnsupportedRoomVersion
            | Self::UnknownPos => 400,
        }
    }
}
