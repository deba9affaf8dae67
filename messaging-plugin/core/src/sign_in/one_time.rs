//! Texts that are used once, by who got them: codes, and the tokens of forms.
//!
//! They are kept in memory, by their hash; a restart voids them.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::OwnedUserId;
use sha2::{Digest, Sha256};

/// Most texts of one person that are not used yet; the oldest is voided.
pub const PER_PERSON: usize = 8;

/// A node of the mesh: the stable id that the agent's header names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub String);

/// Who is calling, as the mesh says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The person.
    pub person: OwnedUserId,
    /// The person's node.
    pub node: NodeId,
}

/// The texts that are not used yet, each with what it was made for.
#[derive(Debug)]
pub struct OneTime<T> {
    lifetime: Duration,
    entries: HashMap<[u8; 32], Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    caller: Caller,
    what: T,
    until: Instant,
}

impl<T> OneTime<T> {
    /// None yet; each will live for `lifetime`.
    #[must_use]
    pub fn new(lifetime: Duration) -> Self {
        Self { lifetime, entries: HashMap::new() }
    }

    /// Makes a text from random bytes.
    pub fn issue(&mut self, caller: Caller, what: T, random: [u8; 32], now: Instant) -> String {
        self.entries.retain(|_, entry| now < entry.until);
        let of_person =
            self.entries.iter().filter(|(_, entry)| entry.caller.person == caller.person);
        if of_person.clone().count() >= PER_PERSON
            && let Some(oldest) =
                of_person.min_by_key(|(_, entry)| entry.until).map(|(hash, _)| *hash)
        {
            self.entries.remove(&oldest);
        }
        let text = URL_SAFE_NO_PAD.encode(random);
        self.entries.insert(hash(&text), Entry { caller, what, until: now + self.lifetime });
        text
    }

    /// Uses a text: it is void afterwards, even if another caller sent it, since it may have been stolen.
    pub fn take(&mut self, text: &str, caller: &Caller, now: Instant) -> Option<T> {
        let entry = self.entries.remove(&hash(text))?;
        (now < entry.until && entry.caller == *caller).then_some(entry.what)
    }

    /// Voids the texts of a node that was removed or changed its owner.
    pub fn remove_node(&mut self, node: &NodeId) {
        self.entries.retain(|_, entry| entry.caller.node != *node);
    }

    /// How many are not used yet.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// A text is found by its hash, so that the time of a search says nothing about other texts.
fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
