//! Copies the beginning of a conversation to a new one.

use mesh_identity::Person;
use store::Priority;

use super::{Addition, Conversations, find, insert, model, read::Reader};
use crate::error::Error;

/// What the messages of a branch take at most, in bytes as they are stored: others wait to write while they are copied.
const BRANCH_MAX: i64 = 8 << 20;

impl Conversations {
    /// Begins the conversation `to` with the messages of `name` whose number is below `before`: all, or none. They keep
    /// their times, and are sealed under the new conversation's key. The same model answers.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`], [`Error::Number`], [`Error::Taken`], [`Error::Long`], [`Error::Full`],
    /// [`Error::OtherMachine`]; or the database fails.
    pub async fn branch(
        &self,
        person: &Person,
        name: &str,
        before: i64,
        to: &str,
        now_ms: i64,
    ) -> Result<(), Error> {
        let mut tx = self.write(Priority::High).await?;
        let connection = tx.connection();
        let key = self.person(connection, person).await?.ok_or(Error::Missing)?;
        let from = find(connection, person, &key, name).await?.ok_or(Error::Missing)?;
        if !(0..=from.next_number).contains(&before) {
            return Err(Error::Number);
        }
        if find(connection, person, &key, to).await?.is_some() {
            return Err(Error::Taken);
        }
        let chosen = model::chosen(connection, person, &key, name).await?;
        let branch = self.begin(connection, person, &key, to, now_ms).await?;
        model::choose(connection, &key, branch.id, chosen.as_deref()).await?;
        let mut reader = Reader::new(from.id, from.key, 0..before, from.bytes);
        let mut addition = Addition { messages: before, bytes: 0 };
        while let Some(part) = reader.part(connection).await? {
            for copy in part.seal_for(&branch.key) {
                let copy = copy?;
                addition.bytes += copy.bytes();
                if addition.bytes > BRANCH_MAX {
                    return Err(Error::Long);
                }
                insert(connection, branch.id, copy).await?;
            }
        }
        self.count(connection, person, branch.id, addition, now_ms).await?;
        Ok(tx.commit().await?)
    }
}
