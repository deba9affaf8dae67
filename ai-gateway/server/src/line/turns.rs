//! Whose turn it is in a line: slots, who holds them, who waits. No clock, no task.
//!
//! A slot that is free goes to whoever waits and holds the fewest; among those who hold as many, to the one who arrived,
//! or last got or gave back a slot, longest ago. So people take turns, and nobody gets a second slot while somebody
//! without one waits. What one person asked first comes first.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// How many may hold a slot, and how many may wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Slots.
    pub slots: usize,
    /// Most that wait.
    pub waiting: usize,
    /// Most of one person that wait.
    pub waiting_per_person: usize,
    /// Most bytes of those that wait; a larger one may wait alone.
    pub bytes: usize,
    /// Most bytes of one person's that wait; a larger one may be the person's only one.
    pub bytes_per_person: usize,
}

impl Bounds {
    /// These slots and places, whatever those who wait hold.
    #[cfg(test)]
    pub(super) fn of(slots: usize, waiting: usize, waiting_per_person: usize) -> Self {
        Self { slots, waiting, waiting_per_person, bytes: usize::MAX, bytes_per_person: usize::MAX }
    }
}

/// There is no place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// This person has as many places as one may.
    #[error("this person waits often enough")]
    Person,
    /// There are as many places as there may be.
    #[error("the line is full")]
    Total,
}

/// A place's number; never used again.
pub(super) type Number = u64;

/// The state of a line. It knows nobody who neither holds a slot nor waits.
#[derive(Debug)]
pub(super) struct Turns<K> {
    bounds: Bounds,
    next: Number,
    held: usize,
    waiting: Waiting,
    people: HashMap<K, Theirs>,
    /// Those who wait, in the order in which they arrived, or last got or gave back a slot.
    order: VecDeque<K>,
}

/// What one person has. A number that is not among those that wait holds a slot.
#[derive(Debug, Default)]
struct Theirs {
    held: usize,
    waiting: VecDeque<(Number, usize)>,
}

/// How many wait, and how many bytes they hold.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    count: usize,
    bytes: usize,
}

impl Waiting {
    /// Whether one more of this size is too many.
    fn is_full(self, bytes: usize, count_max: usize, bytes_max: usize) -> bool {
        let too_large = self.bytes.saturating_add(bytes) > bytes_max;
        self.count >= count_max || (self.count > 0 && too_large)
    }

    fn remove(&mut self, bytes: usize) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Theirs {
    fn waiting(&self) -> Waiting {
        let bytes = self.waiting.iter().map(|(_, bytes)| bytes).sum();
        Waiting { count: self.waiting.len(), bytes }
    }
}

impl<K: Clone + Eq + Hash> Turns<K> {
    pub(super) fn new(bounds: Bounds) -> Self {
        let (people, order) = (HashMap::new(), VecDeque::new());
        Self { bounds, next: 0, held: 0, waiting: Waiting::default(), people, order }
    }

    /// Takes a place for a request of so many bytes. Call [`Self::call`] after it: it may be that place's turn.
    pub(super) fn enter(&mut self, person: &K, bytes: usize) -> Result<Number, Full> {
        let own = self.people.get(person).map(Theirs::waiting).unwrap_or_default();
        // Nobody waits while a slot is free: then this place does not either.
        if self.held >= self.bounds.slots {
            let Bounds { waiting, waiting_per_person, bytes_per_person, .. } = self.bounds;
            if own.is_full(bytes, waiting_per_person, bytes_per_person) {
                return Err(Full::Person);
            }
            if self.waiting.is_full(bytes, waiting, self.bounds.bytes) {
                return Err(Full::Total);
            }
        }
        let number = self.next;
        self.next += 1;
        self.people.entry(person.clone()).or_default().waiting.push_back((number, bytes));
        self.waiting.count += 1;
        self.waiting.bytes = self.waiting.bytes.saturating_add(bytes);
        if own.count == 0 {
            self.order.push_back(person.clone());
        }
        Ok(number)
    }

    /// Gives up a place, whether it waits or holds a slot. Call [`Self::call`] after it.
    pub(super) fn leave(&mut self, person: &K, number: Number) {
        let Some(theirs) = self.people.get_mut(person) else {
            return;
        };
        let at = theirs.waiting.iter().position(|(it, _)| *it == number);
        if let Some((_, bytes)) = at.and_then(|at| theirs.waiting.remove(at)) {
            self.waiting.remove(bytes);
            if theirs.waiting.is_empty() {
                self.order.retain(|it| it != person);
            }
        } else {
            theirs.held = theirs.held.saturating_sub(1);
            self.held = self.held.saturating_sub(1);
            if !theirs.waiting.is_empty() {
                // Whoever came while this slot was held is next.
                self.order.retain(|it| it != person);
                self.order.push_back(person.clone());
            }
        }
        if theirs.held == 0 && theirs.waiting.is_empty() {
            self.people.remove(person);
        }
    }

    /// The next place that gets a slot, if one is free and somebody waits. Call it until there is none.
    pub(super) fn call(&mut self) -> Option<Number> {
        if self.held >= self.bounds.slots {
            return None;
        }
        let held = |person: &K| self.people.get(person).map_or(0, |theirs| theirs.held);
        // Of several that hold the fewest, the first.
        let (at, _) = self.order.iter().enumerate().min_by_key(|(_, person)| held(person))?;
        let person = self.order.remove(at)?;
        let theirs = self.people.get_mut(&person)?;
        let (number, bytes) = theirs.waiting.pop_front()?;
        theirs.held += 1;
        let more = !theirs.waiting.is_empty();
        self.held += 1;
        self.waiting.remove(bytes);
        if more {
            self.order.push_back(person);
        }
        Some(number)
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.bounds.slots
    }

    /// Changes how many slots there are; replies under way keep theirs. Call [`Self::call`] after it.
    pub(super) fn set_slots(&mut self, slots: usize) {
        self.bounds.slots = slots;
    }

    /// How many people wait.
    pub(super) fn people(&self) -> usize {
        self.order.len()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.count
    }

    /// How many hold a slot.
    pub(super) fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests;
