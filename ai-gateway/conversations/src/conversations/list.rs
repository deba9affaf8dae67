//! Lists a person's conversations.

use std::{fmt, sync::Arc, vec};

use mesh_identity::Person;
use sqlx::{Row as _, any::AnyRow};

use super::{Conversations, read::Reader};
use crate::{error::Error, keys::PersonKey};

/// A conversation in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// How many messages it has.
    pub messages: i64,
    /// What they take, in bytes as they are stored.
    pub bytes: i64,
    /// When it began, in Unix milliseconds.
    pub created_at: i64,
    /// When it was last added to, in Unix milliseconds.
    pub used_at: i64,
}

/// A person's conversations as they are stored, the last used first.
#[derive(Debug, Default)]
pub struct Entries(vec::IntoIter<Entry>);

/// A conversation as it is stored, and what opens it.
pub struct Entry {
    person: Arc<PersonKey>,
    id: i64,
    name: Vec<u8>,
    key: Vec<u8>,
    messages: i64,
    bytes: i64,
    created_at: i64,
    used_at: i64,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("messages", &self.messages).finish_non_exhaustive()
    }
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.0.next()
    }
}

impl Entry {
    /// Opens its name. It awaits nothing, so that the caller chooses the memory that the name is in.
    ///
    /// # Errors
    ///
    /// [`Error::Open`].
    pub fn summary(&self) -> Result<Summary, Error> {
        Ok(Summary {
            name: self.person.open_name(self.id, &self.name)?,
            messages: self.messages,
            bytes: self.bytes,
            created_at: self.created_at,
            used_at: self.used_at,
        })
    }

    /// Begins to read its messages.
    ///
    /// # Errors
    ///
    /// [`Error::Open`].
    pub fn reader(&self) -> Result<Reader, Error> {
        let key = self.person.key(self.id, &self.key)?;
        Ok(Reader::new(self.id, key, 0..self.messages, self.bytes))
    }
}

impl Conversations {
    /// A person's conversations, to be opened one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::OtherMachine`], or the database fails.
    pub async fn entries(&self, person: &Person) -> Result<Entries, Error> {
        let mut connection = self.store.pool().acquire().await?;
        let Some(key) = self.person(&mut connection, person).await? else {
            return Ok(Entries::default());
        };
        let rows = sqlx::query(
            "SELECT id, name_sealed, key_sealed, next_number, bytes, created_at, used_at \
             FROM conversations WHERE person = $1 ORDER BY used_at DESC, id",
        )
        .bind(person.to_string())
        .fetch_all(&mut *connection)
        .await?;
        let person = Arc::new(key);
        let entry = |row: AnyRow| {
            Ok(Entry {
                person: Arc::clone(&person),
                id: row.try_get("id")?,
                name: row.try_get("name_sealed")?,
                key: row.try_get("key_sealed")?,
                messages: row.try_get("next_number")?,
                bytes: row.try_get("bytes")?,
                created_at: row.try_get("created_at")?,
                used_at: row.try_get("used_at")?,
            })
        };
        let entries = rows.into_iter().map(entry).collect::<Result<Vec<_>, Error>>()?;
        Ok(Entries(entries.into_iter()))
    }

    /// A person's conversations, the last used first.
    ///
    /// # Errors
    ///
    /// A name does not open, [`Error::OtherMachine`], or the database fails.
    pub async fn list(&self, person: &Person) -> Result<Vec<Summary>, Error> {
        self.entries(person).await?.map(|entry| entry.summary()).collect()
    }
}
