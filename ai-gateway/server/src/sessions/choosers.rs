//! Who chose a model for a session: while the choice cannot be read, no other model is asked.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use conversations::{Conversations, Error};
use mesh_identity::Person;

use super::NotKept;

/// Why the chosen model is not known. No other is asked: it may be one that the person wants no question to reach.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}, so the model that you chose for this conversation is not known")]
pub(crate) struct UnknownModel(pub(crate) NotKept);

/// Who chose a model for a session, as they are written in the database; `None` until it was read. Who goes back to the
/// household's AI stays one until it is opened again.
#[derive(Debug, Default)]
pub(super) struct Choosers(Mutex<Option<HashSet<String>>>);

impl Choosers {
    /// Reads them again.
    pub(super) async fn read(&self, conversations: &Conversations) -> Result<(), Error> {
        let choosers = conversations.choosers().await?;
        *self.lock() = Some(choosers);
        Ok(())
    }

    pub(super) fn add(&self, person: &Person) {
        if let Some(choosers) = &mut *self.lock() {
            choosers.insert(person.to_string());
        }
    }

    pub(super) fn remove(&self, person: &Person) {
        if let Some(choosers) = &mut *self.lock() {
            choosers.remove(&person.to_string());
        }
    }

    pub(super) fn has(&self, person: &Person) -> bool {
        self.lock().as_ref().is_some_and(|choosers| choosers.contains(&person.to_string()))
    }

    /// Whether they were read.
    pub(super) fn are_known(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashSet<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
