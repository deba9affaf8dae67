//! The nodes that the router knows, and which of them live.
//!
//! A node lives while it is heard of and answers when it is looked at. Its name belongs to the certificate's key that told
//! of it first, for as long as it is known here. The caller owns the clock and the sockets.

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
    node::{NodeEvent, NodeNews},
    routing::{ComputeManifest, ComputeManifestList, ComputeManifestRequest},
};

use super::place::Place;
use chassis::body::counted;

/// Looks that fail one after another until a node is taken for dead.
const FAILURES: u32 = 2;

/// What all nodes together may show, in bytes.
const SHOWN: usize = 64 << 20;
/// Nodes of one certificate's key: one that was killed and started anew is known twice for a while.
const OF_ONE: usize = 4;

#[derive(Debug)]
struct Node {
    /// Of the certificate that tells of it.
    key: [u8; 32],
    place: Place,
    tags: Vec<String>,
    /// Its manifest as an item of a list.
    item: Bytes,
    /// Of its last event.
    index: u64,
    heard: Instant,
    health: Health,
    silence: Silence,
}

/// Whether a node was forgotten because it said nothing; whoever waits for its answer keeps one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Silence(Arc<AtomicBool>);

impl Silence {
    /// Whether it was.
    pub(crate) fn is_too_long(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// Nobody has looked yet.
    Unknown,
    /// It answered; so many looks have failed since.
    Good(u32),
    /// Nobody could be connected to; no look has failed since.
    Unreachable,
    Bad,
}

/// An event changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// There are as many nodes as may be.
    #[error("there are as many nodes as may be")]
    Full,
    /// As many of one certificate.
    #[error("there are as many nodes of this certificate as may be")]
    OfOne,
    /// It names a URL that is not asked.
    #[error(
        "a node is at https://host:port, its health at the same, and its certificate is for this host"
    )]
    Url,
    /// Another certificate told of this node.
    #[error("the node's name belongs to another certificate")]
    Other,
    /// It came before.
    #[error("the event is older than another of this node")]
    Old,
}

/// What those of one certificate's key show and have shown, as long as somebody reads it, in bytes.
const OF_ONE_SHOWN: usize = 12 << 20;

/// The nodes.
#[derive(Debug)]
pub(crate) struct Registry {
    nodes: HashMap<NodeId, Node>,
    max: usize,
    silent: Duration,
    /// Bytes of manifests by the certificate's key, the former ones that somebody still reads among them.
    room: Quota<[u8; 32]>,
    /// Looks under way by the certificate's key.
    looks: Quota<[u8; 32]>,
}

impl Registry {
    /// At most `max` nodes; one that says nothing for `silent` is forgotten.
    pub(crate) fn new(max: usize, silent: Duration) -> Self {
        let room = Quota::new(SHOWN + SHOWN / 2, OF_ONE_SHOWN);
        let looks = Quota::new(max.saturating_mul(2), OF_ONE);
        Self { nodes: HashMap::new(), max, silent, room, looks }
    }

    /// Takes what a node tells; says whether it is a new one, which should be looked at. Whoever tells it has the
    /// certificate with this `key`, which `is_for` some hosts.
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
            NodeNews::Shutdown => {
                self.nodes.remove(&event.node);
                return Ok(false);
            }
            NodeNews::Alive(info) => *info,
        };
        let place = Place::of(&info).filter(|place| is_for(&place.host())).ok_or(Refused::Url)?;
        // What it was found like holds only where it was looked at.
        let health = known.filter(|known| known.place == place).map(|known| known.health);
        let tags = info.tags.clone();
        let manifest = ComputeManifest { id: event.node, tags: info.tags, evidence: info.evidence };
        let mut item = Vec::new();
        ComputeManifestList::append(&mut item, &manifest.encode());
        self.admit(event.node, key, item.len())?;
        let item = match known.filter(|known| known.item == item) {
            // The same as before: whoever reads that slowly holds nothing more.
            Some(known) => known.item.clone(),
            None => self.count(key, item)?,
        };
        let silence = known.map(|known| known.silence.clone()).unwrap_or_default();
        let node = Node {
            key,
            place,
            tags,
            item,
            index: event.index,
            heard: now,
            health: health.unwrap_or(Health::Unknown),
            silence,
        };
        self.nodes.insert(event.node, node);
        Ok(health.is_none())
    }

    /// Whether there is room for a node and so many bytes that it shows.
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

    /// Bytes that are counted until nobody reads them.
    fn count(&self, key: [u8; 32], item: Vec<u8>) -> Result<Bytes, Refused> {
        let mut room = self.room.take(key).map_err(|_| Refused::Full)?;
        room.add(item.len()).map_err(|_| Refused::Full)?;
        Ok(counted(item.into(), room))
    }

    /// Where to look at a node, and the right to: there are so many looks at a time at the nodes of one certificate,
    /// however often they tell of another place.
    pub(crate) fn look(&self, node: NodeId) -> Option<(Place, Permit<[u8; 32]>)> {
        let known = self.nodes.get(&node)?;
        Some((known.place.clone(), self.looks.take(known.key).ok()?))
    }

    /// Notes how a look at a node ended.
    pub(crate) fn looked(&mut self, node: NodeId, place: &Place, answered: bool) {
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

    /// Notes that nobody could be connected to there, which is enough to give others precedence.
    pub(crate) fn unreachable(&mut self, node: NodeId, place: &Place) {
        if let Some(known) = self.nodes.get_mut(&node).filter(|known| known.place == *place) {
            known.health = Health::Unreachable;
        }
    }

    /// What tells of a node whether it is forgotten because it says nothing, which ends looks at it too.
    pub(crate) fn silence(&self, node: NodeId) -> Option<Silence> {
        Some(self.nodes.get(&node)?.silence.clone())
    }

    /// Whether looks at a node have failed. One that takes its leave, or that somebody could not connect to, may still
    /// answer what it has.
    pub(crate) fn fails(&self, node: NodeId, place: &Place) -> bool {
        self.nodes
            .get(&node)
            .is_some_and(|known| known.place == *place && known.health == Health::Bad)
    }

    /// Whom to look at: all that are heard of.
    pub(crate) fn places(&mut self, now: Instant) -> Vec<(NodeId, Place)> {
        self.forget(now);
        self.nodes.iter().map(|(id, node)| (*id, node.place.clone())).collect()
    }

    /// The key of the certificate that tells of a node.
    pub(crate) fn key(&self, node: NodeId) -> Option<[u8; 32]> {
        Some(self.nodes.get(&node)?.key)
    }

    /// Where a node is, if it lives.
    pub(crate) fn live(&self, node: NodeId, now: Instant) -> Option<Place> {
        let node = self.nodes.get(&node).filter(|node| self.is_live(node, now))?;
        Some(node.place.clone())
    }

    /// The manifests of live nodes with these tags, in an order that `shuffle` makes: parts of a list, which are shared and
    /// not copied.
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
                node.silence.0.store(true, Ordering::Relaxed);
            }
            is_heard
        });
    }
}

#[cfg(test)]
mod tests;
