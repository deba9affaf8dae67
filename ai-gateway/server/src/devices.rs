//! Which device key belongs to which node and person.
//!
//! A key is bound on the agent's own listener, by a connection of the node itself, and with it is kept whose node that was;
//! a sealed request under it is then taken from that node and for that person alone. So telmeet, which repeats other
//! people's headers, can neither ask with a key of its own nor lend one member's key another's name. A node that
//! changed hands binds its keys again.

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
    /// Absent if it was bound before the person was kept.
    #[serde(default)]
    person: Option<Person>,
    #[serde(flatten)]
    device: Device,
}

impl Binding {
    /// Whether it was bound by this node as this person.
    fn is_of(&self, caller: &Identity) -> bool {
        self.node == caller.node && self.person == caller.person()
    }

    /// Whether it was bound by the caller's node when that was somebody else's.
    fn is_outdated(&self, caller: &Identity) -> bool {
        self.node == caller.node && self.person != caller.person()
    }
}

/// The bound keys; each change is on disk before it is answered.
#[derive(Debug)]
pub struct Devices {
    changes: Changes,
    bound: Mutex<HashMap<Ed25519Public, Binding>>,
}

impl Devices {
    /// Loads the keys bound earlier. One that was bound before the person was kept counts as unbound: whose it is
    /// cannot be told any more.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be used.
    pub fn load(path: PathBuf) -> Result<Self, StateError> {
        let stored =
            format::<StoredBinding>().read(&path)?.map_or_else(Vec::new, |file| file.devices);
        let all = stored.len();
        let known = stored.into_iter().filter_map(|StoredBinding { node, person, device }| {
            Some((device.device_pubkey, Binding { node, person: person?, device }))
        });
        let bound: HashMap<_, _> = known.collect();
        if bound.len() < all {
            let keys = all - bound.len();
            tracing::info!(keys, "device keys without a person count as unbound: apps bind anew");
        }
        Ok(Self { changes: Changes::new(path), bound: Mutex::new(bound) })
    }

    /// Whether the key is bound to this node and this person.
    #[must_use]
    pub fn is_bound(&self, key: Ed25519Public, caller: &Identity) -> bool {
        self.lock().get(&key).is_some_and(|bound| bound.is_of(caller))
    }

    /// The keys that the caller bound, in the order of binding.
    #[must_use]
    pub fn of(&self, caller: &Identity) -> Vec<Device> {
        let bound = self.lock();
        let own = bound.values().filter(|bound| bound.is_of(caller));
        let mut devices: Vec<Device> = own.map(|bound| bound.device.clone()).collect();
        devices.sort_by_key(|device| (device.bound_at, device.device_pubkey.0));
        devices
    }

    /// Binds a key to the caller, who is who the agent says. Repeating it is safe and changes nothing. Keys that the
    /// node bound when it was somebody else's are forgotten.
    ///
    /// # Errors
    ///
    /// See [`BindError`]; nothing changes then.
    pub fn bind(&self, caller: &Identity, device: Device) -> Result<Device, BindError> {
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

    /// Takes a key from the caller; says whether the caller had it.
    ///
    /// # Errors
    ///
    /// Fails if the change cannot be stored; nothing changes then.
    pub fn revoke(&self, caller: &Identity, key: Ed25519Public) -> Result<bool, StateError> {
        let change = self.changes.begin();
        let mut next = self.lock().clone();
        if next.get(&key).is_none_or(|bound| !bound.is_of(caller)) {
            return Ok(false);
        }
        next.remove(&key);
        self.store(&change, next)?;
        Ok(true)
    }

    /// Keeps what is bound from now on, on disk and then in memory.
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
