//! What people do with their sessions besides chatting.

mod calls;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use conversations::{
    Conversations, Entries, Entry, Error, FoundMessage, NumberedMessage, Part, Parts, Pattern,
    Reader, SealedMessages,
};
use futures_util::future::join;
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

/// A search of all sessions of a person. Each part is searched while the next one is read.
#[derive(Debug)]
pub(crate) struct SearchScan {
    parts: Parts,
    /// The next part to be searched.
    ahead: Option<Part>,
    pattern: Pattern,
    _permit: ScanPermit,
}

impl SearchScan {
    /// A search of what `scan` has.
    pub(crate) fn new(scan: Scan, pattern: Pattern) -> Self {
        let Scan { conversations, entries, _permit } = scan;
        Self { parts: Parts::new(conversations, entries), ahead: None, pattern, _permit }
    }

    /// The next session that has the pattern, and its newest messages that have it, oldest first, at most so many.
    pub(crate) async fn next(
        &mut self,
        most: usize,
    ) -> Result<Option<(Arc<Entry>, Vec<FoundMessage>)>, OperationError> {
        let mut found = Vec::new();
        loop {
            let part = self.ahead.take();
            let search = async { part.as_ref().map(|part| find(part, &self.pattern)).transpose() };
            // The first is polled first: it has been asked for when the other one keeps this thread busy.
            let (ahead, more) = join(self.parts.next(), search).await;
            self.ahead = ahead?;
            found.extend(more?.unwrap_or_default());
            found.drain(..found.len().saturating_sub(most));
            if let Some(part) = part
                && !found.is_empty()
                && self.ahead.as_ref().is_none_or(|ahead| !ahead.continues(&part))
            {
                self.parts.release();
                return Ok(Some((part.entry, found)));
            }
            if self.ahead.is_none() {
                return Ok(None);
            }
        }
    }
}

/// Searches a part in locked memory.
fn find(part: &Part, pattern: &Pattern) -> Result<Vec<FoundMessage>, OperationError> {
    has_room(&part.messages)?;
    Ok(arena::locked(|_| part.messages.find(pattern))?)
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
    has_room(part)?;
    Ok(arena::locked(|_| part.open_numbered())?)
}

/// Fails if there is no locked memory for a part. Each text is decoded from JSON, and then encoded again.
fn has_room(part: &SealedMessages) -> Result<(), NotKept> {
    let has_room = arena::has_room(part.bytes().saturating_mul(3));
    has_room.then_some(()).ok_or(NotKept::Memory)
}
