//! A queue in which tasks wait for slots.

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
    scheduler::{EntryId, QueueFull, QueueLimits, Scheduler, WaitDecision},
    service_time::ServiceTime,
};

/// A queue before some slots. A clone is the same queue.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    shared: Arc<Mutex<Shared<K>>>,
}

#[derive(Debug)]
struct Shared<K> {
    scheduler: Scheduler<K>,
    /// Wakes waiting entries.
    calls: HashMap<EntryId, oneshot::Sender<()>>,
    /// Tells holders of a slot to give it back.
    preempted: HashMap<EntryId, CancellationToken>,
    /// How long slots are held.
    service_time: ServiceTime,
}

/// The current state of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueState {
    pub(crate) waiting: usize,
    pub(crate) running: usize,
    pub(crate) slots: usize,
}

/// A place in a queue, then a slot; dropping it gives back either.
#[derive(Debug)]
#[must_use]
pub(crate) struct QueueEntry<K: Clone + Eq + Hash> {
    shared: Arc<Mutex<Shared<K>>>,
    person: K,
    number: EntryId,
    /// `None` once the slot is assigned.
    call: Option<oneshot::Receiver<()>>,
    entered: Instant,
    /// When it starts to accept an alternative.
    patient: Instant,
    /// Since when it has the slot.
    since: Option<Instant>,
    preempted: CancellationToken,
}

/// No slot became free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no slot became free in time")]
pub(crate) struct WaitTimeout;

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// A queue with these limits.
    #[must_use]
    pub(crate) fn new(bounds: QueueLimits) -> Self {
        let (calls, preempted) = (HashMap::new(), HashMap::new());
        let shared = Shared {
            scheduler: Scheduler::new(bounds),
            calls,
            preempted,
            service_time: ServiceTime::default(),
        };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// Takes a place for a request of so many bytes.
    pub(crate) fn enter(&self, person: &K, bytes: usize) -> Result<QueueEntry<K>, QueueFull> {
        let preempted = CancellationToken::new();
        let (number, call) = lock(&self.shared).enter(person, bytes, preempted.clone())?;
        Ok(self.entry(person, number, Some(call), preempted))
    }

    /// Takes a slot for a request of so many bytes, if one is free for this person. `preempted` is cancelled when the
    /// slot must be given back.
    #[must_use]
    pub(crate) fn take_free(
        &self,
        person: &K,
        bytes: usize,
        preempted: CancellationToken,
    ) -> Option<QueueEntry<K>> {
        let number = {
            let mut shared = lock(&self.shared);
            if !shared.scheduler.is_free_for(person) {
                return None;
            }
            // No waiting request comes before this one, so it gets the slot.
            shared.enter(person, bytes, preempted.clone()).ok()?.0
        };
        Some(self.entry(person, number, None, preempted))
    }

    /// An entry that waits for `call`, or has its slot.
    fn entry(
        &self,
        person: &K,
        number: EntryId,
        call: Option<oneshot::Receiver<()>>,
        preempted: CancellationToken,
    ) -> QueueEntry<K> {
        let entered = Instant::now();
        let since = call.is_none().then_some(entered);
        let patient = entered + lock(&self.shared).scheduler.patience();
        let (shared, person) = (Arc::clone(&self.shared), person.clone());
        QueueEntry { shared, person, number, call, entered, patient, since, preempted }
    }

    /// Changes the number of slots; running replies keep theirs.
    pub(crate) fn set_slots(&self, slots: usize) {
        let mut shared = lock(&self.shared);
        shared.scheduler.set_slots(slots);
        shared.call();
    }

    /// The current state.
    #[must_use]
    pub(crate) fn state(&self) -> QueueState {
        let scheduler = &lock(&self.shared).scheduler;
        QueueState {
            waiting: scheduler.waiting(),
            running: scheduler.held(),
            slots: scheduler.slots(),
        }
    }

    /// Estimates how long a number of replies takes, which is computed from the queue's length; `None` before the first
    /// reply has ended.
    #[must_use]
    pub(crate) fn estimated_wait(
        &self,
        replies: impl FnOnce(QueueLength) -> usize,
    ) -> Option<Duration> {
        lock(&self.shared).estimated_wait(replies)
    }
}

/// Waiting requests, and the people who sent them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueLength {
    pub(crate) all: usize,
    pub(crate) people: usize,
}

impl<K: Clone + Eq + Hash> QueueEntry<K> {
    /// Waits for the slot; returns `None` once it has it. After the patience of the settings, before another reply must
    /// end for it, and before its time is over, it calls `alternative` and returns the result, if there is one; the
    /// caller then drops the place. Dropping the future keeps the place; once it has the slot, further calls return at
    /// once.
    pub(crate) async fn acquire<T>(
        &mut self,
        alternative: impl Fn() -> Option<T>,
    ) -> Result<Option<T>, WaitTimeout> {
        let Some(call) = &mut self.call else {
            return Ok(None);
        };
        // The sender is dropped only together with the place.
        while matches!(call.try_recv(), Err(TryRecvError::Empty)) {
            let now = Instant::now();
            let entered = self.entered.into_std();
            let decision =
                lock(&self.shared).scheduler.decide(&self.person, entered, now.into_std());
            let waits = matches!(decision, WaitDecision::WaitUntil(_)) && now < self.patient;
            if !waits && let Some(alternative) = alternative() {
                return Ok(Some(alternative));
            }
            let next = match decision {
                WaitDecision::WaitUntil(next) if waits => self.patient.min(next.into()),
                WaitDecision::WaitUntil(next) => next.into(),
                WaitDecision::Preempt => {
                    lock(&self.shared).preempt_one(now.into_std());
                    continue;
                }
                WaitDecision::GiveUp => return Err(WaitTimeout),
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

    /// Cancelled when the slot must be given back because others wait for one.
    #[must_use]
    pub(crate) fn preempted(&self) -> &CancellationToken {
        &self.preempted
    }

    /// As [`Queue::estimated_wait`].
    #[must_use]
    pub(crate) fn estimated_wait(
        &self,
        replies: impl FnOnce(QueueLength) -> usize,
    ) -> Option<Duration> {
        lock(&self.shared).estimated_wait(replies)
    }
}

impl<K: Clone + Eq + Hash> Drop for QueueEntry<K> {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.calls.remove(&self.number);
        shared.preempted.remove(&self.number);
        if let Some(since) = self.since {
            shared.service_time.take(since.elapsed());
        }
        shared.scheduler.leave(&self.person, self.number, Instant::now().into_std());
        shared.call();
    }
}

impl<K: Clone + Eq + Hash> Shared<K> {
    /// Takes a place, and assigns a slot if one is free for it.
    fn enter(
        &mut self,
        person: &K,
        bytes: usize,
        preempted: CancellationToken,
    ) -> Result<(EntryId, oneshot::Receiver<()>), QueueFull> {
        let number = self.scheduler.enter(person, bytes, Instant::now().into_std())?;
        let (caller, call) = oneshot::channel();
        self.calls.insert(number, caller);
        self.preempted.insert(number, preempted);
        self.call();
        Ok((number, call))
    }

    fn estimated_wait(&self, replies: impl FnOnce(QueueLength) -> usize) -> Option<Duration> {
        let (all, people) = (self.scheduler.waiting(), self.scheduler.people());
        self.service_time.of(replies(QueueLength { all, people }), self.scheduler.slots())
    }

    /// Assigns free slots to the next requests.
    fn call(&mut self) {
        while let Some(number) = self.scheduler.call(Instant::now().into_std()) {
            // If the receiver is gone, its entry is being dropped, which frees the slot.
            let _ = self.calls.remove(&number).map(|caller| caller.send(()));
        }
    }

    /// Preempts a reply, if one still has to end.
    fn preempt_one(&mut self, now: std::time::Instant) {
        if let Some(preempted) =
            self.scheduler.preempt_one(now).and_then(|number| self.preempted.get(&number))
        {
            preempted.cancel();
        }
    }
}

fn lock<K>(shared: &Mutex<Shared<K>>) -> MutexGuard<'_, Shared<K>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
