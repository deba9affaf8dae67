//! The model that a person chose for a session.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ai_gateway_api::sealed::SessionName;
use conversations::{Conversations, Error};
use mesh_identity::Person;

use super::{NotKept, Sessions};
use crate::now_ms;

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

    fn add(&self, person: &Person) {
        if let Some(choosers) = &mut *self.lock() {
            choosers.insert(person.to_string());
        }
    }

    pub(super) fn remove(&self, person: &Person) {
        if let Some(choosers) = &mut *self.lock() {
            choosers.remove(&person.to_string());
        }
    }

    fn has(&self, person: &Person) -> bool {
        self.lock().as_ref().is_some_and(|choosers| choosers.contains(&person.to_string()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashSet<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    /// The chosen model. `None` is the household's AI, which also answers who chose nothing while nothing can be read; and
    /// everybody if nothing could be read since the start.
    ///
    /// # Errors
    ///
    /// The person chose a model for one of their sessions, and which it is for this one cannot be read.
    pub(crate) async fn model(
        &self,
        person: &Person,
        session: &SessionName,
    ) -> Result<Option<String>, UnknownModel> {
        let read = async {
            // It logs what the admin has to see.
            Ok(self.opened().await?.model(person, session.as_str()).await?)
        };
        match read.await {
            Err(reason) if self.choosers.has(person) => Err(UnknownModel(reason)),
            Err::<_, NotKept>(_) => Ok(None),
            Ok(model) => Ok(model),
        }
    }

    /// Whether it is known who chose a model.
    pub(crate) fn knows_choosers(&self) -> bool {
        self.choosers.lock().is_some()
    }

    /// Chooses a model, or the household's AI. A session that is not there begins, without a message.
    pub(crate) async fn choose_model(
        &self,
        person: &Person,
        session: &SessionName,
        model: Option<&str>,
    ) -> Result<(), NotKept> {
        let now = i64::try_from(now_ms()).unwrap_or(i64::MAX);
        let conversations = self.opened().await?;
        if model.is_some() {
            self.choosers.add(person);
        }
        Ok(conversations.choose_model(person, session.as_str(), model, now).await?)
    }
}
