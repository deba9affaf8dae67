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

use super::turns::{Bounds, Full, Number, Turns};

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
        let shared = Shared { turns: Turns::new(bounds), calls: HashMap::new() };
        Self { shared: Arc::new(Mutex::new(shared)), patience }
    }

    /// Takes a place for a request of so many bytes.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn enter(&self, person: &K, bytes: usize) -> Result<Place<K>, Full> {
        let mut shared = lock(&self.shared);
        let number = shared.turns.enter(person, bytes)?;
        let (caller, call) = oneshot::channel();
        shared.calls.insert(number, caller);
        shared.call();
        drop(shared);
        Ok(Place {
            shared: Arc::clone(&self.shared),
            person: person.clone(),
            number,
            call: Some(call),
            until: Instant::now() + self.patience,
        })
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.shared).turns.waiting()
    }

    /// How many hold a slot.
    #[must_use]
    pub fn held(&self) -> usize {
        lock(&self.shared).turns.held()
    }
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
        }
        Ok(())
    }
}

impl<K: Clone + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.calls.remove(&self.number);
        shared.turns.leave(&self.person, self.number);
        shared.call();
    }
}

impl<K: Clone + Eq + Hash> Shared<K> {
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
