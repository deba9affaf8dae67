//! What can be wrong.

use store::{
    DatabaseError, LockError,
    seal::{OpenError, SealError},
};

/// A conversation cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed. Whether a change was made is not known.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Another process has the database.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A value cannot be sealed.
    #[error("a value cannot be stored")]
    Seal(#[from] SealError),
    /// A stored value does not open.
    #[error("a conversation is damaged: delete it, or restore a backup with `maru restore`")]
    Open(#[from] OpenError),
    /// A stored message is not of a known format.
    #[error("a stored message has an unknown format: update Maru, or delete the conversation")]
    Format(#[source] serde_json::Error),
    /// The person's key was sealed on another machine.
    #[error(
        "these conversations were sealed on another machine: open them with the recovery code, or forget them"
    )]
    OtherMachine,
    /// The recovery code is not this person's.
    #[error("the recovery code does not open these conversations")]
    WrongCode,
    /// The person's conversations take all that they may.
    #[error("there is no room for more conversations: delete some")]
    Full,
    /// A branch would be too long.
    #[error("the beginning of the conversation is too long to be copied")]
    Long,
    /// A branch would begin behind the conversation's last message.
    #[error("the conversation has no message of this number")]
    Number,
    /// The person's memory takes all that it may, or one of its files does.
    #[error("there is no room for more memory: forget some of it")]
    MemoryFull,
    /// There is no such conversation.
    #[error("there is no such conversation")]
    Missing,
    /// Another conversation has this name.
    #[error("another conversation has this name")]
    Taken,
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}
