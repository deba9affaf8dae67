//! Chooses a provider's node for a conversation, from a snapshot of each node.
//!
//! A conversation has a home among the healthy nodes, by rendezvous hashing weighted with their slots: always the same
//! node, whose cache still contains the beginning of the prompt, and another one only if that node is gone. If the home
//! is full and has more than its fair share of requests, the least busy node is chosen (consistent hashing with bounded
//! loads: Mirrokni, Thorup, Zadimoghaddam, 2018).

use std::{
    cmp::Ordering,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use chat_vocabulary::{Content, Message, Part, Role};
use mesh_identity::Person;

/// A home may have this many quarters of its fair share before others are chosen.
const SHARE_QUARTERS: u128 = 5;

/// Keeps a conversation at one node: a hash of its person and its beginning up to the first question, which is also the
/// key of a model's prompt cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AffinityKey(u64);

impl AffinityKey {
    /// The key of the conversation that these messages of a person belong to.
    #[must_use]
    pub(crate) fn of(person: &Person, messages: &[Message]) -> Self {
        let mut hasher = DefaultHasher::new();
        person.hash(&mut hasher);
        for message in messages {
            message.role.hash(&mut hasher);
            match &message.content {
                Content::Text(text) => text.hash(&mut hasher),
                Content::Parts(parts) => parts.iter().for_each(|part| match part {
                    Part::Text(text) => text.hash(&mut hasher),
                    Part::Image(image) => image.base64().len().hash(&mut hasher),
                }),
            }
            if message.role == Role::User {
                break;
            }
        }
        Self(hasher.finish())
    }

    /// The conversation's draw at a node: pseudo-random, but always the same.
    #[must_use]
    pub(crate) fn draw(self, node: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        node.hash(&mut hasher);
        hasher.finish()
    }
}

/// The status of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeStatus {
    /// Healthy, as far as is known.
    Well,
    /// Its last check failed, its breaker is open, or it is loading its model, or loads it for a request: chosen last.
    Doubtful,
    /// It takes no new requests.
    Draining,
}

/// A snapshot of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeSnapshot {
    pub(crate) draw: u64,
    /// Concurrent replies.
    pub(crate) slots: u32,
    /// This gateway's requests in progress.
    pub(crate) busy: u32,
    pub(crate) status: NodeStatus,
}

impl NodeSnapshot {
    /// The node with the highest score is the conversation's home, with a probability proportional to its slots: with
    /// weight `w` and a draw `u` between 0 and 1, `w / -ln u` (Schindelhauer and Schomaker, 2005).
    fn score(&self) -> f64 {
        // 64 bits as a fraction; rounding errors do not matter.
        let drawn = (self.draw as f64 + 0.5) / 2.0_f64.powi(64);
        f64::from(self.slots) / -drawn.ln()
    }

    /// Compares the load per slot with one more request.
    fn compare_load(&self, other: &Self) -> Ordering {
        let load = |one: &Self, by: &Self| (u64::from(one.busy) + 1) * u64::from(by.slots);
        load(self, other).cmp(&load(other, self))
    }
}

/// The order of nodes, as indices, without draining ones.
#[must_use]
pub(crate) fn order(nodes: &[NodeSnapshot]) -> Vec<usize> {
    let with = |status: NodeStatus| {
        let mut list: Vec<(usize, &NodeSnapshot)> =
            nodes.iter().enumerate().filter(|(_, node)| node.status == status).collect();
        // Stable: at last by index.
        list.sort_by(|(_, one), (_, other)| {
            one.compare_load(other).then_with(|| other.score().total_cmp(&one.score()))
        });
        list
    };
    let mut well = with(NodeStatus::Well);
    let home = (0..well.len()).max_by(|&one, &other| {
        let score = |at: usize| well.get(at).map_or(0.0, |(_, node)| node.score());
        score(one).total_cmp(&score(other))
    });
    if let Some(home) = home
        && has_room(well[home].1, &well)
    {
        well[..=home].rotate_right(1);
    }
    well.into_iter().chain(with(NodeStatus::Doubtful)).map(|(index, _)| index).collect()
}

/// Whether a node has a free slot, or not more than its share of requests.
fn has_room(node: &NodeSnapshot, all: &[(usize, &NodeSnapshot)]) -> bool {
    let sum = |value: fn(&NodeSnapshot) -> u32| {
        all.iter().map(|(_, it)| u128::from(value(it))).sum::<u128>()
    };
    let (busy, slots) = (sum(|it| it.busy) + 1, sum(|it| it.slots));
    let (here, own) = (u128::from(node.busy), u128::from(node.slots));
    here < own || here * slots * 4 < SHARE_QUARTERS * busy * own
}

#[cfg(test)]
mod tests;
