//! Reads and writes conversations.

mod branch;
pub(crate) mod context;
pub(crate) mod list;
mod model;
mod newest;
pub(crate) mod parts;
pub(crate) mod read;
pub(crate) mod retention;

use mesh_identity::Person;
use sqlx::{AnyConnection, Row as _};
use store::{
    Database, DatabaseLock, Opened, Priority, RevisionUpdate, Schema, Store, WriteTransaction,
    seal::{Key, SealError},
};

use crate::{
    error::Error,
    keys::{ConversationKey, PersonKey},
    message::Message,
    recovery::RecoveryCode,
    sealed::{SealedMessage, SealedMessages},
};

/// The database's tables.
const TABLES: Schema = Schema {
    table: "conversation_store",
    // `conv` in ASCII.
    lock: 1_668_247_158,
    migrations: &[
        ("conversations", include_str!("../migrations/conversations.sql")),
        ("memory", include_str!("../migrations/memory.sql")),
        ("models", include_str!("../migrations/models.sql")),
    ],
};

/// What people may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one person, in bytes as they are stored.
    pub person_bytes: i64,
    /// Of one person.
    pub conversations: i64,
}

/// All conversations.
#[derive(Debug)]
pub struct Conversations {
    pub(crate) store: Store,
    machine: Key,
    limits: Limits,
}

/// A conversation's row.
struct Conversation {
    id: i64,
    key: ConversationKey,
    next_number: i64,
    bytes: i64,
}

/// What a conversation gets.
struct Addition {
    messages: i64,
    bytes: i64,
}

impl Conversations {
    /// Opens the database, and makes it if there is none. `lock` keeps other processes from writing.
    ///
    /// # Errors
    ///
    /// The database cannot be used, or is newer than this program.
    pub async fn open(
        database: &Database,
        lock: Option<&DatabaseLock>,
        machine: Key,
        limits: Limits,
    ) -> Result<Self, Error> {
        let opened = Opened::open(database, &TABLES).await?;
        let first = "INSERT INTO conversation_store (id, revision, epoch) VALUES (1, 0, 0) \
             ON CONFLICT DO NOTHING";
        sqlx::query(first).execute(opened.pool()).await?;
        let store = opened.store().await?;
        let store = match lock {
            Some(lock) => store.locked_by(lock).await?,
            None => store,
        };
        Ok(Self { store, machine, limits })
    }

    /// Takes the database for this process.
    ///
    /// # Errors
    ///
    /// Another process has it.
    pub async fn lock(database: &Database) -> Result<DatabaseLock, Error> {
        Ok(DatabaseLock::take(database, &TABLES).await?)
    }

    /// Appends messages; a conversation that is not there begins. Once this returns, they are on the disk: all, or none.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::OtherMachine`]; or the database fails, as on a full disk.
    pub async fn append(
        &self,
        person: &Person,
        name: &str,
        messages: &[Message],
        now_ms: i64,
    ) -> Result<(), Error> {
        let mut tx = self.write(Priority::High).await?;
        let connection = tx.connection();
        let key = self.key_of(connection, person).await?;
        let conversation = match find(connection, person, &key, name).await? {
            Some(found) => found,
            None => self.begin(connection, person, &key, name, now_ms).await?,
        };
        let mut addition = Addition { messages: 0, bytes: 0 };
        for (number, message) in (conversation.next_number..).zip(messages) {
            let content = conversation.key.seal(number, message)?;
            let message = SealedMessage { number, content, created_at: now_ms };
            addition.messages += 1;
            addition.bytes += message.bytes();
            insert(connection, conversation.id, message).await?;
        }
        self.count(connection, person, conversation.id, addition, now_ms).await?;
        Ok(tx.commit().await?)
    }

    /// Counts messages that a conversation gets, for itself and for its person, who may have so many bytes.
    async fn count(
        &self,
        connection: &mut AnyConnection,
        person: &Person,
        id: i64,
        addition: Addition,
        now_ms: i64,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE conversations SET next_number = next_number + $1, bytes = bytes + $2, \
             used_at = CASE WHEN used_at < $3 THEN $3 ELSE used_at END WHERE id = $4",
        )
        .bind(addition.messages)
        .bind(addition.bytes)
        .bind(now_ms)
        .bind(id)
        .execute(&mut *connection)
        .await?;
        let person_bytes: i64 =
            sqlx::query("UPDATE people SET bytes = bytes + $1 WHERE person = $2 RETURNING bytes")
                .bind(addition.bytes)
                .bind(person.to_string())
                .fetch_one(connection)
                .await?
                .try_get(0)?;
        if person_bytes > self.limits.person_bytes { Err(Error::Full) } else { Ok(()) }
    }

    /// The newest messages of a conversation, as many as `max_bytes` hold as they are stored; none if it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::OtherMachine`], or the database fails.
    pub async fn latest(
        &self,
        person: &Person,
        name: &str,
        max_bytes: usize,
    ) -> Result<SealedMessages, Error> {
        let mut connection = self.store.pool().acquire().await?;
        let Some(key) = self.person(&mut connection, person).await? else {
            return Ok(SealedMessages::default());
        };
        let Some(conversation) = find(&mut connection, person, &key, name).await? else {
            return Ok(SealedMessages::default());
        };
        let rows = newest::newest(
            &mut connection,
            conversation.id,
            0..conversation.next_number,
            max_bytes,
        )
        .await?;
        Ok(SealedMessages::new(conversation.key, rows))
    }

    /// How many conversations there are, and what their messages take, in bytes as they are stored.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn size(&self) -> Result<(i64, i64), Error> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM conversations) AS number, \
             (SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM people) AS bytes",
        )
        .fetch_one(self.store.pool())
        .await?;
        Ok((row.try_get("number")?, row.try_get("bytes")?))
    }

    /// Gives a conversation another name.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], [`Error::Taken`], or the database fails.
    pub async fn rename(&self, person: &Person, name: &str, to: &str) -> Result<(), Error> {
        let mut tx = self.write(Priority::High).await?;
        let connection = tx.connection();
        let key = self.person(connection, person).await?.ok_or(Error::Missing)?;
        let found = find(connection, person, &key, name).await?.ok_or(Error::Missing)?;
        if find(connection, person, &key, to).await?.is_some() {
            return Err(Error::Taken);
        }
        sqlx::query("UPDATE conversations SET name_digest = $1, name_sealed = $2 WHERE id = $3")
            .bind(key.digest(to))
            .bind(key.seal_name(found.id, to)?)
            .bind(found.id)
            .execute(connection)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Deletes a conversation and its key; whether it was there.
    ///
    /// # Errors
    ///
    /// [`Error::OtherMachine`], or the database fails.
    pub async fn delete(&self, person: &Person, name: &str) -> Result<bool, Error> {
        let mut tx = self.write(Priority::High).await?;
        let connection = tx.connection();
        let Some(key) = self.person(connection, person).await? else { return Ok(false) };
        let deleted = sqlx::query(
            "DELETE FROM conversations WHERE person = $1 AND name_digest = $2 RETURNING bytes",
        )
        .bind(person.to_string())
        .bind(key.digest(name))
        .fetch_optional(&mut *connection)
        .await?;
        let Some(deleted) = deleted else { return Ok(false) };
        let bytes: i64 = deleted.try_get("bytes")?;
        sqlx::query("UPDATE people SET bytes = bytes - $1 WHERE person = $2")
            .bind(bytes)
            .bind(person.to_string())
            .execute(connection)
            .await?;
        tx.commit().await?;
        self.store.checkpoint().await?;
        Ok(true)
    }

    /// Deletes all of a person: keys, conversations, recovery code. No key is needed for it. Returns how many conversations
    /// there were.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn forget(&self, person: &Person) -> Result<u64, Error> {
        let mut tx = self.write(Priority::High).await?;
        let count: i64 = sqlx::query("SELECT COUNT(*) FROM conversations WHERE person = $1")
            .bind(person.to_string())
            .fetch_one(tx.connection())
            .await?
            .try_get(0)?;
        sqlx::query("DELETE FROM people WHERE person = $1")
            .bind(person.to_string())
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        self.store.checkpoint().await?;
        Ok(count.unsigned_abs())
    }

    /// Makes a person's recovery code; one that was made before opens nothing any more.
    ///
    /// # Errors
    ///
    /// [`Error::OtherMachine`], or the database fails.
    pub async fn make_recovery_code(&self, person: &Person) -> Result<RecoveryCode, Error> {
        let code = RecoveryCode::random().map_err(SealError::Random)?;
        let mut tx = self.write(Priority::High).await?;
        let connection = tx.connection();
        let key = self.key_of(connection, person).await?;
        sqlx::query("UPDATE people SET recovery_sealed = $1 WHERE person = $2")
            .bind(key.seal_for(&code)?)
            .bind(person.to_string())
            .execute(connection)
            .await?;
        tx.commit().await?;
        Ok(code)
    }

    /// Opens a person's conversations, which were sealed on another machine, with their recovery code: from now on this
    /// machine's key opens them, too.
    ///
    /// # Errors
    ///
    /// [`Error::WrongCode`], also if the person has no code; or the database fails.
    pub async fn recover(&self, person: &Person, code: &RecoveryCode) -> Result<(), Error> {
        let mut tx = self.write(Priority::High).await?;
        let connection = tx.connection();
        let row = sqlx::query("SELECT recovery_sealed FROM people WHERE person = $1")
            .bind(person.to_string())
            .fetch_optional(&mut *connection)
            .await?;
        let sealed: Option<Vec<u8>> = row.ok_or(Error::WrongCode)?.try_get("recovery_sealed")?;
        let sealed = sealed.ok_or(Error::WrongCode)?;
        let key = PersonKey::recover(code, person.to_string(), &sealed)?;
        sqlx::query("UPDATE people SET key_sealed = $1 WHERE person = $2")
            .bind(key.seal(&self.machine)?)
            .bind(person.to_string())
            .execute(connection)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.store.close().await;
    }

    pub(crate) async fn write(&self, priority: Priority) -> Result<WriteTransaction, Error> {
        Ok(self.store.write(priority, RevisionUpdate::Keep).await?)
    }

    /// The person's key, if they have one.
    pub(crate) async fn person(
        &self,
        connection: &mut AnyConnection,
        person: &Person,
    ) -> Result<Option<PersonKey>, Error> {
        let row = sqlx::query("SELECT key_sealed FROM people WHERE person = $1")
            .bind(person.to_string())
            .fetch_optional(connection)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let sealed: Vec<u8> = row.try_get("key_sealed")?;
        PersonKey::open(&self.machine, person.to_string(), &sealed).map(Some)
    }

    /// The person's key; who has none gets one.
    pub(crate) async fn key_of(
        &self,
        connection: &mut AnyConnection,
        person: &Person,
    ) -> Result<PersonKey, Error> {
        match self.person(connection, person).await? {
            Some(key) => Ok(key),
            None => self.begin_person(connection, person).await,
        }
    }

    async fn begin_person(
        &self,
        connection: &mut AnyConnection,
        person: &Person,
    ) -> Result<PersonKey, Error> {
        let key = PersonKey::random(person.to_string())?;
        sqlx::query("INSERT INTO people (person, key_sealed, bytes) VALUES ($1, $2, 0)")
            .bind(person.to_string())
            .bind(key.seal(&self.machine)?)
            .execute(connection)
            .await?;
        Ok(key)
    }

    async fn begin(
        &self,
        connection: &mut AnyConnection,
        person: &Person,
        key: &PersonKey,
        name: &str,
        now_ms: i64,
    ) -> Result<Conversation, Error> {
        let count: i64 = sqlx::query("SELECT COUNT(*) FROM conversations WHERE person = $1")
            .bind(person.to_string())
            .fetch_one(&mut *connection)
            .await?
            .try_get(0)?;
        if count >= self.limits.conversations {
            return Err(Error::Full);
        }
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(SealError::Random)?;
        // Random, so that it tells no order; positive, so that it is read as it is written.
        let id = i64::from_be_bytes(id) & i64::MAX;
        let (conversation, sealed) = key.new_key(id)?;
        sqlx::query(
            "INSERT INTO conversations (id, person, name_digest, name_sealed, key_sealed, \
             next_number, bytes, created_at, used_at) VALUES ($1, $2, $3, $4, $5, 0, 0, $6, $6)",
        )
        .bind(id)
        .bind(person.to_string())
        .bind(key.digest(name))
        .bind(key.seal_name(id, name)?)
        .bind(sealed)
        .bind(now_ms)
        .execute(connection)
        .await?;
        Ok(Conversation { id, key: conversation, next_number: 0, bytes: 0 })
    }
}

/// Inserts a message.
async fn insert(
    connection: &mut AnyConnection,
    conversation: i64,
    message: SealedMessage,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO messages (conversation, number, content_sealed, created_at) \
         VALUES ($1, $2, $3, $4)",
    )
    .bind(conversation)
    .bind(message.number)
    .bind(message.content)
    .bind(message.created_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// A person's conversation of this name.
async fn find(
    connection: &mut AnyConnection,
    person: &Person,
    key: &PersonKey,
    name: &str,
) -> Result<Option<Conversation>, Error> {
    let row = sqlx::query(
        "SELECT id, key_sealed, next_number, bytes FROM conversations \
         WHERE person = $1 AND name_digest = $2",
    )
    .bind(person.to_string())
    .bind(key.digest(name))
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (id, sealed): (i64, Vec<u8>) = (row.try_get("id")?, row.try_get("key_sealed")?);
    Ok(Some(Conversation {
        id,
        key: key.key(id, &sealed)?,
        next_number: row.try_get("next_number")?,
        bytes: row.try_get("bytes")?,
    }))
}

#[cfg(test)]
mod tests;
