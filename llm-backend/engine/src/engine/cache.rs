//! What is remembered of conversations between their turns, so that the next turn reads only what is new.
//!
//! ```text
//!   reply ends ──▶ kept in its slot ──(slot needed by another, or wiped)──▶ stored in memory ──(too much, or old)──▶ zeroed
//!                        └──────────── next turn of the same owner ◀───────────┘
//! ```
//!
//! Only requests with the same [`Owner`] share anything; nobody learns from the time or the counts of their reply what
//! another has asked.

use std::time::{Duration, Instant};

use llama_cpp_2::token::LlamaToken;
use zeroize::Zeroizing;

/// Fewer common tokens are not worth restoring: a template's first tokens are the same in all conversations.
const REUSED_MIN: usize = 16;

/// Whose a conversation is: an opaque key that the gateway gives, one for each person.
pub(crate) type Owner = String;

/// The tokens of a conversation in the order of their positions, zeroed on drop.
pub(super) struct Read(Zeroizing<Vec<i32>>);

impl Read {
    pub(super) fn new(tokens: &[LlamaToken]) -> Self {
        Self(Zeroizing::new(tokens.iter().map(|token| token.0).collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many tokens of `prompt` need not be read again. The last one always is, because its output is needed.
    fn common(&self, prompt: &[LlamaToken]) -> usize {
        let most = prompt.len().saturating_sub(1);
        let same = self.0.iter().zip(&prompt[..most]).take_while(|(known, new)| **known == new.0);
        Some(same.count()).filter(|common| *common >= REUSED_MIN).unwrap_or(0)
    }
}

/// A conversation in a slot or in memory.
pub(super) struct Conversation {
    pub(super) owner: Owner,
    pub(super) read: Read,
    /// When its last reply ended.
    pub(super) used: Instant,
}

impl Conversation {
    /// How many tokens of a request it saves; none of another owner's.
    fn saves(&self, owner: &str, prompt: &[LlamaToken]) -> usize {
        if self.owner == owner { self.read.common(prompt) } else { 0 }
    }

    /// Whether a request that saves `common` tokens belongs to another conversation, which only begins like this one.
    pub(super) fn is_other(&self, common: usize) -> bool {
        common < self.read.len() / 2
    }
}

/// Where a request continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nowhere: everything is read.
    Nothing,
    /// In this slot, after so many tokens.
    Slot(usize, usize),
    /// At this stored conversation, after so many tokens.
    Stored(usize, usize),
}

/// Chooses what saves most; a slot before the store if they save the same.
pub(super) fn source<'a>(
    slots: impl Iterator<Item = (usize, &'a Conversation)>,
    stored: impl Iterator<Item = &'a Conversation>,
    owner: Option<&str>,
    prompt: &[LlamaToken],
) -> Source {
    let Some(owner) = owner else { return Source::Nothing };
    let best = |(at, common): &(usize, usize)| (*common, usize::MAX - at);
    let slot = slots.map(|(at, it)| (at, it.saves(owner, prompt))).max_by_key(best);
    let stored = stored.map(|it| it.saves(owner, prompt)).enumerate().max_by_key(best);
    match (slot.unwrap_or_default(), stored.unwrap_or_default()) {
        ((_, 0), (_, 0)) => Source::Nothing,
        ((at, common), (_, other)) if common >= other => Source::Slot(at, common),
        (_, (at, common)) => Source::Stored(at, common),
    }
}

/// A conversation out of its slot.
pub(super) struct Stored {
    pub(super) conversation: Conversation,
    /// llama.cpp's state of it.
    pub(super) state: Zeroizing<Vec<u8>>,
}

/// The stored conversations, bounded by their bytes.
pub(super) struct Store {
    all: Vec<Stored>,
    bytes_max: usize,
}

impl Store {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { all: Vec::new(), bytes_max }
    }

    pub(super) fn conversations(&self) -> impl Iterator<Item = &Conversation> {
        self.all.iter().map(|stored| &stored.conversation)
    }

    /// Forgets what was used least recently until a state of this size fits; false if it never does.
    pub(super) fn make_room(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes_max {
            return false;
        }
        while self.all.iter().map(|it| it.state.len()).sum::<usize>() + bytes > self.bytes_max {
            let oldest = self.all.iter().enumerate().min_by_key(|(_, it)| it.conversation.used);
            let Some((at, _)) = oldest else { break };
            self.all.remove(at);
        }
        true
    }

    /// Stores a conversation, in the place of those that it continues.
    pub(super) fn put(&mut self, new: Stored) {
        let continued = |old: &Conversation| {
            let (old, new) = (old, &new.conversation);
            old.owner == new.owner && new.read.0.starts_with(&old.read.0)
        };
        self.all.retain(|old| !continued(&old.conversation));
        if self.make_room(new.state.len()) {
            self.all.push(new);
        }
    }

    /// Takes a stored conversation out.
    pub(super) fn take(&mut self, at: usize) -> Stored {
        self.all.remove(at)
    }

    /// Removes what was last used before `since`.
    pub(super) fn forget(&mut self, since: Instant) {
        self.all.retain(|stored| stored.conversation.used >= since);
    }

    /// When the next conversation is older than `life`.
    pub(super) fn next_end(&self, life: Duration) -> Option<Instant> {
        self.conversations().filter_map(|it| it.used.checked_add(life)).min()
    }
}

#[cfg(test)]
mod tests;
