//! Rooms: what the gateway holds for the participant, the AI as a member of rooms.
//!
//! On disk it is the [record] of events that ran, as hashes; in memory, the models that rooms have chosen and
//! counters for the limits. Texts are held while they are answered.

mod admission;
mod command;
mod prompt;
mod record;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ai_gateway_api::{rooms::Id, settings::gateway::Limits};
use chassis::state::StateError;

use crate::{choices::ModelChoices, openclaw::RoomPolicy};

pub(crate) use admission::{Admission, ReplyPermit};
pub(crate) use command::Command;
pub(crate) use prompt::{conversation, instructions, joined};
pub(crate) use record::EventRecord;

/// The state of rooms.
#[derive(Debug)]
pub(crate) struct Rooms {
    policy: Mutex<Arc<RoomPolicy>>,
    pub(crate) events: EventRecord,
    pub(crate) admission: Admission,
    pub(crate) models: ModelChoices<Id>,
}

impl Rooms {
    /// Loads the record in the gateway's state; `key` is for its hashes.
    pub(crate) fn load(
        policy: RoomPolicy,
        limits: &Limits,
        state: &Path,
        key: [u8; 32],
    ) -> Result<Self, StateError> {
        Ok(Self {
            policy: Mutex::new(Arc::new(policy)),
            events: EventRecord::load(state.join(record::FILE), key)?,
            admission: Admission::new(limits),
            models: ModelChoices::default(),
        })
    }

    /// Which messages are answered.
    #[must_use]
    pub(crate) fn policy(&self) -> Arc<RoomPolicy> {
        Arc::clone(&self.lock_policy())
    }

    /// Changes which messages are answered.
    pub(crate) fn set_policy(&self, policy: RoomPolicy) {
        *self.lock_policy() = Arc::new(policy);
    }

    fn lock_policy(&self) -> MutexGuard<'_, Arc<RoomPolicy>> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
