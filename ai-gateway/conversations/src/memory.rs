//! What a person has the AI remember: files that stand in their prompts, sealed under their key.

use mesh_identity::Person;
use sqlx::{AnyConnection, Row as _};
use store::{Priority, seal::OVERHEAD};

use crate::{conversations::Conversations, error::Error, keys::PersonKey};

/// Most bytes of one file's text.
pub const MEMORY_FILE_MAX: usize = 64 << 10;
/// Most files of a person.
const FILES_MAX: usize = 512;
/// Most bytes of all files of a person, as they are stored.
const TOTAL_MAX: usize = 256 << 10;

/// The memory of a person, as it is stored. What it holds is opened file by file.
pub struct SealedMemory {
    /// `None` if the person keeps nothing here.
    key: Option<PersonKey>,
    /// Names and contents, by name.
    files: Vec<(String, Vec<u8>)>,
    ai_remembers: bool,
}

/// The new text of a file; an empty one deletes it.
#[derive(Clone, PartialEq, Eq)]
pub struct MemoryChange {
    /// The file's name.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl std::fmt::Debug for SealedMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedMemory").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for MemoryChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryChange").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SealedMemory {
    /// The names of the files, in order.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.files.iter().map(|(name, _)| name.as_str())
    }

    /// A file's text; empty if there is none of this name.
    ///
    /// # Errors
    ///
    /// It does not open.
    pub fn open(&self, name: &str) -> Result<String, Error> {
        let file = self.files.iter().find(|(known, _)| known == name);
        match (&self.key, file) {
            (Some(key), Some((_, sealed))) => Ok(key.open_memory(name, sealed)?),
            (None, _) | (_, None) => Ok(String::new()),
        }
    }

    /// Whether the AI may add to it by itself.
    #[must_use]
    pub fn ai_remembers(&self) -> bool {
        self.ai_remembers
    }

    /// Whether the files have room for these changes.
    fn has_room(&self, changes: &[MemoryChange]) -> bool {
        let kept = self.files.iter().filter(|(name, _)| changes.iter().all(|it| it.name != *name));
        let new = changes.iter().filter(|change| !change.text.is_empty());
        let sizes = kept.map(|(_, sealed)| sealed.len());
        let sizes: Vec<_> =
            sizes.chain(new.clone().map(|change| change.text.len() + OVERHEAD)).collect();
        new.map(|change| change.text.len()).all(|size| size <= MEMORY_FILE_MAX)
            && sizes.len() <= FILES_MAX
            && sizes.iter().sum::<usize>() <= TOTAL_MAX
    }
}

impl Conversations {
    /// A person's memory.
    ///
    /// # Errors
    ///
    /// [`Error::OtherMachine`], or the database fails.
    pub async fn memory(&self, person: &Person) -> Result<SealedMemory, Error> {
        let mut connection = self.store.pool().acquire().await?;
        let key = self.person(&mut connection, person).await?;
        read(&mut connection, person, key).await
    }

    /// Changes a person's memory: `edit` sees what is there and returns the changes, and a value for the caller. Once this
    /// returns, all of them are on the disk. Nobody else changes the memory meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::MemoryFull`], [`Error::OtherMachine`], the error of `edit`; or the database fails. Nothing is changed then.
    pub async fn edit_memory<T>(
        &self,
        person: &Person,
        edit: impl FnOnce(&SealedMemory) -> Result<(Vec<MemoryChange>, T), Error>,
    ) -> Result<T, Error> {
        let mut tx = self.write(Priority::High).await?;
        let connection = tx.connection();
        let key = self.key_of(connection, person).await?;
        let memory = read(connection, person, Some(key)).await?;
        let (changes, value) = edit(&memory)?;
        if !memory.has_room(&changes) {
            return Err(Error::MemoryFull);
        }
        for change in &changes {
            write(connection, person, memory.key.as_ref(), change).await?;
        }
        tx.commit().await?;
        // What was removed is not left in the log either.
        self.store.checkpoint().await?;
        Ok(value)
    }

    /// Sets whether the AI may add to a person's memory by itself.
    ///
    /// # Errors
    ///
    /// [`Error::OtherMachine`], or the database fails.
    pub async fn set_ai_remembers(&self, person: &Person, on: bool) -> Result<(), Error> {
        let mut tx = self.write(Priority::High).await?;
        let connection = tx.connection();
        self.key_of(connection, person).await?;
        sqlx::query("UPDATE people SET ai_remembers = $1 WHERE person = $2")
            .bind(i64::from(on))
            .bind(person.to_string())
            .execute(connection)
            .await?;
        Ok(tx.commit().await?)
    }
}

async fn read(
    connection: &mut AnyConnection,
    person: &Person,
    key: Option<PersonKey>,
) -> Result<SealedMemory, Error> {
    let set = sqlx::query("SELECT ai_remembers FROM people WHERE person = $1")
        .bind(person.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let set: i64 = set.map_or(Ok(0), |row| row.try_get("ai_remembers"))?;
    let rows = sqlx::query("SELECT name, content_sealed FROM memory_files WHERE person = $1")
        .bind(person.to_string())
        .fetch_all(connection)
        .await?;
    let file = |row: &sqlx::any::AnyRow| Ok((row.try_get("name")?, row.try_get("content_sealed")?));
    let mut files =
        rows.iter().map(file).collect::<Result<Vec<(String, Vec<u8>)>, sqlx::Error>>()?;
    // By the program and not by the database, whose engines differ in order.
    files.sort_unstable();
    Ok(SealedMemory { key, files, ai_remembers: set != 0 })
}

/// Writes or deletes one file.
async fn write(
    connection: &mut AnyConnection,
    person: &Person,
    key: Option<&PersonKey>,
    MemoryChange { name, text }: &MemoryChange,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM memory_files WHERE person = $1 AND name = $2")
        .bind(person.to_string())
        .bind(name.as_str())
        .execute(&mut *connection)
        .await?;
    let Some(key) = key.filter(|_| !text.is_empty()) else { return Ok(()) };
    sqlx::query("INSERT INTO memory_files (person, name, content_sealed) VALUES ($1, $2, $3)")
        .bind(person.to_string())
        .bind(name.as_str())
        .bind(key.seal_memory(name, text)?)
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
