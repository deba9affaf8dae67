//! What people do with their sessions besides chatting.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use ai_gateway_api::sealed::{Branch, History, Rename, SessionName};
use common::foreign;
use conversations::{
    Conversations, Entries, Entry, Error, NumberedMessage, Reader, SealedMessages,
};
use mesh_identity::Person;

use super::{NotKept, Sessions};
use crate::{arena, now_ms};

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
            error @ (Error::Database(_)
            | Error::Lock(_)
            | Error::Seal(_)
            | Error::Open(_)
            | Error::Format(_)
            | Error::OtherMachine
            | Error::WrongCode
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

/// A name that a session gets.
fn new_name(name: &SessionName) -> Result<&str, OperationError> {
    let name = name.as_str();
    let is_good = !name.trim().is_empty() && !name.contains(foreign::steers);
    is_good.then_some(name).ok_or(OperationError::Name)
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Sessions {
    /// A person's sessions, the last used first.
    pub(crate) async fn entries(&self, person: &Person) -> Result<Entries, OperationError> {
        Ok(self.opened().await?.entries(person).await?)
    }

    /// Begins to read all sessions of a person.
    pub(crate) async fn scan(&self, person: &Person) -> Result<Scan, OperationError> {
        let permit = ScanPermit::take(&self.scans, person)?;
        let conversations = self.opened().await?;
        let entries = conversations.entries(person).await?;
        Ok(Scan { conversations, entries, _permit: permit })
    }

    /// Begins to read a session; `None` if it is not there.
    pub(crate) async fn read(
        &self,
        person: &Person,
        history: &History,
    ) -> Result<Option<Messages>, OperationError> {
        let History { session, before, limit } = history;
        let (before, limit) = (before.map_or(i64::MAX, number), limit.map_or(i64::MAX, number));
        let conversations = self.opened().await?;
        match conversations.read(person, session.as_str(), before, limit).await {
            Ok(reader) => Ok(Some(Messages { conversations, reader })),
            Err(Error::Missing) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a session another name.
    pub(crate) async fn rename(
        &self,
        person: &Person,
        Rename { session, to }: &Rename,
    ) -> Result<(), OperationError> {
        Ok(self.opened().await?.rename(person, session.as_str(), new_name(to)?).await?)
    }

    /// Copies the beginning of a session to a new one.
    pub(crate) async fn branch(
        &self,
        person: &Person,
        Branch { session, before, to }: &Branch,
    ) -> Result<(), OperationError> {
        let (name, to, now) = (session.as_str(), new_name(to)?, number(now_ms()));
        Ok(self.opened().await?.branch(person, name, number(*before), to, now).await?)
    }

    /// Deletes a session.
    pub(crate) async fn delete(
        &self,
        person: &Person,
        session: &SessionName,
    ) -> Result<(), OperationError> {
        let deleted = self.opened().await?.delete(person, session.as_str()).await?;
        if deleted { Ok(()) } else { Err(OperationError::Missing) }
    }
}
