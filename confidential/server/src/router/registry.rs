//! The registry of nodes.
//!
//! A node is live while it sends events and passes health checks. Its ID belongs to the certificate that registered it, until
//! the node is removed. The caller owns the clock and the sockets.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use chassis::quota::{Permit, Quota};
use confidential_api::{
    NodeId,
    node::{NodeEvent, NodeStatus},
    routing::{ComputeManifest, ComputeManifestList, ComputeManifestRequest},
};

use super::place::NodeAddress;
use chassis::body::counted;

/// Number of consecutive failed health checks after which a node is not live.
const FAILURES: u32 = 2;

/// Maximum size of the manifests of all nodes, in bytes.
const SHOWN: usize = 64 << 20;
/// Maximum number of nodes of one certificate: a restarted node is registered twice for a while.
const OF_ONE: usize = 4;

#[derive(Debug)]
struct Node {
    /// The key of its certificate.
    key: [u8; 32],
    place: NodeAddress,
    tags: Vec<String>,
    /// Its manifest as an item of a list.
    item: Bytes,
    /// The index of its last event.
    index: u64,
    heard: Instant,
    health: Health,
    /// Whether the node was removed because it sent no events; open requests share it.
    is_silent: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// Not checked yet.
    Unknown,
    /// The last check passed, or this many have failed since.
    Good(u32),
    /// A connection failed; no check has failed since.
    Unreachable,
    Bad,
}

/// Why an event is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The registry is full.
    #[error("the registry of nodes is full")]
    Full,
    /// The certificate has too many nodes.
    #[error("this certificate has too many nodes")]
    OfOne,
    /// Its URLs are not allowed.
    #[error(
        "a node's URLs must have https, one host and port, and its certificate must be for this host"
    )]
    Url,
    /// Another certificate registered this node.
    #[error("the node's ID belongs to another certificate")]
    Other,
    /// It is not newer than the last event.
    #[error("the event is older than another one of this node")]
    Old,
}

/// Maximum size of the manifests of one certificate's nodes, with former ones that are still being sent, in bytes.
const OF_ONE_SHOWN: usize = 12 << 20;

/// The nodes.
#[derive(Debug)]
pub(crate) struct Registry {
    nodes: HashMap<NodeId, Node>,
    max: usize,
    silent: Duration,
    /// Bytes of manifests by the certificate's key, with former ones that are still being sent.
    room: Quota<[u8; 32]>,
    /// Running health checks by the certificate's key.
    looks: Quota<[u8; 32]>,
}

impl Registry {
    /// A registry of at most `max` nodes; one that sends no event for `silent` is removed.
    pub(crate) fn new(max: usize, silent: Duration) -> Self {
        let room = Quota::new(SHOWN + SHOWN / 2, OF_ONE_SHOWN);
        let looks = Quota::new(max.saturating_mul(2), OF_ONE);
        Self { nodes: HashMap::new(), max, silent, room, looks }
    }

    /// Processes an event; returns whether the node is new and should be checked. `key` is that of the sender's certificate,
    /// which `is_for` some hosts.
    pub(crate) fn hear(
        &mut self,
        event: NodeEvent,
        key: [u8; 32],
        is_for: impl Fn(&str) -> bool,
        now: Instant,
    ) -> Result<bool, Refused> {
        self.forget(now);
        let known = self.nodes.get(&event.node);
        if known.is_some_and(|known| known.key != key) {
            return Err(Refused::Other);
        }
        if known.is_some_and(|known| event.index <= known.index) {
            return Err(Refused::Old);
        }
        let info = match event.what {
            NodeStatus::Shutdown => {
                self.nodes.remove(&event.node);
                return Ok(false);
            }
            NodeStatus::Alive(info) => *info,
        };
        let place =
            NodeAddress::of(&info).filter(|place| is_for(&place.host())).ok_or(Refused::Url)?;
        // Its health is known only for the address that was checked.
        let health = known.filter(|known| known.place == place).map(|known| known.health);
        let tags = info.tags.clone();
        let manifest = ComputeManifest { id: event.node, tags: info.tags, evidence: info.evidence };
        let mut item = Vec::new();
        ComputeManifestList::append(&mut item, &manifest.encode());
        self.admit(event.node, key, item.len())?;
        let item = match known.filter(|known| known.item == item) {
            // Unchanged: shared with responses that are still being sent.
            Some(known) => known.item.clone(),
            None => self.count(key, item)?,
        };
        let is_silent = known.map(|known| Arc::clone(&known.is_silent)).unwrap_or_default();
        let node = Node {
            key,
            place,
            tags,
            item,
            index: event.index,
            heard: now,
            health: health.unwrap_or(Health::Unknown),
            is_silent,
        };
        self.nodes.insert(event.node, node);
        Ok(health.is_none())
    }

    /// Checks that there is room for a node with a manifest of this size.
    fn admit(&self, id: NodeId, key: [u8; 32], shows: usize) -> Result<(), Refused> {
        let others = || self.nodes.iter().filter(|(other, _)| **other != id).map(|(_, node)| node);
        let shown: usize = others().map(|node| node.item.len()).sum();
        if others().count() >= self.max || shown.saturating_add(shows) > SHOWN {
            return Err(Refused::Full);
        }
        if others().filter(|node| node.key == key).count() >= OF_ONE {
            return Err(Refused::OfOne);
        }
        Ok(())
    }

    /// The bytes, counted until they are dropped.
    fn count(&self, key: [u8; 32], item: Vec<u8>) -> Result<Bytes, Refused> {
        let mut room = self.room.take(key).map_err(|_| Refused::Full)?;
        room.add(item.len()).map_err(|_| Refused::Full)?;
        Ok(counted(item.into(), room))
    }

    /// The address of a node and a permit for a health check. Checks are limited by certificate, even if its nodes change
    /// their addresses.
    pub(crate) fn look(&self, node: NodeId) -> Option<(NodeAddress, Permit<[u8; 32]>)> {
        let known = self.nodes.get(&node)?;
        Some((known.place.clone(), self.looks.take(known.key).ok()?))
    }

    /// Records the result of a health check.
    pub(crate) fn looked(&mut self, node: NodeId, place: &NodeAddress, answered: bool) {
        let Some(known) = self.nodes.get_mut(&node).filter(|known| known.place == *place) else {
            return;
        };
        known.health = match (known.health, answered) {
            (_, true) => Health::Good(0),
            (Health::Good(failures), false) if failures + 1 < FAILURES => {
                Health::Good(failures + 1)
            }
            (_, false) => Health::Bad,
        };
    }

    /// Records that a connection failed, so that other nodes are preferred.
    pub(crate) fn unreachable(&mut self, node: NodeId, place: &NodeAddress) {
        if let Some(known) = self.nodes.get_mut(&node).filter(|known| known.place == *place) {
            known.health = Health::Unreachable;
        }
    }

    /// The flag of a node that tells whether it was removed.
    pub(crate) fn silence(&self, node: NodeId) -> Option<Arc<AtomicBool>> {
        Some(Arc::clone(&self.nodes.get(&node)?.is_silent))
    }

    /// Whether health checks of a node failed. A node that unregistered, or to which a connection failed, may still respond to
    /// open requests.
    pub(crate) fn fails(&self, node: NodeId, place: &NodeAddress) -> bool {
        self.nodes
            .get(&node)
            .is_some_and(|known| known.place == *place && known.health == Health::Bad)
    }

    /// All nodes, which should be checked.
    pub(crate) fn places(&mut self, now: Instant) -> Vec<(NodeId, NodeAddress)> {
        self.forget(now);
        self.nodes.iter().map(|(id, node)| (*id, node.place.clone())).collect()
    }

    /// The key of a node's certificate.
    pub(crate) fn key(&self, node: NodeId) -> Option<[u8; 32]> {
        Some(self.nodes.get(&node)?.key)
    }

    /// The address of a node, if it is live.
    pub(crate) fn live(&self, node: NodeId, now: Instant) -> Option<NodeAddress> {
        let node = self.nodes.get(&node).filter(|node| self.is_live(node, now))?;
        Some(node.place.clone())
    }

    /// The manifests of live nodes with these tags, as items of a list, in an order that `shuffle` makes.
    pub(crate) fn manifests(
        &self,
        request: &ComputeManifestRequest,
        now: Instant,
        shuffle: impl FnOnce(&mut Vec<Bytes>),
    ) -> Vec<Bytes> {
        let fits = |node: &&Node| {
            self.is_live(node, now) && request.tags.iter().all(|tag| node.tags.contains(tag))
        };
        let mut found: Vec<Bytes> =
            self.nodes.values().filter(fits).map(|node| node.item.clone()).collect();
        shuffle(&mut found);
        found.truncate(request.limit);
        let mut len = 0_usize;
        let within = |item: &Bytes| {
            len += item.len();
            len <= ComputeManifestList::LEN_MAX
        };
        found.into_iter().take_while(within).collect()
    }

    fn is_live(&self, node: &Node, now: Instant) -> bool {
        matches!(node.health, Health::Good(_)) && now.duration_since(node.heard) < self.silent
    }

    fn forget(&mut self, now: Instant) {
        let silent = self.silent;
        self.nodes.retain(|_, node| {
            let is_heard = now.duration_since(node.heard) < silent;
            if !is_heard {
                node.is_silent.store(true, Ordering::Relaxed);
            }
            is_heard
        });
    }
}

#[cfg(test)]
mod tests;
