//! What the syncs of each device have shown that is not in their positions. In memory: after a restart it is sent again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ruma::{OwnedDeviceId, OwnedUserId};
use telmeet_core::{filter::SentMembers, sliding::Connections};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most devices in memory. The one that synced the longest ago is forgotten.
const DEVICES_MAX: usize = 2_000;
/// Most syncs of a device that wait. Element X has three, and drops them before it asks anew.
pub(crate) const WAITING_MAX: usize = 8;

/// A device of a person.
pub(crate) type DeviceKey = (OwnedUserId, OwnedDeviceId);

/// What the syncs of one device have shown.
#[derive(Debug)]
pub(crate) struct Device {
    /// Connections of sliding sync.
    pub(crate) connections: Connections,
    /// Member events that the other sync has shown, where the app loads them lazily.
    pub(crate) members: SentMembers,
    /// The `since` of the last request of that sync.
    pub(crate) since: Option<String>,
    /// The `next_batch` of the last response to it. If the app repeats its `since` instead, the response was lost.
    pub(crate) next_batch: Option<String>,
    /// The number of the last change of who is typing that it has shown.
    pub(crate) typing: u64,
    /// The number of the last change of somebody's presence that the other sync has shown.
    pub(crate) presence: u64,
    waiting: Arc<Semaphore>,
    used: u64,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            connections: Connections::default(),
            members: SentMembers::default(),
            since: None,
            next_batch: None,
            typing: 0,
            presence: 0,
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            used: 0,
        }
    }
}

/// All devices.
#[derive(Debug, Default)]
pub(crate) struct Devices(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    devices: HashMap<DeviceKey, Device>,
    uses: u64,
}

impl Devices {
    /// Works with one device. Others wait meanwhile.
    pub(crate) fn with<T>(&self, key: &DeviceKey, work: impl FnOnce(&mut Device) -> T) -> T {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.uses += 1;
        let uses = inner.uses;
        if !inner.devices.contains_key(key) && inner.devices.len() >= DEVICES_MAX {
            let oldest = inner.devices.iter().min_by_key(|(_, device)| device.used);
            let oldest = oldest.map(|(key, _)| key.clone());
            oldest.map(|key| inner.devices.remove(&key));
        }
        let device = inner.devices.entry(key.clone()).or_default();
        device.used = uses;
        work(device)
    }

    /// A place among the waiting syncs of a device, if one is free.
    pub(crate) fn wait(&self, key: &DeviceKey) -> Option<OwnedSemaphorePermit> {
        self.with(key, |device| Arc::clone(&device.waiting).try_acquire_owned().ok())
    }
}

#[cfg(test)]
mod tests {
    use ruma::owned_user_id;

    use super::{DEVICES_MAX, DeviceKey, Devices, WAITING_MAX};

    fn key(number: usize) -> DeviceKey {
        (owned_user_id!("@kim:maru.test"), format!("D{number}").into())
    }

    #[test]
    fn a_device_has_so_many_places() {
        let devices = Devices::default();
        let mut permits: Vec<_> =
            (0..WAITING_MAX).map(|_| devices.wait(&key(1)).unwrap()).collect();
        assert!(devices.wait(&key(1)).is_none());
        assert!(devices.wait(&key(2)).is_some());
        permits.pop();
        assert!(devices.wait(&key(1)).is_some());
    }

    #[test]
    fn the_device_that_synced_the_longest_ago_is_forgotten() {
        let devices = Devices::default();
        let since =
            |number| devices.with(&key(number), |device| device.since.replace("s".to_owned()));
        for number in 0..DEVICES_MAX {
            assert_eq!(since(number), None);
        }
        assert!(since(0).is_some());
        assert_eq!(since(DEVICES_MAX), None);
        assert!(since(0).is_some());
        assert_eq!(since(1), None, "it was forgotten");
    }
}
