//! People's memory, which stands in the same database.

use conversations::{Error, MemoryChange, SealedMemory};
use mesh_identity::Person;

use super::{NotKept, Sessions};

impl Sessions {
    /// A person's memory.
    pub(crate) async fn memory(&self, person: &Person) -> Result<SealedMemory, NotKept> {
        Ok(self.opened().await?.memory(person).await?)
    }

    /// Changes a person's memory: `edit` sees what is there and returns the changes, and a value for the caller. Once this
    /// returns, they are on the disk.
    pub(crate) async fn edit_memory<T>(
        &self,
        person: &Person,
        edit: impl FnOnce(&SealedMemory) -> Result<(Vec<MemoryChange>, T), Error>,
    ) -> Result<T, NotKept> {
        Ok(self.opened().await?.edit_memory(person, edit).await?)
    }

    /// Sets whether the AI may add to a person's memory by itself.
    pub(crate) async fn set_ai_remembers(&self, person: &Person, on: bool) -> Result<(), NotKept> {
        Ok(self.opened().await?.set_ai_remembers(person, on).await?)
    }
}
