//! Decides who gets the next slot: it knows the slots, their holders and the waiting requests, but no clock and no
//! task.
//!
//! A free slot goes to the waiting person who holds the fewest; among equals, to the one who arrived, or last got or
//! gave back a slot, longest ago. So people take turns, and nobody gets a second slot while somebody without one waits.
//! The last free slot of several is kept for people who hold none. Requests of one person are served in order of
//! arrival.
//!
//! ```text
//!   waits without a slot ──for `yield_after`──▶ owed one ──▶ a reply of whoever holds most has to end
//! ```
//!
//! That person's longest reply ends. If they hold only one slot, it ends only after it has run for `yield_after`
//! itself. So while people without a slot wait, each slot changes hands within `yield_after`. Their number therefore
//! bounds how long that takes, and nobody who is owed a slot is refused before that time.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::{Duration, Instant},
};

/// Longest time that a reply takes to end once it must.
pub(super) const ENDING: Duration = Duration::from_secs(5);

/// Limits on slots, waiting requests and waiting time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// Slots.
    pub(crate) slots: usize,
    /// Most waiting requests.
    pub(crate) waiting: usize,
    /// Most waiting requests of one person.
    pub(crate) waiting_per_person: usize,
    /// Most bytes of waiting requests; a larger one may wait alone.
    pub(crate) bytes: usize,
    /// Most bytes of one person's waiting requests; a larger one may be the person's only one.
    pub(crate) bytes_per_person: usize,
    /// How long somebody waits without a slot before another's reply must end.
    pub(crate) yield_after: Duration,
    /// Longest time that a request waits after its person's last slot; if the person has no slot, at least the time
    /// that it may take to get one.
    pub(crate) patience: Duration,
}

impl QueueLimits {
    /// These numbers of slots and places, without limits on bytes or time.
    #[cfg(test)]
    pub(super) fn of(slots: usize, waiting: usize, waiting_per_person: usize) -> Self {
        let long = Duration::from_secs(u32::MAX.into());
        Self {
            slots,
            waiting,
            waiting_per_person,
            bytes: usize::MAX,
            bytes_per_person: usize::MAX,
            yield_after: long,
            patience: long,
        }
    }
}

/// The queue has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueueFull {
    /// This person has the most places allowed for one.
    #[error("this person has the most places in the queue that one person may have")]
    Person,
    /// All places are taken.
    #[error("the queue is full")]
    Total,
}

/// A place's number; never used again.
pub(super) type EntryId = u64;

/// The state of a queue. It knows only people who hold a slot or wait.
#[derive(Debug)]
pub(super) struct Scheduler<K> {
    bounds: QueueLimits,
    next: EntryId,
    held: usize,
    waiting: QueueLoad,
    people: HashMap<K, PersonState>,
    /// Waiting people, in the order in which they arrived, or last got or gave back a slot.
    order: VecDeque<K>,
}

/// One person's slots and waiting requests.
#[derive(Debug)]
struct PersonState {
    held: Vec<HeldSlot>,
    waiting: VecDeque<(EntryId, usize)>,
    /// When they last got or gave back a slot, or arrived.
    last_served: Instant,
    /// The latest time at which they get a slot if replies end when they must; used while they have none.
    owed: Instant,
}

/// A held slot.
#[derive(Clone, Copy, Debug)]
struct HeldSlot {
    number: EntryId,
    since: Instant,
    /// Whether its reply must end.
    ends: bool,
}

/// What a waiting request does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitDecision {
    /// Wait until then.
    WaitUntil(Instant),
    /// Its person is owed a slot: make a reply end ([`Scheduler::preempt_one`]).
    Preempt,
    /// Leave: its time is over.
    GiveUp,
}

/// Number and bytes of waiting requests.
#[derive(Clone, Copy, Debug, Default)]
struct QueueLoad {
    count: usize,
    bytes: usize,
}

impl QueueLoad {
    /// Whether one more request of this size exceeds the limit.
    fn is_full(self, bytes: usize, count_max: usize, bytes_max: usize) -> bool {
        let too_large = self.bytes.saturating_add(bytes) > bytes_max;
        self.count >= count_max || (self.count > 0 && too_large)
    }

    fn remove(&mut self, bytes: usize) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl PersonState {
    fn waiting(&self) -> QueueLoad {
        let bytes = self.waiting.iter().map(|(_, bytes)| bytes).sum();
        QueueLoad { count: self.waiting.len(), bytes }
    }

    /// Slots they hold, without those whose replies must end.
    fn keeps(&self) -> usize {
        self.held.iter().filter(|held| !held.ends).count()
    }
}

impl<K: Clone + Eq + Hash> Scheduler<K> {
    pub(super) fn new(bounds: QueueLimits) -> Self {
        let (people, order) = (HashMap::new(), VecDeque::new());
        Self { bounds, next: 0, held: 0, waiting: QueueLoad::default(), people, order }
    }

    /// Whether a slot is free for this person. Anyone who waits beside a free slot holds another, so nobody comes
    /// before this person.
    pub(super) fn is_free_for(&self, person: &K) -> bool {
        match self.bounds.slots.saturating_sub(self.held) {
            0 => false,
            1 => self.holds(person) == 0,
            _ => true,
        }
    }

    fn holds(&self, person: &K) -> usize {
        self.people.get(person).map_or(0, |state| state.held.len())
    }

    /// Takes a place for a request of so many bytes. Call [`Self::call`] after it: a slot may be free for it.
    pub(super) fn enter(
        &mut self,
        person: &K,
        bytes: usize,
        now: Instant,
    ) -> Result<EntryId, QueueFull> {
        let own = self.people.get(person).map(PersonState::waiting).unwrap_or_default();
        if !self.is_free_for(person) {
            let QueueLimits { waiting, waiting_per_person, bytes_per_person, .. } = self.bounds;
            if own.is_full(bytes, waiting_per_person, bytes_per_person) {
                return Err(QueueFull::Person);
            }
            if self.waiting.is_full(bytes, waiting, self.bounds.bytes) {
                return Err(QueueFull::Total);
            }
        }
        let number = self.next;
        self.next += 1;
        let owed = self.owed(now);
        let new =
            || PersonState { held: Vec::new(), waiting: VecDeque::new(), last_served: now, owed };
        self.people.entry(person.clone()).or_insert_with(new).waiting.push_back((number, bytes));
        self.waiting.count += 1;
        self.waiting.bytes = self.waiting.bytes.saturating_add(bytes);
        if own.count == 0 {
            self.order.push_back(person.clone());
        }
        Ok(number)
    }

    /// The latest time at which somebody gets a slot who has none from now on, after all others who have none.
    fn owed(&self, now: Instant) -> Instant {
        let before = self.order.iter().filter(|person| self.holds(person) == 0).count();
        let turns = before / self.bounds.slots.max(1) + 1;
        let turns = u32::try_from(turns).unwrap_or(u32::MAX);
        later(now, self.bounds.yield_after.saturating_mul(turns))
    }

    /// Gives up a place, whether it waits or holds a slot. Call [`Self::call`] after it.
    pub(super) fn leave(&mut self, person: &K, number: EntryId, now: Instant) {
        let owed = self.owed(now);
        let Some(state) = self.people.get_mut(person) else {
            return;
        };
        if let Some(at) = state.held.iter().position(|held| held.number == number) {
            state.held.swap_remove(at);
            (state.last_served, state.owed) = (now, owed);
            self.held = self.held.saturating_sub(1);
            if !state.waiting.is_empty() {
                // People who arrived while this slot was held come first.
                self.order.retain(|it| it != person);
                self.order.push_back(person.clone());
            }
        } else if let Some(at) = state.waiting.iter().position(|(it, _)| *it == number)
            && let Some((_, bytes)) = state.waiting.remove(at)
        {
            self.waiting.remove(bytes);
            if state.waiting.is_empty() {
                self.order.retain(|it| it != person);
            }
        }
        if state.held.is_empty() && state.waiting.is_empty() {
            self.people.remove(person);
        }
    }

    /// Assigns a free slot to a waiting request that may have it. Call it until it returns `None`.
    pub(super) fn call(&mut self, now: Instant) -> Option<EntryId> {
        // Of several with the fewest slots, the first.
        let waiting = self.order.iter().enumerate();
        let (at, person) = waiting.min_by_key(|(_, person)| self.holds(person))?;
        if !self.is_free_for(person) {
            return None;
        }
        let person = self.order.remove(at)?;
        let state = self.people.get_mut(&person)?;
        let (number, bytes) = state.waiting.pop_front()?;
        state.held.push(HeldSlot { number, since: now, ends: false });
        state.last_served = now;
        let more = !state.waiting.is_empty();
        self.held += 1;
        self.waiting.remove(bytes);
        if more {
            self.order.push_back(person);
        }
        Some(number)
    }

    /// Decides what a waiting request of this person, which arrived at `entered`, does next.
    pub(super) fn decide(&self, person: &K, entered: Instant, now: Instant) -> WaitDecision {
        let Some(state) = self.people.get(person) else {
            return WaitDecision::GiveUp;
        };
        let mut late = later(entered.max(state.last_served), self.bounds.patience);
        let mut next = late;
        if state.held.is_empty() {
            late = late.max(later(state.owed, ENDING));
            let from = later(state.last_served, self.bounds.yield_after);
            next = if now < from { from } else { self.next_end(now) };
        }
        if late <= now {
            WaitDecision::GiveUp
        } else if next <= now {
            WaitDecision::Preempt
        } else {
            WaitDecision::WaitUntil(next.min(late))
        }
    }

    /// When the next reply must end if people are owed slots, as far as is known now.
    fn next_end(&self, now: Instant) -> Instant {
        let owed = |person: &&K| {
            let state = self.people.get(*person);
            state.is_some_and(|state| {
                state.held.is_empty() && later(state.last_served, self.bounds.yield_after) <= now
            })
        };
        let ending: usize = self.people.values().map(|it| it.held.len() - it.keeps()).sum();
        // A slot assigned from now on is kept at least this long.
        let later_on = later(now, self.bounds.yield_after);
        if self.order.iter().filter(owed).count() <= ending {
            return later_on;
        }
        self.longest().map_or(later_on, |(_, keeps, held)| match keeps {
            1 => later(held.since, self.bounds.yield_after),
            _ => now,
        })
    }

    /// The longest continuing reply of the person with the most slots, and the number of their slots.
    fn longest(&self) -> Option<(&K, usize, HeldSlot)> {
        let all = self.people.iter().flat_map(|(person, state)| {
            let continuing = state.held.iter().filter(|held| !held.ends);
            continuing.map(move |held| (person, state.keeps(), *held))
        });
        all.min_by_key(|(_, keeps, held)| (Reverse(*keeps), held.since, held.number))
    }

    /// Picks the reply that must end now for somebody who is owed a slot, and marks it.
    pub(super) fn preempt_one(&mut self, now: Instant) -> Option<EntryId> {
        if self.next_end(now) > now {
            return None;
        }
        let (person, _, held) = self.longest()?;
        let (person, number) = (person.clone(), held.number);
        let state = self.people.get_mut(&person)?;
        state.held.iter_mut().find(|held| held.number == number)?.ends = true;
        Some(number)
    }

    /// The number of slots.
    pub(super) fn slots(&self) -> usize {
        self.bounds.slots
    }

    /// Changes the number of slots; running replies keep theirs. Call [`Self::call`] after it.
    pub(super) fn set_slots(&mut self, slots: usize) {
        self.bounds.slots = slots;
    }

    /// How long a request waits after its person's last slot.
    pub(super) fn patience(&self) -> Duration {
        self.bounds.patience
    }

    /// The number of waiting people.
    pub(super) fn people(&self) -> usize {
        self.order.len()
    }

    /// The number of waiting requests.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.count
    }

    /// The number of held slots.
    pub(super) fn held(&self) -> usize {
        self.held
    }
}

/// The time `by` after `at`; a year after `at` if the clock cannot represent that.
fn later(at: Instant, by: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    at.checked_add(by).or_else(|| at.checked_add(YEAR)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
