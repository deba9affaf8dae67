//! What people do with their sessions besides chatting.

mod calls;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use conversations::{
    Conversations, Entries, Entry, Error, NumberedMessage, Reader, SealedMessages,
};
use mesh_identity::Person;

use super::NotKept;
use crate::arena;

/// Why an operation on a session failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OperationError {
    /// There is no such session.
    #[error("you have no session of this name")]
    Missing,
    /// Another session has the new name.
    #[error("another session has this name")]
    Taken,
    /// The new name cannot be shown.
    #[error("a session's new name is empty or has control characters")]
    Name,
    /// A branch would begin behind the last message.
    #[error("the session has no message of this number")]
    Number,
    /// A branch would be too long.
    #[error("the beginning of the session is too long to be copied")]
    Long,
    /// The person's sessions are searched or exported already.
    #[error("another search or export of yours is running")]
    Running,
    /// What was typed is no recovery code.
    #[error("a recovery code has 32 letters and digits")]
    NotACode,
    /// It is not the person's newest recovery code.
    #[error("this is not your newest recovery code")]
    WrongCode,
    /// Sessions cannot be read or changed.
    #[error(transparent)]
    Unavailable(#[from] NotKept),
}

impl From<Error> for OperationError {
    fn from(error: Error) -> Self {
        match error {
            Error::Missing => Self::Missing,
            Error::Taken => Self::Taken,
            Error::Number => Self::Number,
            Error::Long => Self::Long,
            Error::WrongCode => Self::WrongCode,
            error @ (Error::Database(_)
            | Error::Lock(_)
            | Error::Seal(_)
            | Error::Open(_)
            | Error::Format(_)
            | Error::OtherMachine
            | Error::Full
            | Error::MemoryFull) => Self::Unavailable(error.into()),
        }
    }
}

/// People whose sessions are being read as a whole: each for one request at a time, because it takes long.
pub(crate) type Scans = Arc<Mutex<HashSet<Person>>>;

/// The one request of a person that reads all their sessions.
#[derive(Debug)]
struct ScanPermit {
    scans: Scans,
    person: Person,
}

impl ScanPermit {
    fn take(scans: &Scans, person: &Person) -> Result<Self, OperationError> {
        let is_new = scans.lock().unwrap_or_else(PoisonError::into_inner).insert(person.clone());
        let permit = || Self { scans: Arc::clone(scans), person: person.clone() };
        is_new.then(permit).ok_or(OperationError::Running)
    }
}

impl Drop for ScanPermit {
    fn drop(&mut self) {
        self.scans.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.person);
    }
}

/// A request that reads all sessions of a person.
#[derive(Debug)]
pub(crate) struct Scan {
    conversations: Arc<Conversations>,
    /// The sessions that are not read yet.
    entries: Entries,
    _permit: ScanPermit,
}

impl Scan {
    /// The next session.
    pub(crate) fn next(&mut self) -> Option<Entry> {
        self.entries.next()
    }

    /// The next messages of a session.
    pub(crate) async fn part(
        &self,
        reader: &mut Reader,
    ) -> Result<Option<Vec<NumberedMessage>>, OperationError> {
        part(&self.conversations, reader).await
    }
}

/// The messages of one session that a person reads.
#[derive(Debug)]
pub(crate) struct Messages {
    conversations: Arc<Conversations>,
    reader: Reader,
}

impl Messages {
    /// The next ones.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<NumberedMessage>>, OperationError> {
        part(&self.conversations, &mut self.reader).await
    }
}

/// Reads a part and opens it in locked memory.
async fn part(
    conversations: &Conversations,
    reader: &mut Reader,
) -> Result<Option<Vec<NumberedMessage>>, OperationError> {
    let Some(part) = conversations.part(reader).await? else { return Ok(None) };
    opened(&part).map(Some)
}

fn opened(part: &SealedMessages) -> Result<Vec<NumberedMessage>, OperationError> {
    // Each text is decoded from JSON, and then encoded again.
    if !arena::has_room(part.bytes().saturating_mul(3)) {
        return Err(NotKept::Memory.into());
    }
    Ok(arena::locked(|_| part.open_numbered())?)
}
