//! How much may be held at once: in all, and by each holder.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts what is held, such as connections, by who holds it. There are never more holders than may be held in all.
///
/// A clone counts the same things.
#[derive(Debug)]
pub struct Quota<K> {
    total: usize,
    each: usize,
    held: Arc<Mutex<Held<K>>>,
}

#[derive(Debug)]
struct Held<K> {
    all: usize,
    /// Who holds any.
    by: HashMap<K, usize>,
}

/// One more is too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// All together hold as many as they may.
    #[error("too many in all")]
    Total,
    /// This holder has as many as one may.
    #[error("too many of one holder")]
    Each,
}

/// The right to hold one; given back when dropped.
#[derive(Debug)]
#[must_use]
pub struct Permit<K: Eq + Hash> {
    quota: Quota<K>,
    holder: K,
}

impl<K> Clone for Quota<K> {
    fn clone(&self) -> Self {
        Self { held: Arc::clone(&self.held), ..*self }
    }
}

impl<K> Quota<K> {
    fn lock(&self) -> MutexGuard<'_, Held<K>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Quota<K> {
    /// `total` may be held, `each` by one holder.
    #[must_use]
    pub fn new(total: usize, each: usize) -> Self {
        Self { total, each, held: Arc::new(Mutex::new(Held { all: 0, by: HashMap::new() })) }
    }

    /// Whether `holder` may not hold one more.
    #[must_use]
    pub fn is_full(&self, holder: &K) -> bool {
        self.check(&self.lock(), holder).is_err()
    }

    /// How many hold any.
    #[must_use]
    pub fn holders(&self) -> usize {
        self.lock().by.len()
    }

    fn check(&self, held: &Held<K>, holder: &K) -> Result<(), Exceeded> {
        if held.all >= self.total {
            return Err(Exceeded::Total);
        }
        if held.by.get(holder).copied().unwrap_or(0) >= self.each {
            return Err(Exceeded::Each);
        }
        Ok(())
    }
}

impl<K: Clone + Eq + Hash> Quota<K> {
    /// Counts one more of `holder`'s.
    ///
    /// # Errors
    ///
    /// [`Exceeded`]; then nothing is counted.
    pub fn take(&self, holder: K) -> Result<Permit<K>, Exceeded> {
        let mut held = self.lock();
        self.check(&held, &holder)?;
        held.all += 1;
        *held.by.entry(holder.clone()).or_default() += 1;
        Ok(Permit { quota: self.clone(), holder })
    }
}

impl<K: Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut held = self.quota.lock();
        held.all = held.all.saturating_sub(1);
        if let Some(own) = held.by.get_mut(&self.holder) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                held.by.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_everything_and_what_is_dropped_is_given_back() {
        let quota = Quota::new(3, 2);
        let held = [quota.take("a").unwrap(), quota.take("a").unwrap()];
        assert_eq!(quota.take("a").unwrap_err(), Exceeded::Each);
        assert!(quota.is_full(&"a") && !quota.is_full(&"b"));
        let other = quota.clone().take("b").unwrap();
        assert_eq!(quota.take("c").unwrap_err(), Exceeded::Total);
        assert_eq!(quota.take("a").unwrap_err(), Exceeded::Total, "there is room for nobody");
        drop(held);
        let again = quota.take("a").unwrap();
        assert_eq!(quota.holders(), 2);
        drop((other, again));
        assert_eq!(quota.holders(), 0, "who holds nothing is forgotten");
        let taken = [(); 3].map(|()| quota.take("d"));
        assert_eq!(taken.each_ref().map(Result::is_ok), [true, true, false]);
    }
}
