//! Who waits for changes: one channel for each person with a waiting sync.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ruma::{OwnedUserId, UserId};
use tokio::sync::watch;

/// A channel for each person. It ends when nobody waits and the next change comes.
#[derive(Debug, Default)]
pub(super) struct Wakers(Mutex<HashMap<OwnedUserId, watch::Sender<u64>>>);

impl Wakers {
    /// Changes with the next [`Self::wake`] of this person.
    pub(super) fn watch(&self, user: &UserId) -> watch::Receiver<u64> {
        let mut wakers = self.senders();
        let sender = wakers.entry(user.to_owned()).or_insert_with(|| watch::Sender::new(0));
        sender.subscribe()
    }

    /// Wakes these people's syncs.
    pub(super) fn wake<'a>(&self, users: impl IntoIterator<Item = &'a OwnedUserId>) {
        let mut wakers = self.senders();
        for user in users {
            let Some(sender) = wakers.get(user) else { continue };
            if sender.is_closed() {
                wakers.remove(user);
            } else {
                sender.send_modify(|changes| *changes = changes.wrapping_add(1));
            }
        }
    }

    /// Wakes everybody's syncs.
    pub(super) fn wake_all(&self) {
        for sender in self.senders().values() {
            sender.send_modify(|changes| *changes = changes.wrapping_add(1));
        }
    }

    fn senders(&self) -> MutexGuard<'_, HashMap<OwnedUserId, watch::Sender<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
