//! Which of a provider's nodes is asked for a conversation: decided from what is seen of each.
//!
//! A conversation has a home among the nodes that are well, by rendezvous hashing weighted with their slots: the same
//! node each time, whose cache still holds the prompt's beginning, and another one only if that node is gone. Where the
//! home is full, and busier than its fair share of what is under way allows, the least busy node is asked
//! (consistent hashing with bounded loads: Mirrokni, Thorup, Zadimoghaddam, 2018).

use std::{
    cmp::Ordering,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use chat_vocabulary::{Content, Message, Part, Role};
use mesh_identity::Person;

/// A home may have this many quarters of its fair share before others are asked.
const SHARE_QUARTERS: u128 = 5;

/// By what a conversation keeps to one node: a hash of whose it is and how it begins, up to its first question, which is
/// also what a model's cache of prompts goes by.
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

    /// What the conversation draws at a node: as if by chance, but the same each time.
    #[must_use]
    pub(crate) fn draw(self, node: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        node.hash(&mut hasher);
        hasher.finish()
    }
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeStatus {
    /// Well, as far as is known.
    Well,
    /// It failed when it was last asked, or loads its model: asked if no other is left.
    Doubtful,
    /// It takes no new requests.
    Draining,
}

/// What is seen of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeSnapshot {
    /// What the conversation draws there.
    pub(crate) draw: u64,
    /// Replies that it makes at a time.
    pub(crate) slots: u32,
    /// Requests of ours that are under way there.
    pub(crate) busy: u32,
    /// How it is.
    pub(crate) status: NodeStatus,
}

impl NodeSnapshot {
    /// The higher of two is the conversation's home, as often as a node's slots are among all slots: with weight `w` and
    /// a draw `u` between 0 and 1, `w / -ln u` (Schindelhauer and Schomaker, 2005).
    fn score(&self) -> f64 {
        // 64 bits as a fraction; what is lost to rounding is chance anyway.
        let drawn = (self.draw as f64 + 0.5) / 2.0_f64.powi(64);
        f64::from(self.slots) / -drawn.ln()
    }

    /// Compares what each would have to do with one request more, for each of its slots.
    fn compare_load(&self, other: &Self) -> Ordering {
        let load = |one: &Self, by: &Self| (u64::from(one.busy) + 1) * u64::from(by.slots);
        load(self, other).cmp(&load(other, self))
    }
}

/// In which order nodes are asked, by their index. Those that drain are not.
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

/// Whether a node has a slot free, or not more than its share of what is under way.
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
