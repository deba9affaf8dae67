//! Who is told to be connected, which changes less often than nodes connect and disconnect.
//!
//! Each change of it costs everyone a new map. So a node that comes back within a grace time never left, and one that
//! comes is told of when its bucket has a token; that it left follows at most once, and takes none.
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

/// How long a node is told to be connected after it has disconnected. A device that changes its network, or whose
/// coordinator restarts its connection, is back by then.
pub const GRACE: Duration = Duration::from_secs(10);

/// Who is told to be connected, and who is.
#[derive(Debug)]
pub struct Presences {
    grace: Duration,
    /// Nodes that are connected, or told to be.
    nodes: BTreeMap<NodeId, Presence>,
}

/// One node's.
#[derive(Debug)]
struct Presence {
    is_connected: bool,
    is_reported: bool,
    /// When what is told is to be made what is; `None` if it is already.
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

    /// Makes what is told what is, as far as it is due; `take` takes a token of a node's bucket, or says how long there
    /// is none. Returns who left, or `None` if what is told has not changed.
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

    /// Whether a node is connected, or told to be.
    #[must_use]
    pub fn is_here(&self, id: NodeId) -> bool {
        self.nodes.contains_key(&id)
    }

    /// Who is told to be connected.
    #[must_use]
    pub fn reported(&self) -> BTreeSet<NodeId> {
        self.nodes.iter().filter(|(_, node)| node.is_reported).map(|(&id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests;
