//! Which device key belongs to which node.
//!
//! A key is bound on the agent's own door, by a connection of the node itself; a sealed request under it is then
//! taken only from that node. So telmeet, which repeats other people's headers, cannot ask with a key of its own.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ai_gateway_api::sealed::{Device, Ed25519Public};
use serde::{Deserialize, Serialize};

use crate::state::{self, StateError};

/// Most keys of one node: more than anyone's browsers and terminals.
pub const MAX_PER_NODE: usize = 16;
/// Most keys in all.
pub const MAX_TOTAL: usize = 4096;

/// A key was not bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It belongs to another node.
    #[error("this device key is bound to another node")]
    OtherNode,
    /// The node, or the gateway, has as many as it may.
    #[error("this node has as many device keys as it may")]
    TooMany,
    /// It could not be kept.
    #[error("the device key could not be stored")]
    Store(#[from] StateError),
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    devices: Vec<Bound>,
}

/// A bound key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bound {
    node: String,
    #[serde(flatten)]
    device: Device,
}

/// The bound keys; each change is on disk before it is answered.
#[derive(Debug)]
pub struct Devices {
    path: PathBuf,
    bound: Mutex<HashMap<Ed25519Public, Bound>>,
}

impl Devices {
    /// Loads the keys bound earlier.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be used.
    pub fn load(path: PathBuf) -> Result<Self, StateError> {
        let devices = state::read::<File>(&path)?.map_or_else(Vec::new, |file| file.devices);
        let bound = devices.into_iter().map(|bound| (bound.device.device_pubkey, bound)).collect();
        Ok(Self { path, bound: Mutex::new(bound) })
    }

    /// Whether the key is bound to this node.
    #[must_use]
    pub fn is_bound(&self, key: Ed25519Public, node: &str) -> bool {
        self.lock().get(&key).is_some_and(|bound| bound.node == node)
    }

    /// The node's keys, in the order of binding.
    #[must_use]
    pub fn of(&self, node: &str) -> Vec<Device> {
        let bound = self.lock();
        let mut devices: Vec<Device> = bound
            .values()
            .filter(|bound| bound.node == node)
            .map(|bound| bound.device.clone())
            .collect();
        devices.sort_by_key(|device| (device.bound_at, device.device_pubkey.0));
        devices
    }

    /// Binds a key to a node. Repeating it is safe and changes nothing.
    ///
    /// # Errors
    ///
    /// See [`BindError`]; nothing changes then.
    pub fn bind(&self, node: &str, device: Device) -> Result<Device, BindError> {
        let mut bound = self.lock();
        if let Some(known) = bound.get(&device.device_pubkey) {
            if known.node != node {
                return Err(BindError::OtherNode);
            }
            return Ok(known.device.clone());
        }
        let of_node = bound.values().filter(|bound| bound.node == node).count();
        if of_node >= MAX_PER_NODE || bound.len() >= MAX_TOTAL {
            return Err(BindError::TooMany);
        }
        let entry = Bound { node: node.to_owned(), device: device.clone() };
        self.store(bound.values().chain([&entry]))?;
        bound.insert(device.device_pubkey, entry);
        Ok(device)
    }

    /// Takes a key from the node; says whether the node had it.
    ///
    /// # Errors
    ///
    /// Fails if the change cannot be stored; nothing changes then.
    pub fn revoke(&self, node: &str, key: Ed25519Public) -> Result<bool, StateError> {
        let mut bound = self.lock();
        if bound.get(&key).is_none_or(|bound| bound.node != node) {
            return Ok(false);
        }
        self.store(bound.values().filter(|bound| bound.device.device_pubkey != key))?;
        bound.remove(&key);
        Ok(true)
    }

    fn store<'a>(&self, bound: impl Iterator<Item = &'a Bound>) -> Result<(), StateError> {
        let mut devices: Vec<Bound> = bound.cloned().collect();
        devices.sort_by_key(|bound| (bound.device.bound_at, bound.device.device_pubkey.0));
        state::write(&self.path, &File { version: state::VERSION, devices }, 0o600)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ed25519Public, Bound>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ai_gateway_api::wire::Fixed;

    use super::*;

    fn device(byte: u8) -> Device {
        Device { device_pubkey: Fixed([byte; 32]), name: String::new(), bound_at: byte.into() }
    }

    fn empty() -> (tempfile::TempDir, Devices) {
        let dir = tempfile::tempdir().unwrap();
        let devices = Devices::load(dir.path().join("devices.json")).unwrap();
        (dir, devices)
    }

    #[test]
    fn a_key_belongs_to_the_node_that_bound_it() {
        let (_dir, devices) = empty();
        devices.bind("laptop", device(1)).unwrap();
        assert!(devices.is_bound(Fixed([1; 32]), "laptop"));
        assert!(!devices.is_bound(Fixed([1; 32]), "phone"));
        assert!(matches!(devices.bind("phone", device(1)), Err(BindError::OtherNode)));
        let again = Device { bound_at: 99, ..device(1) };
        assert_eq!(devices.bind("laptop", again).unwrap(), device(1), "binding again is harmless");
    }

    #[test]
    fn keys_survive_a_restart_and_their_revocation_too() {
        let (dir, devices) = empty();
        for byte in [3, 1, 2] {
            devices.bind("laptop", device(byte)).unwrap();
        }
        devices.bind("phone", device(9)).unwrap();
        assert!(!devices.revoke("phone", Fixed([1; 32])).unwrap(), "someone else's");
        assert!(devices.revoke("laptop", Fixed([2; 32])).unwrap());
        assert!(!devices.revoke("laptop", Fixed([2; 32])).unwrap(), "gone already");

        let devices = Devices::load(dir.path().join("devices.json")).unwrap();
        assert_eq!(devices.of("laptop"), [device(1), device(3)]);
        assert_eq!(devices.of("phone"), [device(9)]);
    }

    #[test]
    fn a_node_has_room_for_so_many() {
        let (_dir, devices) = empty();
        for byte in 0..16 {
            devices.bind("laptop", device(byte)).unwrap();
        }
        assert!(matches!(devices.bind("laptop", device(16)), Err(BindError::TooMany)));
        devices.bind("phone", device(16)).unwrap();
    }

    #[test]
    fn what_cannot_be_stored_is_not_bound() {
        let (dir, devices) = empty();
        drop(dir);
        assert!(matches!(devices.bind("laptop", device(1)), Err(BindError::Store(_))));
        assert!(!devices.is_bound(Fixed([1; 32]), "laptop"));
    }
}
