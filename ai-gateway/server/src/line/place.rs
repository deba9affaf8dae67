//! A line in which tasks wait.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    select,
    sync::oneshot::{self, error::TryRecvError},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    pace::Pace,
    turns::{Bounds, Full, Look, Number, Turns},
};

/// A line before some slots. A clone is the same line.
#[derive(Debug)]
pub struct Line<K> {
    shared: Arc<Mutex<Shared<K>>>,
}

#[derive(Debug)]
struct Shared<K> {
    turns: Turns<K>,
    /// How those who wait are called.
    calls: HashMap<Number, oneshot::Sender<()>>,
    /// How those who hold a slot are told that they have to end.
    ends: HashMap<Number, CancellationToken>,
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
    entered: Instant,
    /// Until when it waits before something else will do as well.
    patient: Instant,
    /// Since when it has the slot.
    since: Option<Instant>,
    ends: CancellationToken,
}

/// No slot became free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no slot became free in time")]
pub struct Late;

impl<K> Clone for Line<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Clone + Eq + Hash> Line<K> {
    /// A line within these bounds.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let (calls, ends) = (HashMap::new(), HashMap::new());
        let shared = Shared { turns: Turns::new(bounds), calls, ends, pace: Pace::default() };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// Takes a place for a request of so many bytes.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn enter(&self, person: &K, bytes: usize) -> Result<Place<K>, Full> {
        let ends = CancellationToken::new();
        let (number, call) = lock(&self.shared).enter(person, bytes, ends.clone())?;
        Ok(self.place(person, number, Some(call), ends))
    }

    /// Takes a slot for a request of so many bytes, if one is free for this person; by `ends` it is told when it has to be
    /// given back.
    #[must_use]
    pub fn take_free(&self, person: &K, bytes: usize, ends: CancellationToken) -> Option<Place<K>> {
        let number = {
            let mut shared = lock(&self.shared);
            if !shared.turns.is_free_for(person) {
                return None;
            }
            // Nobody who waits is before this one, so it gets the slot.
            shared.enter(person, bytes, ends.clone()).ok()?.0
        };
        Some(self.place(person, number, None, ends))
    }

    /// A place whose turn is called for, or has come.
    fn place(
        &self,
        person: &K,
        number: Number,
        call: Option<oneshot::Receiver<()>>,
        ends: CancellationToken,
    ) -> Place<K> {
        let entered = Instant::now();
        let since = call.is_none().then_some(entered);
        let patient = entered + lock(&self.shared).turns.patience();
        let (shared, person) = (Arc::clone(&self.shared), person.clone());
        Place { shared, person, number, call, entered, patient, since, ends }
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
    /// Waits for the slot; `None` once it has it. Once it has waited for as long as requests do, before a reply has to end for
    /// it, and before it is too late, it looks for something `instead`: where there is that, it is returned, and the place is
    /// to be dropped. Dropping the future keeps the
    /// place; once it has the slot, asking again returns at once.
    ///
    /// # Errors
    ///
    /// [`Late`]; then drop the place.
    pub async fn turn<T>(&mut self, instead: impl Fn() -> Option<T>) -> Result<Option<T>, Late> {
        let Some(call) = &mut self.call else {
            return Ok(None);
        };
        // The caller goes away with the place only.
        while matches!(call.try_recv(), Err(TryRecvError::Empty)) {
            let now = Instant::now();
            let entered = self.entered.into_std();
            let look = lock(&self.shared).turns.look(&self.person, entered, now.into_std());
            let waits = matches!(look, Look::Wait(_)) && now < self.patient;
            if !waits && let Some(instead) = instead() {
                return Ok(Some(instead));
            }
            let next = match look {
                Look::Wait(next) if waits => self.patient.min(next.into()),
                Look::Wait(next) => next.into(),
                Look::Owed => {
                    lock(&self.shared).end_one(now.into_std());
                    continue;
                }
                Look::Late => return Err(Late),
            };
            select! {
                biased;
                _ = &mut *call => break,
                () = sleep_until(next) => {}
            }
        }
        self.call = None;
        self.since = Some(Instant::now());
        Ok(None)
    }

    /// Tells when the slot has to be given back, because others wait for one.
    #[must_use]
    pub fn ends(&self) -> &CancellationToken {
        &self.ends
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
        shared.ends.remove(&self.number);
        if let Some(since) = self.since {
            shared.pace.take(since.elapsed());
        }
        shared.turns.leave(&self.person, self.number, Instant::now().into_std());
        shared.call();
    }
}

impl<K: Clone + Eq + Hash> Shared<K> {
    /// Takes a place, and calls it if it is its turn.
    fn enter(
        &mut self,
        person: &K,
        bytes: usize,
        ends: CancellationToken,
    ) -> Result<(Number, oneshot::Receiver<()>), Full> {
        let number = self.turns.enter(person, bytes, Instant::now().into_std())?;
        let (caller, call) = oneshot::channel();
        self.calls.insert(number, caller);
        self.ends.insert(number, ends);
        self.call();
        Ok((number, call))
    }

    fn takes(&self, turns: impl FnOnce(Waiting) -> usize) -> Option<Duration> {
        let (all, people) = (self.turns.waiting(), self.turns.people());
        self.pace.of(turns(Waiting { all, people }), self.turns.slots())
    }

    /// Calls those whose turn it is.
    fn call(&mut self) {
        while let Some(number) = self.turns.call(Instant::now().into_std()) {
            // Whoever does not hear it any more is about to drop the place, and with it the slot.
            let _ = self.calls.remove(&number).map(|caller| caller.send(()));
        }
    }

    /// Tells a reply that it has to end, if one still has to.
    fn end_one(&mut self, now: std::time::Instant) {
        if let Some(ends) = self.turns.end_one(now).and_then(|number| self.ends.get(&number)) {
            ends.cancel();
        }
    }
}

fn lock<K>(shared: &Mutex<Shared<K>>) -> MutexGuard<'_, Shared<K>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
