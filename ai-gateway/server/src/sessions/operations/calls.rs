//! Operations on the database of sessions.

use ai_gateway_api::sealed::{Branch, History, Rename, SessionName};
use common::foreign;
use conversations::{Entries, Error};
use mesh_identity::Person;

use super::{
    super::{CompletedTurn, NotKept, Sessions},
    Messages, OperationError, Scan, ScanPermit,
};
use crate::now_ms;

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
    /// Appends a turn. Once this returns, it is on the disk.
    pub(crate) async fn append(&self, turn: &CompletedTurn) -> Result<(), NotKept> {
        let CompletedTurn { person, session, messages } = turn;
        let now = number(now_ms());
        self.opened().await?.append(person, session.as_str(), messages, now).await?;
        Ok(())
    }

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
