//! Room for so many at once, shared fairly: in all, and for each of those who ask.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts what is held open, by who holds it.
#[derive(Clone, Debug)]
pub(crate) struct Places<K: Clone + Eq + Hash> {
    total: usize,
    each: usize,
    taken: Arc<Mutex<HashMap<K, usize>>>,
}

/// One place, taken until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<K: Clone + Eq + Hash> {
    places: Places<K>,
    who: K,
}

impl<K: Clone + Eq + Hash> Places<K> {
    /// So many places, so many of them for each.
    pub(crate) fn new(total: usize, each: usize) -> Self {
        Self { total, each, taken: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place; `None` if there is none left, or none for `who`.
    pub(crate) fn take(&self, who: K) -> Option<Place<K>> {
        let mut taken = self.lock();
        let own = taken.get(&who).copied().unwrap_or(0);
        if own >= self.each || taken.values().sum::<usize>() >= self.total {
            return None;
        }
        taken.insert(who.clone(), own + 1);
        Some(Place { places: self.clone(), who })
    }
}

impl<K: Clone + Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(own) = taken.get_mut(&self.who) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_every_place() {
        let places = Places::new(3, 2);
        let held = [places.take("a").unwrap(), places.take("a").unwrap()];
        assert!(places.take("a").is_none());
        let other = places.take("b").unwrap();
        assert!(places.take("c").is_none(), "there are three");
        drop(held);
        let again = places.take("a").unwrap();
        drop((other, again));
        assert!(places.lock().is_empty());
    }
}
