//! Waiting for a change.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use ruma::RoomId;
use tokio::{
    sync::OwnedSemaphorePermit,
    sync::watch,
    time::{sleep, sleep_until},
};

use super::devices::DeviceKey;
use crate::{error::Error, homeserver::Homeserver, personal::typing};

/// Longest wait, whatever the client asks.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// How long a sync waits for further changes of presence after the first: when the mesh is back, many apps are.
const PRESENCE_DELAY: Duration = Duration::from_secs(1);

/// A sync that waits, until a deadline.
#[derive(Debug)]
pub(crate) struct LongPoll<'a> {
    homeserver: &'a Homeserver,
    changes: watch::Receiver<u64>,
    /// Changes with each change of somebody's presence; none for a sync that does not show it.
    presence: Option<watch::Receiver<u64>>,
    deadline: Instant,
    /// A place among the device's waiting syncs; none for a sync that does not wait.
    permit: Option<OwnedSemaphorePermit>,
}

impl<'a> LongPoll<'a> {
    /// Begins before anything is read, so that no change is missed.
    ///
    /// # Errors
    ///
    /// [`Error::Limited`] if too many syncs of the device wait.
    pub(crate) fn start(
        homeserver: &'a Homeserver,
        device: &DeviceKey,
        timeout: Option<Duration>,
    ) -> Result<Self, Error> {
        let timeout = timeout.unwrap_or_default().min(TIMEOUT_MAX);
        let permit = if timeout.is_zero() {
            None
        } else {
            let retry_after = Duration::from_secs(1);
            Some(homeserver.syncs.wait(device).ok_or(Error::Limited { retry_after })?)
        };
        let changes = homeserver.watch(&device.0);
        let deadline = Instant::now() + timeout;
        Ok(Self { homeserver, changes, presence: None, deadline, permit })
    }

    /// Waits for changes of presence, too.
    pub(crate) fn with_presence(mut self) -> Self {
        self.presence = Some(self.homeserver.presence.watch());
        self
    }

    /// Begins a read.
    pub(crate) fn read(&mut self) {
        self.changes.mark_unchanged();
        if let Some(presence) = &mut self.presence {
            presence.mark_unchanged();
        }
    }

    /// Waits for a change after the last [`Self::read`]: an event of the person's, or that somebody's time of typing in
    /// one of `rooms` is over, or of presence. Whether there is one; otherwise the deadline has passed.
    pub(crate) async fn changed<'b>(
        &mut self,
        rooms: impl IntoIterator<Item = &'b RoomId>,
    ) -> bool {
        if self.permit.is_none() || self.deadline <= Instant::now() {
            return false;
        }
        let typing_ends = typing::lock(self.homeserver).next_timeout_of(rooms);
        let until = typing_ends.map_or(self.deadline, |ends| ends.min(self.deadline));
        tokio::select! {
            changed = self.changes.changed() => changed.is_ok(),
            () = somebody(&mut self.presence) => true,
            () = sleep_until(until.into()) => {
                typing::lock(self.homeserver).handle_timeout(Instant::now());
                until < self.deadline
            }
        }
    }
}

/// Waits for a change of somebody's presence, and a little for further ones.
async fn somebody(presence: &mut Option<watch::Receiver<u64>>) {
    let Some(presence) = presence else { return pending().await };
    if presence.changed().await.is_err() {
        return pending().await;
    }
    sleep(PRESENCE_DELAY).await;
}
