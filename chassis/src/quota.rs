//! Quotas: limits in all and for each holder.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts units, such as connections, by holder. A clone shares the counts.
#[derive(Debug)]
pub struct Quota<K> {
    total: usize,
    each: usize,
    held: Arc<Mutex<Usage<K>>>,
}

#[derive(Debug)]
struct Usage<K> {
    all: usize,
    /// Holders of at least one unit.
    by: HashMap<K, usize>,
}

/// The holder for an address: the address itself, or its /64 network for IPv6, which one customer has.
#[must_use]
pub fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// A limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    /// The limit in all.
    #[error("too many in all")]
    Total,
    /// The limit of one holder.
    #[error("too many of one holder")]
    Each,
}

/// The right to hold units, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Permit<K: Eq + Hash> {
    quota: Quota<K>,
    holder: K,
    count: usize,
}

impl<K> Clone for Quota<K> {
    fn clone(&self) -> Self {
        Self { held: Arc::clone(&self.held), ..*self }
    }
}

impl<K> Quota<K> {
    fn lock(&self) -> MutexGuard<'_, Usage<K>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Quota<K> {
    /// Limits units to `total`, and to `each` for one holder.
    #[must_use]
    pub fn new(total: usize, each: usize) -> Self {
        Self { total, each, held: Arc::new(Mutex::new(Usage { all: 0, by: HashMap::new() })) }
    }

    /// Whether `holder` may not take one more unit.
    #[must_use]
    pub fn is_full(&self, holder: &K) -> bool {
        self.check(&self.lock(), holder, 1).is_err()
    }

    /// Number of holders.
    #[must_use]
    pub fn holders(&self) -> usize {
        self.lock().by.len()
    }

    fn check(&self, held: &Usage<K>, holder: &K, more: usize) -> Result<(), Exceeded> {
        if held.all.saturating_add(more) > self.total {
            return Err(Exceeded::Total);
        }
        if held.by.get(holder).copied().unwrap_or(0).saturating_add(more) > self.each {
            return Err(Exceeded::Each);
        }
        Ok(())
    }
}

impl<K: Clone + Eq + Hash> Quota<K> {
    /// Takes a unit.
    ///
    /// # Errors
    ///
    /// [`Exceeded`]; nothing is counted.
    pub fn take(&self, holder: K) -> Result<Permit<K>, Exceeded> {
        let mut permit = Permit { quota: self.clone(), holder, count: 0 };
        permit.add(1)?;
        Ok(permit)
    }
}

impl<K: Clone + Eq + Hash> Permit<K> {
    /// Takes `more` units for the same holder.
    ///
    /// # Errors
    ///
    /// [`Exceeded`]; the permit is unchanged.
    pub fn add(&mut self, more: usize) -> Result<(), Exceeded> {
        let mut held = self.quota.lock();
        self.quota.check(&held, &self.holder, more)?;
        held.all += more;
        *held.by.entry(self.holder.clone()).or_default() += more;
        self.count += more;
        Ok(())
    }

    /// Number of units.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

impl<K: Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut held = self.quota.lock();
        held.all = held.all.saturating_sub(self.count);
        if let Some(own) = held.by.get_mut(&self.holder) {
            *own = own.saturating_sub(self.count);
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

    #[test]
    fn what_grows_stays_within_both_bounds() {
        let quota = Quota::new(10, 6);
        let (mut a, mut b) = (quota.take("a").unwrap(), quota.take("b").unwrap());
        assert_eq!(a.add(6), Err(Exceeded::Each));
        assert_eq!((a.add(5), a.count()), (Ok(()), 6));
        assert_eq!(b.add(4), Err(Exceeded::Total));
        assert_eq!(b.add(usize::MAX), Err(Exceeded::Total));
        assert_eq!((b.add(3), b.count()), (Ok(()), 4), "what failed counted nothing");
        drop(a);
        assert_eq!(b.add(2), Ok(()));
        drop(b);
        assert_eq!(quota.holders(), 0);
        assert!(quota.take("c").unwrap().add(5).is_ok(), "all was given back");
    }
}
