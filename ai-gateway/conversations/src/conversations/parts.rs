//! Reads all of a person's conversations, one after the other, in parts.

use std::{fmt, sync::Arc};

use sqlx::{Any, pool::PoolConnection};

use super::{
    Conversations,
    list::{Entries, Entry},
    read::Reader,
};
use crate::{error::Error, sealed::SealedMessages};

/// Parts that are read before the connection goes to whoever waits for one.
const TURN: usize = 16;

/// Conversations that are read one after the other. Between the parts it keeps a connection of the database, which
/// [`Self::release`] gives back.
pub struct Parts {
    conversations: Arc<Conversations>,
    entries: Entries,
    current: Option<(Arc<Entry>, Reader)>,
    connection: Option<PoolConnection<Any>>,
    /// Parts that are left to this connection.
    left: usize,
}

/// The next messages of a conversation.
#[derive(Debug)]
pub struct Part {
    /// The conversation.
    pub entry: Arc<Entry>,
    /// Its messages.
    pub messages: SealedMessages,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl Part {
    /// Whether it follows another one in the same conversation.
    #[must_use]
    pub fn continues(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entry, &other.entry)
    }
}

impl Parts {
    /// Begins with the first of `entries`.
    #[must_use]
    pub fn new(conversations: Arc<Conversations>, entries: Entries) -> Self {
        Self { conversations, entries, current: None, connection: None, left: TURN }
    }

    /// The next part; `None` at the end. A conversation that was deleted meanwhile is left out.
    ///
    /// # Errors
    ///
    /// [`Error::Open`], or the database fails.
    pub async fn next(&mut self) -> Result<Option<Part>, Error> {
        loop {
            let Some((entry, mut reader)) = self.current.take() else {
                let Some(entry) = self.entries.next() else { return Ok(None) };
                let reader = entry.reader()?;
                self.current = Some((Arc::new(entry), reader));
                continue;
            };
            if self.left == 0 {
                self.release();
            }
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.conversations.store.pool().acquire().await?,
            };
            let messages = reader.part(&mut connection).await?;
            self.left -= 1;
            self.connection = Some(connection);
            if let Some(messages) = messages {
                self.current = Some((Arc::clone(&entry), reader));
                return Ok(Some(Part { entry, messages }));
            }
        }
    }

    /// Gives the connection back. Called before anything else than the next part is waited for.
    pub fn release(&mut self) {
        (self.connection, self.left) = (None, TURN);
    }
}

#[cfg(test)]
mod tests {
    use chat_vocabulary::Role;
    use mesh_identity::Person;
    use store::seal::Key;
    use tempfile::TempDir;

    use super::*;
    use crate::{FoundMessage, Limits, Message, Pattern, tests::database};

    const ADA: Person = Person::User(1);

    /// So many conversations of one person, the last used first in `entries`.
    async fn of_ada(count: i64) -> (TempDir, Arc<Conversations>) {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { person_bytes: i64::MAX, conversations: i64::MAX };
        let database = database(folder.path()).await;
        let conversations = Conversations::open(&database, None, Key::new(&[1; 32]), limits).await;
        let conversations = Arc::new(conversations.unwrap());
        for number in 0..count {
            let texts = [format!("The {number}th Heron"), "x".repeat(50_000), "heron".to_owned()];
            let messages = texts.map(|text| Message { role: Role::User, text });
            conversations.append(&ADA, &number.to_string(), &messages, number).await.unwrap();
        }
        (folder, conversations)
    }

    async fn parts(conversations: &Arc<Conversations>) -> Parts {
        Parts::new(Arc::clone(conversations), conversations.entries(&ADA).await.unwrap())
    }

    #[tokio::test]
    async fn all_conversations_are_searched_one_after_the_other() {
        let (_folder, conversations) = of_ada(3).await;
        let mut parts = parts(&conversations).await;
        conversations.delete(&ADA, "1").await.unwrap();
        let pattern = Pattern::new("HERON").unwrap();

        let mut found = Vec::new();
        while let Some(part) = parts.next().await.unwrap() {
            let name = part.entry.summary().unwrap().name;
            found.extend(part.messages.find(&pattern).unwrap().into_iter().map(|message| {
                let FoundMessage { number, created_at, role, excerpt } = message;
                assert_eq!((created_at.to_string(), role), (name.clone(), Role::User));
                (name.clone(), number, excerpt)
            }));
            parts.release();
        }

        let expected = [("2", 0, "The 2th Heron"), ("2", 2, "heron")];
        let expected = expected.into_iter().chain([("0", 0, "The 0th Heron"), ("0", 2, "heron")]);
        let expected =
            expected.map(|(name, number, text)| (name.to_owned(), number, text.to_owned()));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn whoever_reads_everything_gives_way_to_who_waits_for_a_connection() {
        let (_folder, conversations) = of_ada(30).await;
        let mut parts = parts(&conversations).await;
        parts.next().await.unwrap().unwrap();
        let pool = conversations.store.pool().clone();
        let mut others = Vec::new();
        for _ in 1..pool.options().get_max_connections() {
            others.push(pool.acquire().await.unwrap());
        }
        let waiting = tokio::spawn(async move { drop(pool.acquire().await.unwrap()) });

        let mut read = 1;
        while !waiting.is_finished() {
            parts
                .next()
                .await
                .unwrap()
                .expect("all was read before the other one got a connection");
            read += 1;
        }

        assert!(read > 2 && read <= TURN + 1, "{read}");
    }
}
