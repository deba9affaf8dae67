//! A large map of which each version differs from the last in few entries.

use std::{collections::BTreeMap, sync::Arc};

use crate::model::NodeId;

/// Newer entries above the base; with more of them, a base of its own is made.
const NEWER_MAX: usize = 32;

/// Entries by node. A version shares with the one before it what has not changed, and costs what has.
#[derive(Debug)]
pub(super) struct Layers<T> {
    base: Arc<BTreeMap<NodeId, Arc<T>>>,
    /// Instead of those in the base, which has every node.
    newer: BTreeMap<NodeId, Arc<T>>,
}

impl<T> Clone for Layers<T> {
    fn clone(&self) -> Self {
        Self { base: Arc::clone(&self.base), newer: self.newer.clone() }
    }
}

impl<T> FromIterator<(NodeId, Arc<T>)> for Layers<T> {
    fn from_iter<I: IntoIterator<Item = (NodeId, Arc<T>)>>(entries: I) -> Self {
        Self { base: Arc::new(entries.into_iter().collect()), newer: BTreeMap::new() }
    }
}

impl<T> Layers<T> {
    pub(super) fn get(&self, id: NodeId) -> Option<&Arc<T>> {
        self.newer.get(&id).or_else(|| self.base.get(&id))
    }

    /// All entries, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Arc<T>)> {
        self.base.iter().map(|(id, entry)| (*id, self.newer.get(id).unwrap_or(entry)))
    }

    /// Replaces the entry of a node that has one.
    pub(super) fn replace(&mut self, id: NodeId, entry: Arc<T>) {
        if !self.base.contains_key(&id) {
            return;
        }
        self.newer.insert(id, entry);
        if self.newer.len() > NEWER_MAX {
            let base = Arc::make_mut(&mut self.base);
            base.append(&mut self.newer);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_version_keeps_its_entries(changes in prop::collection::vec((0_u64..60, any::<u8>()), 0..200)) {
            let mut expected: BTreeMap<NodeId, u8> = (0..50).map(|id| (id, 0)).collect();
            let mut layers: Layers<u8> =
                expected.iter().map(|(id, value)| (*id, Arc::new(*value))).collect();
            let mut versions = Vec::new();
            for (id, value) in changes {
                versions.push((layers.clone(), expected.clone()));
                layers.replace(id, Arc::new(value));
                expected.entry(id).and_modify(|known| *known = value);
            }
            versions.push((layers, expected));
            for (layers, expected) in versions {
                let all: BTreeMap<_, _> = layers.iter().map(|(id, value)| (id, **value)).collect();
                prop_assert_eq!(&all, &expected);
                for id in 0..60 {
                    prop_assert_eq!(layers.get(id).map(|value| **value), expected.get(&id).copied());
                }
            }
        }
    }
}
