//! Why a turn is not kept.

use chassis::log::event;
use conversations::Error;
use store::DatabaseError;

/// Why a turn is not kept, or a session cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotKept {
    /// The person's conversations take all that they may.
    #[error("your conversations take all the room that they may have")]
    Full,
    /// The person's memory, or a file of it, takes all that it may.
    #[error("your memory takes all the room that it may have")]
    MemoryFull,
    /// The database's disk is full.
    #[error("the disk where conversations are stored is full")]
    Disk,
    /// The person's key was sealed under another machine's key.
    #[error("your conversations were sealed on another machine")]
    OtherMachine,
    /// The database is closed, or fails. The log has the reason.
    #[error("the database of conversations cannot be used")]
    Unavailable,
    /// Locked memory is full.
    #[error("the gateway has no memory for the whole reply")]
    Memory,
    /// The reply is longer than a message that is kept.
    #[error("the reply is too long")]
    TooLong,
    /// The reply ended before its text began.
    #[error("the reply has no text")]
    NoText,
}

impl NotKept {
    /// What to do.
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            Self::Full => "Delete some of them.",
            Self::MemoryFull => "Forget some of it.",
            Self::Disk => "Make room on the home machine; the next ones are kept again.",
            Self::OtherMachine => {
                "Open them with your recovery code (`maru chat --recover`), or have them forgotten."
            }
            Self::Unavailable => "The admin finds the reason in the gateway's log.",
            Self::Memory | Self::NoText => "Ask again in a moment.",
            Self::TooLong => "Copy what you need, or ask for a shorter one.",
        }
    }
}

impl From<Error> for NotKept {
    /// Logs what the admin has to see.
    fn from(error: Error) -> Self {
        match error {
            Error::Full => Self::Full,
            Error::MemoryFull => Self::MemoryFull,
            Error::OtherMachine => Self::OtherMachine,
            Error::Database(DatabaseError::Full) => {
                tracing::warn!(event = %event::DISK_FULL, "the disk is full: conversations are not kept");
                Self::Disk
            }
            error @ (Error::Database(_)
            | Error::Lock(_)
            | Error::Seal(_)
            | Error::Open(_)
            | Error::Format(_)
            | Error::WrongCode
            | Error::Long
            | Error::Missing
            | Error::Number
            | Error::Taken) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "a conversation could not be read or kept");
                Self::Unavailable
            }
        }
    }
}
