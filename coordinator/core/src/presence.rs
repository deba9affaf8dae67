//! Which nodes are reported as connected. This changes less often than nodes connect and disconnect.
//!
//! Each change costs the peers a new map. So a node that reconnects within a grace time stays online, and one that connects
//! is reported when its bucket has a token. Leaving takes no token, since it follows a connection.
//!
//! ```text
//!            connects, and its bucket has a token
//!    Away ───────────────────────────────────────▶ Online
//!     ▲                                              │
//!     └──────── disconnected for the grace time ─────┘
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::model::NodeId;

/// How long a node is reported as connected after it has disconnected: long enough to change its network or to reconnect.
pub const GRACE: Duration = Duration::from_secs(10);

/// The presence of all nodes.
#[derive(Debug)]
pub struct Presences {
    grace: Duration,
    /// Nodes that are connected or reported as connected.
    nodes: BTreeMap<NodeId, Presence>,
}

/// The presence of a node.
#[derive(Debug)]
struct Presence {
    is_connected: bool,
    is_reported: bool,
    /// When the reported state becomes the actual one; `None` if they are equal.
    due: Option<Instant>,
}

impl Presences {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self { grace, nodes: BTreeMap::new() }
    }

    /// A node has connected.
    pub fn connect(&mut self, id: NodeId, now: Instant) {
        let away = Presence { is_connected: true, is_reported: false, due: None };
        let node = self.nodes.entry(id).or_insert(away);
        node.is_connected = true;
        node.due = if node.is_reported { None } else { node.due.or(Some(now)) };
    }

    /// A node has disconnected.
    pub fn disconnect(&mut self, id: NodeId, now: Instant) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.is_connected = false;
        if node.is_reported {
            node.due = Some(now + self.grace);
        }
    }

    /// Returns when [`Self::handle_timeout`] is next needed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.nodes.values().filter_map(|node| node.due).min()
    }

    /// Updates the reported state where it is due; `take` takes a token of a node's bucket, or returns the time until there
    /// is one. Returns the nodes that left, or `None` if the reported state has not changed.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        mut take: impl FnMut(NodeId) -> Result<(), Duration>,
    ) -> Option<BTreeSet<NodeId>> {
        let (mut left, mut has_changed) = (BTreeSet::new(), false);
        self.nodes.retain(|&id, node| {
            if node.due.is_none_or(|due| due > now) {
                return true;
            }
            match (node.is_connected, node.is_reported) {
                (true, false) => match take(id) {
                    Ok(()) => (node.is_reported, node.due, has_changed) = (true, None, true),
                    Err(wait) => node.due = Some(now + wait),
                },
                (false, true) => {
                    left.insert(id);
                    has_changed = true;
                }
                (true, true) | (false, false) => node.due = None,
            }
            node.is_connected || node.is_reported && !left.contains(&id)
        });
        has_changed.then_some(left)
    }

    /// Whether a node is connected or reported as connected.
    #[must_use]
    pub fn is_here(&self, id: NodeId) -> bool {
        self.nodes.contains_key(&id)
    }

    /// The nodes that are reported as connected, by number.
    pub fn reported(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().filter(|(_, node)| node.is_reported).map(|(&id, _)| id)
    }
}

#[cfg(test)]
mod tests;
