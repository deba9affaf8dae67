//! Everybody's presence, shared by requests.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId, presence::PresenceState};
use telmeet_core::{
    Error,
    presence::{Presence, Status},
};
use tokio::sync::watch;

/// Everybody's presence, and who waits for changes.
#[derive(Debug, Default)]
pub(crate) struct PresenceList {
    presence: Mutex<Presence>,
    changes: watch::Sender<u64>,
}

impl PresenceList {
    /// Records that an app syncs, and what it says of its person by that. With [`PresenceState::Offline`] that is nothing.
    pub(crate) fn synced(
        &self,
        (user, device): &(OwnedUserId, OwnedDeviceId),
        state: &PresenceState,
    ) {
        if *state != PresenceState::Offline {
            self.change(|presence| presence.report(user, device, state, Instant::now()));
        }
    }

    /// Records what an app says of its person, and the person's own words.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] for too many words.
    pub(crate) fn set(
        &self,
        user: &UserId,
        device: &DeviceId,
        says: (&PresenceState, Option<String>),
    ) -> Result<(), Error> {
        self.change(|presence| presence.set(user, device, says, Instant::now()))
    }

    /// Who changed after the change with the number `seen`.
    pub(crate) fn changed_after(&self, seen: u64) -> Vec<OwnedUserId> {
        self.lock().changed_after(seen).map(ToOwned::to_owned).collect()
    }

    /// What others are told of a person.
    pub(crate) fn status(&self, user: &UserId) -> Option<Status> {
        self.latest_change();
        self.lock().status(user, Instant::now())
    }

    /// Shows a person again, who entered a room.
    pub(crate) fn show_again(&self, user: &UserId) {
        self.change(|presence| presence.show_again(user));
    }

    /// The number of the last change: what a sync has seen that looks now.
    pub(crate) fn latest_change(&self) -> u64 {
        self.change(|presence| presence.handle_timeout(Instant::now()));
        self.lock().latest_change()
    }

    /// Changes with each change.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Presence) -> T) -> T {
        let (result, latest) = {
            let mut presence = self.lock();
            (change(&mut presence), presence.latest_change())
        };
        self.changes.send_if_modified(|seen| std::mem::replace(seen, latest) != latest);
        result
    }

    /// Never held over an await.
    fn lock(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
