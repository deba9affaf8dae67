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
    /// The nodes that came there and have no map stream here.
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

    /// The nodes that are reported as connected, here or elsewhere: `before` if they are the same.
    pub(super) fn online(&self, before: &Arc<BTreeSet<NodeId>>) -> Arc<BTreeSet<NodeId>> {
        let here = self.presences.reported();
        if self.elsewhere.is_empty() && here.eq(before.iter().copied()) {
            return Arc::clone(before);
        }
        Arc::new(self.presences.reported().chain(self.elsewhere.iter().copied()).collect())
    }

    /// How what other coordinators report differs from what they reported before.
    pub(super) fn moves(&self, elsewhere: &BTreeSet<NodeId>) -> Moves {
        let went = self.elsewhere.difference(elsewhere).copied();
        let came = elsewhere.difference(&self.elsewhere).copied();
        Moves {
            came: came.filter(|id| !self.streams.contains_key(id)).collect(),
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_node_that_came_back_here_is_not_one_that_went_elsewhere() {
        let mut connected = ConnectedNodes::new(Duration::ZERO);
        connected.streams.insert(1, NodeStreams::default());

        let moves = connected.moves(&BTreeSet::from([1, 2]));

        assert_eq!(moves.came, BTreeSet::from([2]), "what it told waits to be stored here");
        assert!(moves.has_changed);
    }

    #[test]
    fn who_is_connected_is_told_anew_only_when_it_changed() {
        let mut connected = ConnectedNodes::new(Duration::ZERO);
        let before = connected.online(&Arc::default());
        assert!(Arc::ptr_eq(&connected.online(&before), &before));

        let now = Instant::now();
        connected.presences.connect(1, now);
        connected.presences.handle_timeout(now, |_| Ok(())).unwrap();
        let here = connected.online(&before);
        assert_eq!(*here, BTreeSet::from([1]));
        connected.elsewhere.insert(2);
        assert_eq!(*connected.online(&here), BTreeSet::from([1, 2]));
    }
}
