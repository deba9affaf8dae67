//! Rooms: what the gateway holds for the participant, the AI as a member of rooms.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::openclaw::RoomPolicy;

/// The state of rooms.
#[derive(Debug)]
pub(crate) struct Rooms {
    policy: Mutex<Arc<RoomPolicy>>,
}

impl Rooms {
    #[must_use]
    pub(crate) fn new(policy: RoomPolicy) -> Self {
        Self { policy: Mutex::new(Arc::new(policy)) }
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
