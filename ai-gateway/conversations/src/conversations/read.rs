//! Reads a conversation in parts, so that it is never whole in memory.

use std::{fmt, ops::Range};

use mesh_identity::Person;
use sqlx::{AnyConnection, Row as _};

use super::{Conversations, find};
use crate::{
    error::Error,
    keys::ConversationKey,
    sealed::{SealedMessage, SealedMessages},
};

/// What the messages of a part take at most, in bytes as they are stored. A longer message is a part of its own.
const PART: i64 = 64 << 10;

/// The rest of a conversation's messages, which are read in parts, oldest first.
pub struct Reader {
    id: i64,
    key: ConversationKey,
    /// Numbers of the messages that are not read yet.
    rest: Range<i64>,
    /// What all messages of the conversation take.
    bytes: i64,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("rest", &self.rest).finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn new(id: i64, key: ConversationKey, rest: Range<i64>, bytes: i64) -> Self {
        Self { id, key, rest, bytes }
    }

    /// The next part; `None` at the end, and if the conversation was deleted meanwhile.
    pub(super) async fn part(
        &mut self,
        connection: &mut AnyConnection,
    ) -> Result<Option<SealedMessages>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let end = if self.bytes <= PART { self.rest.end } else { self.fit(connection).await? };
        let rows = sqlx::query(
            "SELECT number, content_sealed, created_at FROM messages \
             WHERE conversation = $1 AND number >= $2 AND number < $3 ORDER BY number",
        )
        .bind(self.id)
        .bind(self.rest.start)
        .bind(end)
        .fetch_all(connection)
        .await?;
        self.rest.start = end;
        let rows = rows.iter().map(SealedMessage::read).collect::<Result<Vec<_>, Error>>()?;
        Ok((!rows.is_empty()).then(|| SealedMessages::new(self.key.clone(), rows)))
    }

    /// The end of the messages that fit into the next part.
    async fn fit(&self, connection: &mut AnyConnection) -> Result<i64, Error> {
        let rows = sqlx::query(
            "SELECT number, CAST(LENGTH(content_sealed) AS BIGINT) AS bytes FROM messages \
             WHERE conversation = $1 AND number >= $2 AND number < $3 ORDER BY number LIMIT 512",
        )
        .bind(self.id)
        .bind(self.rest.start)
        .bind(self.rest.end)
        .fetch_all(connection)
        .await?;
        let (mut end, mut bytes) = (self.rest.end, 0);
        for (index, row) in rows.iter().enumerate() {
            bytes += row.try_get::<i64, _>("bytes")?;
            if index > 0 && bytes > PART {
                break;
            }
            end = row.try_get::<i64, _>("number")? + 1;
        }
        Ok(end)
    }
}

impl Conversations {
    /// Begins to read a conversation: of the messages whose number is below `before`, the newest `limit`.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], [`Error::OtherMachine`], or the database fails.
    pub async fn read(
        &self,
        person: &Person,
        name: &str,
        before: i64,
        limit: i64,
    ) -> Result<Reader, Error> {
        let mut connection = self.store.pool().acquire().await?;
        let key = self.person(&mut connection, person).await?.ok_or(Error::Missing)?;
        let found = find(&mut connection, person, &key, name).await?.ok_or(Error::Missing)?;
        let end = before.clamp(0, found.next_number);
        let start = end.saturating_sub(limit).clamp(0, end);
        Ok(Reader::new(found.id, found.key, start..end, found.bytes))
    }

    /// The next part of a conversation; `None` at the end, and if the conversation was deleted meanwhile. It occupies a
    /// connection of the database only for as long as it reads.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn part(&self, reader: &mut Reader) -> Result<Option<SealedMessages>, Error> {
        if reader.rest.is_empty() {
            return Ok(None);
        }
        let mut connection = self.store.pool().acquire().await?;
        reader.part(&mut connection).await
    }
}
