//! Which nodes are connected, here and at other coordinators.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use coordinator_core::{model::NodeId, presence::Presences};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How what other coordinators report has changed.
#[derive(Debug)]
pub(crate) struct Moves {
    /// The nodes that came there.
    pub(crate) came: BTreeSet<NodeId>,
    /// The nodes that went from there and are not here.
    pub(crate) went: BTreeSet<NodeId>,
    /// Whether any came or went.
    pub(crate) has_changed: bool,
}

/// The connected nodes.
#[derive(Debug)]
pub(super) struct ConnectedNodes {
    pub(super) streams: BTreeMap<NodeId, NodeStreams>,
    pub(super) presences: Presences,
    /// The nodes that other coordinators report.
    pub(super) elsewhere: BTreeSet<NodeId>,
}

/// The map streams of a node. All but the newest are ending.
#[derive(Debug, Default)]
pub(super) struct NodeStreams {
    pub(super) count: usize,
    /// Ends the newest stream.
    pub(super) end: CancellationToken,
    /// Wakes the newest stream.
    pub(super) concerned: Arc<Notify>,
}

impl ConnectedNodes {
    /// Nobody is connected yet. `grace`: how long a node that has disconnected is reported as connected.
    pub(super) fn new(grace: Duration) -> Self {
        let presences = Presences::new(grace);
        Self { streams: BTreeMap::new(), presences, elsewhere: BTreeSet::new() }
    }

    /// The nodes that are reported as connected, here or elsewhere.
    pub(super) fn online(&self) -> BTreeSet<NodeId> {
        let mut online = self.presences.reported();
        online.extend(&self.elsewhere);
        online
    }

    /// How what other coordinators report differs from what they reported before.
    pub(super) fn moves(&self, elsewhere: &BTreeSet<NodeId>) -> Moves {
        let went = self.elsewhere.difference(elsewhere).copied();
        Moves {
            came: elsewhere.difference(&self.elsewhere).copied().collect(),
            went: went.filter(|&id| !self.presences.is_here(id)).collect(),
            has_changed: *elsewhere != self.elsewhere,
        }
    }

    pub(super) fn is_here(&self, id: NodeId) -> bool {
        self.presences.is_here(id) || self.elsewhere.contains(&id)
    }

    /// Wakes the map streams of these nodes; `None`: of all.
    pub(super) fn wake(&self, audience: Option<&BTreeSet<NodeId>>) {
        match audience {
            Some(audience) => {
                let streams = audience.iter().filter_map(|id| self.streams.get(id));
                streams.for_each(|streams| streams.concerned.notify_one());
            }
            None => self.streams.values().for_each(|streams| streams.concerned.notify_one()),
        }
    }
}
