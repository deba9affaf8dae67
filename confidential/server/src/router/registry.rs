//! The nodes that the router knows, and which of them live.
//!
//! A node lives while it is heard of and answers when it is looked at. The caller owns the clock and the sockets.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use confidential_api::{
    NodeId,
    node::{NodeEvent, NodeNews},
    routing::{ComputeManifest, ComputeManifestList, ComputeManifestRequest},
};

/// Looks that fail one after another until a node is taken for dead.
const FAILURES: u32 = 2;

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Without a slash at its end.
    pub(crate) url: String,
    /// What is looked at.
    pub(crate) health: String,
}

#[derive(Debug)]
struct Node {
    place: Place,
    tags: Vec<String>,
    /// As it is sent.
    manifest: Bytes,
    /// Of its last event.
    index: u64,
    heard: Instant,
    health: Health,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// Nobody has looked yet.
    Unknown,
    /// It answered; so many looks have failed since.
    Good(u32),
    Bad,
}

/// An event changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// There are as many nodes as may be.
    #[error("there are as many nodes as may be")]
    Full,
    /// It names a URL that is not asked.
    #[error("a node is at https://host:port, and nowhere else")]
    Url,
    /// It came before.
    #[error("the event is older than another of this node")]
    Old,
}

/// The nodes.
#[derive(Debug)]
pub(crate) struct Registry {
    nodes: HashMap<NodeId, Node>,
    max: usize,
    silent: Duration,
}

impl Registry {
    /// At most `max` nodes; one that says nothing for `silent` is forgotten.
    pub(crate) fn new(max: usize, silent: Duration) -> Self {
        Self { nodes: HashMap::new(), max, silent }
    }

    /// Takes what a node tells; says whether it is a new one, which should be looked at.
    pub(crate) fn hear(&mut self, event: NodeEvent, now: Instant) -> Result<bool, Refused> {
        self.forget(now);
        let known = self.nodes.get(&event.node);
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
        if known.is_none() && self.nodes.len() >= self.max {
            return Err(Refused::Full);
        }
        let is_secure = |url: &str| url.starts_with("https://");
        let place = match (crate::http::upstream::check(&info.url), &info.healthcheck_url) {
            (Some(url), health) if is_secure(&url) && is_secure(health) => {
                Place { url, health: health.clone() }
            }
            _ => return Err(Refused::Url),
        };
        // What it was found like holds only where it was looked at.
        let health = known.filter(|known| known.place == place).map(|known| known.health);
        let manifest =
            ComputeManifest { id: event.node, tags: info.tags.clone(), evidence: info.evidence };
        let node = Node {
            place,
            tags: info.tags,
            manifest: manifest.encode().into(),
            index: event.index,
            heard: now,
            health: health.unwrap_or(Health::Unknown),
        };
        self.nodes.insert(event.node, node);
        Ok(health.is_none())
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
            (Health::Good(_) | Health::Unknown | Health::Bad, false) => Health::Bad,
        };
    }

    /// Notes that nobody could be connected to there, which is enough to give others precedence.
    pub(crate) fn unreachable(&mut self, node: NodeId, place: &Place) {
        if let Some(known) = self.nodes.get_mut(&node).filter(|known| known.place == *place) {
            known.health = Health::Bad;
        }
    }

    /// Whom to look at: all that are heard of.
    pub(crate) fn places(&mut self, now: Instant) -> Vec<(NodeId, Place)> {
        self.forget(now);
        self.nodes.iter().map(|(id, node)| (*id, node.place.clone())).collect()
    }

    /// Where a node is, if it lives.
    pub(crate) fn live(&self, node: NodeId, now: Instant) -> Option<Place> {
        let node = self.nodes.get(&node).filter(|node| self.is_live(node, now))?;
        Some(node.place.clone())
    }

    /// The manifests of live nodes with these tags, in an order that `shuffle` makes.
    pub(crate) fn manifests(
        &self,
        request: &ComputeManifestRequest,
        now: Instant,
        shuffle: impl FnOnce(&mut Vec<&Bytes>),
    ) -> Vec<u8> {
        let fits = |node: &&Node| {
            self.is_live(node, now) && request.tags.iter().all(|tag| node.tags.contains(tag))
        };
        let mut found: Vec<&Bytes> =
            self.nodes.values().filter(fits).map(|node| &node.manifest).collect();
        shuffle(&mut found);
        let mut list = Vec::new();
        for manifest in found.into_iter().take(request.limit) {
            let before = list.len();
            ComputeManifestList::append(&mut list, manifest);
            if list.len() > ComputeManifestList::LEN_MAX {
                list.truncate(before);
                break;
            }
        }
        list
    }

    fn is_live(&self, node: &Node, now: Instant) -> bool {
        matches!(node.health, Health::Good(_)) && now.duration_since(node.heard) < self.silent
    }

    fn forget(&mut self, now: Instant) {
        let silent = self.silent;
        self.nodes.retain(|_, node| now.duration_since(node.heard) < silent);
    }
}

#[cfg(test)]
mod tests;
