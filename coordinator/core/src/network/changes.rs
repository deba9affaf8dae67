//! Which nodes have changed while everything else that determines maps has stayed.
//!
//! Most changes are of this kind: endpoints, relays, keys and presence. A map stream then sends the changed nodes alone, and
//! need not find out again whom it may see.

use std::{collections::BTreeSet, sync::Arc};

use crate::model::NodeId;

/// Changes that are remembered. A stream that is further behind makes its view again.
const REMEMBERED: usize = 4096;

/// The nodes that have changed since something else last did, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeChanges {
    /// What has stayed; only its address matters, which no other has as long as somebody holds it.
    base: Arc<()>,
    log: Vec<NodeId>,
}

/// How far a map stream has followed the network.
#[derive(Clone, Debug)]
pub struct Position {
    base: Arc<()>,
    seen: usize,
}

impl NodeChanges {
    /// The same with these changes besides.
    pub(super) fn followed_by(&self, changed: &[NodeId]) -> Self {
        if self.log.len() + changed.len() > REMEMBERED {
            return Self::default();
        }
        Self { base: Arc::clone(&self.base), log: [&self.log, changed].concat() }
    }

    pub(super) fn position(&self) -> Position {
        Position { base: Arc::clone(&self.base), seen: self.log.len() }
    }

    /// The nodes that have changed since then; `None` if something else has changed, too.
    pub(super) fn since(&self, position: &Position) -> Option<BTreeSet<NodeId>> {
        let is_same = Arc::ptr_eq(&self.base, &position.base);
        let changed = self.log.get(position.seen..).filter(|_| is_same)?;
        Some(changed.iter().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_of_another_base_or_one_that_is_forgotten_tells_nothing() {
        let first = NodeChanges::default();
        let position = first.position();
        let next = first.followed_by(&[3, 1]).followed_by(&[3]);

        assert_eq!(next.since(&position), Some([1, 3].into()));
        assert_eq!(next.since(&next.position()), Some([].into()));
        assert_eq!(first.since(&next.position()), None, "it was made later");
        assert_eq!(NodeChanges::default().since(&position), None);
        assert_eq!(next.followed_by(&[1; REMEMBERED]).since(&position), None);
    }
}
