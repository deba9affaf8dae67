//! What the participant keeps on disk: one table of records, sealed under a key that stands outside of it.
//!
//! A record has a kind, an id and an owner. Ids and owners are stored as keyed hashes, so that the file names no room, person
//! or event. Of the kinds that other people can make grow, the newest records of each owner are kept.

use std::{
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use store::{
    Database, DatabaseError, DatabaseLock, LockError, Opened, Priority, RevisionUpdate, Schema,
    Store,
    seal::{Cell, Key, OpenError, SealError},
};
use zeroize::Zeroizing;

/// The database's tables.
const TABLES: Schema = Schema {
    table: "participant",
    // `part` in ASCII.
    lock: 1_885_434_484,
    migrations: &[("records", include_str!("../migrations/records.sql"))],
};

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name in the table, which never changes.
    pub name: &'static str,
    /// Most records of one owner; `None` if their number is bounded otherwise.
    pub most: Option<i64>,
}

impl Kind {
    /// A kind without a limit of its own.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, most: None }
    }

    /// Keeps the newest records of each owner.
    #[must_use]
    pub const fn at_most(self, most: i64) -> Self {
        Self { most: Some(most), ..self }
    }
}

/// A record cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The database failed. Whether a change was made is not known.
    #[error("the database failed")]
    Database(#[from] DatabaseError),
    /// A value cannot be sealed.
    #[error("a value cannot be stored")]
    Seal(#[from] SealError),
    /// A stored value does not open.
    #[error("a stored value cannot be read")]
    Open(#[from] OpenError),
    /// A stored value is not of its kind's format.
    #[error("a stored value has an unknown format")]
    Format(#[from] serde_json::Error),
    /// A key of the encryption library cannot be restored.
    #[error("a stored key cannot be restored")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no account yet.
    #[error("there is no account yet")]
    NoAccount,
}

impl From<sqlx::Error> for RecordError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// A change of one record.
#[derive(Debug)]
struct Change {
    kind: Kind,
    id: [u8; 32],
    owner: [u8; 32],
    /// `None` removes it.
    sealed: Option<Vec<u8>>,
}

/// Changes that are made together, or not at all.
#[derive(Debug)]
pub struct Batch<'a> {
    records: &'a Records,
    changes: Vec<Change>,
}

/// The records.
#[derive(Debug)]
pub struct Records {
    store: Store,
    key: Key,
    hash_key: Zeroizing<[u8; 32]>,
    sequence: AtomicI64,
}

impl Records {
    /// Opens the database, creating it if there is none, and locks it for this process.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if another process uses it; [`RecordError`] as its source otherwise.
    pub async fn open(path: &Path, key: &[u8; 32]) -> Result<(Self, DatabaseLock), OpenRecords> {
        let database = Database::Sqlite(path.to_owned());
        let lock = DatabaseLock::take(&database, &TABLES).await?;
        let opened = Opened::open(&database, &TABLES).await.map_err(RecordError::from)?;
        let row =
            "INSERT INTO participant (id, revision, epoch) VALUES (1, 0, 0) ON CONFLICT DO NOTHING";
        sqlx::query(row).execute(opened.pool()).await.map_err(RecordError::from)?;
        let store = opened.store().await.map_err(RecordError::from)?;
        let store = store.locked_by(&lock).await.map_err(RecordError::from)?;
        let last = "SELECT COALESCE(MAX(sequence), 0) AS last FROM records";
        let last = sqlx::query(last).fetch_one(store.pool()).await.map_err(RecordError::from)?;
        let last: i64 = last.try_get("last").map_err(RecordError::from)?;
        let hash_key = Sha256::new().chain_update(b"maru participant ids").chain_update(key);
        let hash_key = Zeroizing::new(hash_key.finalize().into());
        let records = Self { store, key: Key::new(key), hash_key, sequence: AtomicI64::new(last) };
        Ok((records, lock))
    }

    /// Begins a batch of changes.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        Batch { records: self, changes: Vec::new() }
    }

    /// Whether nothing was stored yet.
    ///
    /// # Errors
    ///
    /// [`RecordError::Database`].
    pub async fn are_empty(&self) -> Result<bool, RecordError> {
        let query = sqlx::query("SELECT 1 AS one FROM records LIMIT 1");
        Ok(query.fetch_optional(self.store.pool()).await?.is_none())
    }

    /// A record.
    ///
    /// # Errors
    ///
    /// See [`RecordError`].
    pub async fn get<T: DeserializeOwned>(
        &self,
        kind: Kind,
        id: &[&str],
    ) -> Result<Option<T>, RecordError> {
        let id = self.hash(kind, id);
        let query = "SELECT id, sealed FROM records WHERE kind = $1 AND id = $2";
        let query = sqlx::query(query).bind(kind.name).bind(id.to_vec());
        let row = query.fetch_optional(self.store.pool()).await?;
        row.map(|row| self.open_row(kind, &row)).transpose()
    }

    /// All records of a kind, or those of one owner; the oldest first.
    ///
    /// # Errors
    ///
    /// See [`RecordError`].
    pub async fn all<T: DeserializeOwned>(
        &self,
        kind: Kind,
        owner: Option<&str>,
    ) -> Result<Vec<T>, RecordError> {
        let query = "SELECT id, sealed FROM records WHERE kind = $1 AND ($2 = 1 OR owner = $3) \
             ORDER BY sequence";
        let query = sqlx::query(query)
            .bind(kind.name)
            .bind(i64::from(owner.is_none()))
            .bind(self.hash(kind, owner.as_slice()).to_vec());
        let rows = query.fetch_all(self.store.pool()).await?;
        rows.iter().map(|row| self.open_row(kind, row)).collect()
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.store.close().await;
    }

    fn open_row<T: DeserializeOwned>(
        &self,
        kind: Kind,
        row: &sqlx::any::AnyRow,
    ) -> Result<T, RecordError> {
        let (id, sealed): (Vec<u8>, Vec<u8>) = (row.try_get("id")?, row.try_get("sealed")?);
        let value = self.key.open(cell(kind, &id), &sealed)?;
        Ok(serde_json::from_slice(&value)?)
    }

    /// The keyed hash of an id with several parts.
    fn hash(&self, kind: Kind, parts: &[&str]) -> [u8; 32] {
        let mut hash = Sha256::new().chain_update(*self.hash_key).chain_update(kind.name);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// The database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenRecords {
    /// Another process uses it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot be used.
    #[error(transparent)]
    Records(#[from] RecordError),
}

impl Batch<'_> {
    /// Writes a record.
    ///
    /// # Errors
    ///
    /// [`RecordError::Seal`], [`RecordError::Format`].
    pub fn put(
        &mut self,
        kind: Kind,
        id: &[&str],
        owner: &str,
        value: &impl Serialize,
    ) -> Result<&mut Self, RecordError> {
        let value = Zeroizing::new(serde_json::to_vec(value)?);
        let (id, owner) = (self.records.hash(kind, id), self.records.hash(kind, &[owner]));
        let sealed = Some(self.records.key.seal(cell(kind, &id), &value)?);
        self.changes.push(Change { kind, id, owner, sealed });
        Ok(self)
    }

    /// Removes a record.
    pub fn remove(&mut self, kind: Kind, id: &[&str]) -> &mut Self {
        let id = self.records.hash(kind, id);
        self.changes.push(Change { kind, id, owner: [0; 32], sealed: None });
        self
    }

    /// Makes the changes, and returns after they are synced.
    ///
    /// # Errors
    ///
    /// [`RecordError::Database`].
    pub async fn commit(&mut self) -> Result<(), RecordError> {
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() {
            return Ok(());
        }
        let store = &self.records.store;
        let mut tx = store.write(Priority::High, RevisionUpdate::Increment).await?;
        for Change { kind, id, owner, sealed } in changes {
            let Some(sealed) = sealed else {
                let query = "DELETE FROM records WHERE kind = $1 AND id = $2";
                let query = sqlx::query(query).bind(kind.name).bind(id.to_vec());
                query.execute(tx.connection()).await?;
                continue;
            };
            let query = "INSERT INTO records (kind, id, owner, sequence, sealed) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (kind, id) DO UPDATE SET owner = excluded.owner, \
                 sequence = excluded.sequence, sealed = excluded.sealed";
            sqlx::query(query)
                .bind(kind.name)
                .bind(id.to_vec())
                .bind(owner.to_vec())
                .bind(self.records.sequence.fetch_add(1, Ordering::Relaxed) + 1)
                .bind(sealed)
                .execute(tx.connection())
                .await?;
            if let Some(most) = kind.most {
                let query = "DELETE FROM records WHERE kind = $1 AND owner = $2 AND sequence <= \
                     (SELECT sequence FROM records WHERE kind = $1 AND owner = $2 \
                     ORDER BY sequence DESC LIMIT 1 OFFSET $3)";
                let query = sqlx::query(query).bind(kind.name).bind(owner.to_vec()).bind(most);
                query.execute(tx.connection()).await?;
            }
        }
        Ok(tx.commit().await?)
    }
}

fn cell(kind: Kind, id: &[u8]) -> Cell<'_> {
    Cell { table: "records", column: kind.name, row: id }
}

#[cfg(test)]
mod tests;
