//! Device keys, each bound to a node and its person.
//!
//! A key is bound on the agent's listener, by a connection of the node itself, together with the node's person. Sealed
//! requests with the key are accepted only from that node and for that person. So telmeet, which forwards the identity
//! header, can neither use a key of its own nor combine one member's key with another's name. A node with a new owner
//! has to bind its keys again.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ai_gateway_api::sealed::{Device, Ed25519Public};
use chassis::state::{Format, StateError};
use mesh_identity::{Identity, Person};
use serde::{Deserialize, Serialize};

use crate::changes::{Change, Changes};

/// Most keys of one node.
pub(crate) const MAX_PER_NODE: usize = 16;
/// Most keys in total.
pub(crate) const MAX_TOTAL: usize = 4096;

/// A key was not bound.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BindError {
    /// It is bound to another node.
    #[error("this device key is bound to another node")]
    OtherNode,
    /// The limit of the node, or of the gateway, is reached.
    #[error("the limit of device keys is reached")]
    TooMany,
    /// The file could not be written.
    #[error("the device key could not be stored")]
    Store(#[from] StateError),
}

#[derive(Serialize, Deserialize)]
struct File<B> {
    devices: Vec<B>,
}

const fn format<B>() -> Format<File<B>> {
    Format::new(1)
}

/// A bound key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Binding {
    node: String,
    person: Person,
    #[serde(flatten)]
    device: Device,
}

/// A key as the file has it.
#[derive(Deserialize)]
struct StoredBinding {
    node: String,
    /// Missing in entries of an older format.
    #[serde(default)]
    person: Option<Person>,
    #[serde(flatten)]
    device: Device,
}

impl Binding {
    /// Whether this node bound it as this person.
    fn is_of(&self, caller: &Identity) -> bool {
        self.node == caller.node && self.person == caller.person()
    }

    /// Whether the caller's node bound it under another owner.
    fn is_outdated(&self, caller: &Identity) -> bool {
        self.node == caller.node && self.person != caller.person()
    }
}

/// The bound keys. Each change is on disk before the answer.
#[derive(Debug)]
pub(crate) struct Devices {
    changes: Changes,
    bound: Mutex<HashMap<Ed25519Public, Binding>>,
}

impl Devices {
    /// Loads the bound keys. Entries of an older format, without a person, count as unbound.
    pub(crate) fn load(path: PathBuf) -> Result<Self, StateError> {
        let stored =
            format::<StoredBinding>().read(&path)?.map_or_else(Vec::new, |file| file.devices);
        let all = stored.len();
        let known = stored.into_iter().filter_map(|StoredBinding { node, person, device }| {
            Some((device.device_pubkey, Binding { node, person: person?, device }))
        });
        let bound: HashMap<_, _> = known.collect();
        if bound.len() < all {
            let keys = all - bound.len();
            tracing::info!(
                keys,
                "device keys without a person count as unbound; apps bind them again"
            );
        }
        Ok(Self { changes: Changes::new(path), bound: Mutex::new(bound) })
    }

    /// Whether the key is bound to this node and this person.
    #[must_use]
    pub(crate) fn is_bound(&self, key: Ed25519Public, caller: &Identity) -> bool {
        self.lock().get(&key).is_some_and(|bound| bound.is_of(caller))
    }

    /// The caller's keys, in the order of binding.
    #[must_use]
    pub(crate) fn of(&self, caller: &Identity) -> Vec<Device> {
        let bound = self.lock();
        let own = bound.values().filter(|bound| bound.is_of(caller));
        let mut devices: Vec<Device> = own.map(|bound| bound.device.clone()).collect();
        devices.sort_by_key(|device| (device.bound_at, device.device_pubkey.0));
        devices
    }

    /// Binds a key to the caller, whom the agent has identified. It is idempotent. Keys that the node bound under
    /// another owner are removed.
    pub(crate) fn bind(&self, caller: &Identity, device: Device) -> Result<Device, BindError> {
        let change = self.changes.begin();
        let mut next = self.lock().clone();
        match next.get(&device.device_pubkey) {
            Some(known) if known.node != caller.node => return Err(BindError::OtherNode),
            Some(known) if known.is_of(caller) => return Ok(known.device.clone()),
            Some(_) | None => {}
        }
        let own = next.values().filter(|bound| bound.is_of(caller)).count();
        next.retain(|_, bound| !bound.is_outdated(caller));
        if own >= MAX_PER_NODE || next.len() >= MAX_TOTAL {
            return Err(BindError::TooMany);
        }
        let entry =
            Binding { node: caller.node.clone(), person: caller.person(), device: device.clone() };
        next.insert(device.device_pubkey, entry);
        self.store(&change, next)?;
        Ok(device)
    }

    /// Revokes a key of the caller; returns whether the caller had it.
    pub(crate) fn revoke(&self, caller: &Identity, key: Ed25519Public) -> Result<bool, StateError> {
        let change = self.changes.begin();
        let mut next = self.lock().clone();
        if next.get(&key).is_none_or(|bound| !bound.is_of(caller)) {
            return Ok(false);
        }
        next.remove(&key);
        self.store(&change, next)?;
        Ok(true)
    }

    /// Unbinds all keys of a person; returns how many there were.
    pub(crate) fn forget(&self, person: &Person) -> Result<u64, StateError> {
        let change = self.changes.begin();
        let mut next = self.lock().clone();
        let before = next.len();
        next.retain(|_, bound| bound.person != *person);
        let removed = before - next.len();
        if removed > 0 {
            self.store(&change, next)?;
        }
        Ok(u64::try_from(removed).unwrap_or(u64::MAX))
    }

    /// Stores the bindings on disk, then in memory.
    fn store(
        &self,
        change: &Change<'_>,
        bound: HashMap<Ed25519Public, Binding>,
    ) -> Result<(), StateError> {
        let mut devices: Vec<Binding> = bound.values().cloned().collect();
        devices.sort_by_key(|bound| (bound.device.bound_at, bound.device.device_pubkey.0));
        change.write(&format(), &File { devices })?;
        *self.lock() = bound;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ed25519Public, Binding>> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
