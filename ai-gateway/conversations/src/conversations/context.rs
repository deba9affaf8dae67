//! What of a conversation is in its next prompt: the newest messages, and a summary of those before.

use std::fmt;

use mesh_identity::Person;
use sqlx::Row as _;
use store::Priority;

use super::{Conversations, find, newest::newest};
use crate::{
    error::Error,
    keys::ConversationKey,
    sealed::{NumberedMessage, SealedMessages},
};

/// What of a conversation is in its next prompt, as it is stored.
#[derive(Default)]
pub struct SealedContext {
    conversation: Option<(i64, ConversationKey)>,
    messages: SealedMessages,
    compaction: Option<Compaction>,
    has_older: bool,
}

/// What stands for the oldest messages of a conversation.
struct Compaction {
    first: i64,
    summary: Option<Vec<u8>>,
}

/// What of a conversation is in its next prompt.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The conversation's id, for [`Conversations::compact`]; none if it has not begun.
    pub id: Option<i64>,
    /// Of the messages before; none if all are here, or there is no summary of them.
    pub summary: Option<String>,
    /// The messages, oldest first.
    pub messages: Vec<NumberedMessage>,
    /// Whether older messages since the last [`Conversations::compact`] are not here.
    pub has_older: bool,
}

impl fmt::Debug for SealedContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedContext").field("messages", &self.messages).finish_non_exhaustive()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("messages", &self.messages.len()).finish_non_exhaustive()
    }
}

impl SealedContext {
    /// Opens it. It awaits nothing, so that the caller chooses the memory that the texts are in.
    ///
    /// # Errors
    ///
    /// [`Error::Open`] or [`Error::Format`].
    pub fn open(&self) -> Result<Context, Error> {
        let summary = match (&self.conversation, &self.compaction) {
            (Some((_, key)), Some(Compaction { first, summary: Some(sealed) })) => {
                Some(key.open_summary(*first, sealed)?)
            }
            _ => None,
        };
        let id = self.conversation.as_ref().map(|(id, _)| *id);
        let messages = self.messages.open_numbered()?;
        Ok(Context { id, summary, messages, has_older: self.has_older })
    }
}

impl Conversations {
    /// What of a conversation is in its next prompt: the newest messages, as many as `max_bytes` hold as they are stored, and
    /// none that was left out before.
    ///
    /// # Errors
    ///
    /// [`Error::OtherMachine`], or the database fails.
    pub async fn context(
        &self,
        person: &Person,
        name: &str,
        max_bytes: usize,
    ) -> Result<SealedContext, Error> {
        let mut connection = self.store.pool().acquire().await?;
        let Some(key) = self.person(&mut connection, person).await? else {
            return Ok(SealedContext::default());
        };
        let Some(found) = find(&mut connection, person, &key, name).await? else {
            return Ok(SealedContext::default());
        };
        let compaction = sqlx::query(
            "SELECT first_number, summary_sealed FROM compactions WHERE conversation = $1",
        )
        .bind(found.id)
        .fetch_optional(&mut *connection)
        .await?;
        let compaction = compaction.map(|row| {
            let (first, summary) = (row.try_get("first_number")?, row.try_get("summary_sealed")?);
            Ok::<_, Error>(Compaction { first, summary })
        });
        let compaction = compaction.transpose()?;
        let first = compaction.as_ref().map_or(0, |compaction| compaction.first);
        let rows = newest(&mut connection, found.id, first..found.next_number, max_bytes).await?;
        let has_older = rows.first().map_or(found.next_number, |row| row.number) > first;
        Ok(SealedContext {
            messages: SealedMessages::new(found.key.clone(), rows),
            conversation: Some((found.id, found.key)),
            compaction,
            has_older,
        })
    }

    /// Leaves the messages before `first` out of prompts from now on; the summary stands for them. They stay stored.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if the conversation was deleted, [`Error::OtherMachine`]; or the database fails.
    pub async fn compact(
        &self,
        person: &Person,
        id: i64,
        first: i64,
        summary: Option<&str>,
    ) -> Result<(), Error> {
        let mut tx = self.write(Priority::High).await?;
        let connection = tx.connection();
        let key = self.person(connection, person).await?.ok_or(Error::Missing)?;
        let row = sqlx::query("SELECT key_sealed FROM conversations WHERE person = $1 AND id = $2")
            .bind(person.to_string())
            .bind(id)
            .fetch_optional(&mut *connection)
            .await?;
        let sealed: Vec<u8> = row.ok_or(Error::Missing)?.try_get("key_sealed")?;
        let key = key.key(id, &sealed)?;
        let summary = summary.map(|summary| key.seal_summary(first, summary)).transpose()?;
        sqlx::query(
            "INSERT INTO compactions (conversation, first_number, summary_sealed) \
             VALUES ($1, $2, $3) ON CONFLICT (conversation) DO UPDATE \
             SET first_number = excluded.first_number, summary_sealed = excluded.summary_sealed",
        )
        .bind(id)
        .bind(first)
        .bind(summary)
        .execute(connection)
        .await?;
        Ok(tx.commit().await?)
    }
}

#[cfg(test)]
mod tests;
