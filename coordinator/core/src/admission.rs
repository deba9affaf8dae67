//! The list of node keys that the relay admits, which the coordinator writes and the relay reads.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use control_protocol::key::NodePublic;
use serde::{Deserialize, Serialize};

use crate::{
    model::{Node, NodeId},
    time::Millis,
};

/// How long a replaced key is still admitted, in milliseconds, while its node reconnects.
const OVERLAP: Millis = 3000;

/// The content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmissionList {
    /// The keys.
    pub nodes: Vec<AdmittedKey>,
}

/// A node key that is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmittedKey {
    /// Its node.
    pub node: NodeId,
    /// The key.
    pub key: NodePublic,
    /// When it expires; `None`: never.
    pub until: Option<Millis>,
}

impl From<&Node> for AdmittedKey {
    fn from(node: &Node) -> Self {
        Self { node: node.id, key: node.keys.node, until: node.times.expires }
    }
}

/// The keys by their expiry.
#[derive(Clone, Debug, Default)]
pub struct AdmittedKeys(Arc<HashMap<NodePublic, Option<Millis>>>);

impl AdmittedKeys {
    /// Whether the key is admitted now.
    #[must_use]
    pub fn admit(&self, key: &NodePublic, now: Millis) -> bool {
        self.0.get(key).is_some_and(|until| until.is_none_or(|until| until > now))
    }
}

impl From<AdmissionList> for AdmittedKeys {
    /// Of duplicate keys the last one counts.
    fn from(admitted: AdmissionList) -> Self {
        Self(Arc::new(admitted.nodes.into_iter().map(|it| (it.key, it.until)).collect()))
    }
}

impl AdmissionList {
    /// The next list: the keys of `nodes` that have not expired, and temporarily the earlier keys of the same nodes.
    #[must_use]
    pub fn next(&self, mut nodes: Vec<AdmittedKey>, now: Millis) -> Self {
        let is_valid = |entry: &AdmittedKey| entry.until.is_none_or(|until| until > now);
        nodes.retain(is_valid);
        let still: HashSet<_> = nodes.iter().map(|entry| entry.node).collect();
        let keys: HashSet<_> = nodes.iter().map(|entry| entry.key).collect();
        let replaced = self
            .nodes
            .iter()
            .filter(|entry| still.contains(&entry.node) && !keys.contains(&entry.key))
            .map(|entry| {
                let latest = now.saturating_add(OVERLAP);
                let until = Some(entry.until.map_or(latest, |until| until.min(latest)));
                AdmittedKey { until, ..*entry }
            });
        nodes.extend(replaced.filter(is_valid));
        Self { nodes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(node: u64, key: u8, until: Option<Millis>) -> AdmittedKey {
        AdmittedKey { node, key: NodePublic::from_bytes([key; 32]), until }
    }

    fn keys(admitted: &AdmissionList) -> Vec<(u8, Option<Millis>)> {
        admitted.nodes.iter().map(|entry| (entry.key.as_bytes()[0], entry.until)).collect()
    }

    #[test]
    fn a_key_that_was_replaced_is_let_in_for_a_moment_and_one_that_was_taken_away_is_not() {
        let nodes = vec![node(1, 1, None), node(2, 2, Some(9000)), node(3, 3, None)];
        let first = AdmissionList::default().next(nodes, 0);
        assert_eq!(keys(&first), [(1, None), (2, Some(9000)), (3, None)]);

        // The first has another key, the third is gone.
        let nodes = vec![node(1, 11, None), node(2, 2, Some(9000))];
        let second = first.next(nodes.clone(), 1000);
        assert_eq!(keys(&second), [(11, None), (2, Some(9000)), (1, Some(4000))]);
        let third = second.next(nodes.clone(), 2000);
        assert_eq!(keys(&third), keys(&second), "the moment does not begin anew");
        assert_eq!(keys(&third.next(nodes.clone(), 4000)), [(11, None), (2, Some(9000))]);
        assert_eq!(keys(&third.next(nodes, 9000)), [(11, None)], "the other has expired");
    }

    fn entry() -> impl Strategy<Value = AdmittedKey> {
        (any::<u64>(), any::<[u8; 32]>(), any::<Option<Millis>>()).prop_map(|(node, key, until)| {
            AdmittedKey { node, key: NodePublic::from_bytes(key), until }
        })
    }

    proptest! {
        /// What is written is read, and lets in exactly whom it names, until it says; whatever else is there is refused.
        #[test]
        fn a_list_lets_in_whom_it_names(
            nodes in prop::collection::vec(entry(), 0..8),
            now: Millis,
            other: [u8; 32],
            noise: Vec<u8>,
            at: prop::sample::Index,
            byte: u8,
        ) {
            let list = AdmissionList { nodes };
            let mut json = serde_json::to_vec(&list).unwrap();
            prop_assert_eq!(&serde_json::from_slice::<AdmissionList>(&json).unwrap(), &list);
            let keys = AdmittedKeys::from(list.clone());
            for AdmittedKey { key, .. } in &list.nodes {
                let last = list.nodes.iter().rfind(|entry| entry.key == *key).unwrap();
                prop_assert_eq!(keys.admit(key, now), last.until.is_none_or(|until| until > now));
            }
            let is_named = list.nodes.iter().any(|entry| *entry.key.as_bytes() == other);
            prop_assert!(is_named || !keys.admit(&NodePublic::from_bytes(other), now));

            prop_assert!(serde_json::from_slice::<AdmissionList>(&noise).is_err());
            // Damaged, it names no key of which it has not the digits.
            let at = at.index(json.len());
            json[at] = byte;
            if let Ok(damaged) = serde_json::from_slice::<AdmissionList>(&json) {
                let text = String::from_utf8(json).unwrap().to_ascii_lowercase();
                for entry in damaged.nodes {
                    prop_assert!(text.contains(&entry.key.to_string()), "{text}");
                }
            }
        }
    }
}
