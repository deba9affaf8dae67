//! A line in which tasks wait.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{
    pace::Pace,
    turns::{Bounds, Full, Number, Turns},
};

/// A line before some slots. A clone is the same line.
#[derive(Debug)]
pub struct Line<K> {
    shared: Arc<Mutex<Shared<K>>>,
    patience: Duration,
}

#[derive(Debug)]
struct Shared<K> {
    turns: Turns<K>,
    /// How those who wait are called.
    calls: HashMap<Number, oneshot::Sender<()>>,
    /// For how long slots are held.
    pace: Pace,
}

/// A line as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InLine {
    /// How many wait.
    pub waiting: usize,
    /// How many hold a slot.
    pub running: usize,
    /// How many slots there are.
    pub slots: usize,
}

/// A place in a line, then a slot; dropping it gives back either.
#[derive(Debug)]
#[must_use]
pub struct Place<K: Clone + Eq + Hash> {
    shared: Arc<Mutex<Shared<K>>>,
    person: K,
    number: Number,
    /// Until the turn has come.
    call: Option<oneshot::Receiver<()>>,
    until: Instant,
    /// Since when it has the slot.
    since: Option<Instant>,
}

/// No slot became free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no slot became free in time")]
pub struct Late;

impl<K> Clone for Line<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), patience: self.patience }
    }
}

impl<K: Clone + Eq + Hash> Line<K> {
    /// A line in which one waits for `patience` at most.
    #[must_use]
    pub fn new(bounds: Bounds, patience: Duration) -> Self {
        let shared =
            Shared { turns: Turns::new(bounds), calls: HashMap::new(), pace: Pace::default() };
        Self { shared: Arc::new(Mutex::new(shared)), patience }
    }

    /// Takes a place for a request of so many bytes.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn enter(&self, person: &K, bytes: usize) -> Result<Place<K>, Full> {
        let (number, call) = lock(&self.shared).enter(person, bytes)?;
        Ok(self.place(person, number, Some(call)))
    }

    /// Takes a slot for a request of so many bytes, if one is free.
    #[must_use]
    pub fn take_free(&self, person: &K, bytes: usize) -> Option<Place<K>> {
        let number = {
            let mut shared = lock(&self.shared);
            if shared.turns.held() >= shared.turns.slots() {
                return None;
            }
            // Nobody waits while a slot is free, so this one gets it.
            shared.enter(person, bytes).ok()?.0
        };
        Some(self.place(person, number, None))
    }

    /// A place whose turn is called for, or has come.
    fn place(&self, person: &K, number: Number, call: Option<oneshot::Receiver<()>>) -> Place<K> {
        let now = Instant::now();
        let since = call.is_none().then_some(now);
        Place {
            shared: Arc::clone(&self.shared),
            person: person.clone(),
            number,
            call,
            until: now + self.patience,
            since,
        }
    }

    /// Changes how many slots there are; replies under way keep theirs.
    pub fn set_slots(&self, slots: usize) {
        let mut shared = lock(&self.shared);
        shared.turns.set_slots(slots);
        shared.call();
    }

    /// How it is now.
    #[must_use]
    pub fn state(&self) -> InLine {
        let turns = &lock(&self.shared).turns;
        InLine { waiting: turns.waiting(), running: turns.held(), slots: turns.slots() }
    }

    /// About how long it takes until so many of those who wait have had their turn; none while nothing is known of it.
    #[must_use]
    pub fn takes(&self, turns: impl FnOnce(Waiting) -> usize) -> Option<Duration> {
        lock(&self.shared).takes(turns)
    }
}

/// Who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How many requests.
    pub all: usize,
    /// Of how many people.
    pub people: usize,
}

impl<K: Clone + Eq + Hash> Place<K> {
    /// Waits for the slot. Dropping the future keeps the place; once it has the slot, asking again returns at once.
    ///
    /// # Errors
    ///
    /// [`Late`]; then drop the place.
    pub async fn turn(&mut self) -> Result<(), Late> {
        if let Some(call) = &mut self.call {
            // The caller goes away with the place only.
            let _ = timeout_at(self.until, call).await.map_err(|_| Late)?;
            self.call = None;
            self.since = Some(Instant::now());
        }
        Ok(())
    }

    /// As [`Line::takes`].
    #[must_use]
    pub fn takes(&self, turns: impl FnOnce(Waiting) -> usize) -> Option<Duration> {
        lock(&self.shared).takes(turns)
    }
}

impl<K: Clone + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.calls.remove(&self.number);
        if let Some(since) = self.since {
            shared.pace.take(since.elapsed());
        }
        shared.turns.leave(&self.person, self.number);
        shared.call();
    }
}

impl<K: Clone + Eq + Hash> Shared<K> {
    /// Takes a place, and calls it if it is its turn.
    fn enter(&mut self, person: &K, bytes: usize) -> Result<(Number, oneshot::Receiver<()>), Full> {
        let number = self.turns.enter(person, bytes)?;
        let (caller, call) = oneshot::channel();
        self.calls.insert(number, caller);
        self.call();
        Ok((number, call))
    }

    fn takes(&self, turns: impl FnOnce(Waiting) -> usize) -> Option<Duration> {
        let (all, people) = (self.turns.waiting(), self.turns.people());
        self.pace.of(turns(Waiting { all, people }), self.turns.slots())
    }

    /// Calls those whose turn it is.
    fn call(&mut self) {
        while let Some(number) = self.turns.call() {
            // Whoever does not hear it any more is about to drop the place, and with it the slot.
            let _ = self.calls.remove(&number).map(|caller| caller.send(()));
        }
    }
}

fn lock<K>(shared: &Mutex<Shared<K>>) -> MutexGuard<'_, Shared<K>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
