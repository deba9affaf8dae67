//! Destinations for which segmented sends fail.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::sys::lock;

/// Most destinations; the oldest is evicted.
const MAX: usize = 64;
/// A destination is tried again after this time, for which the kernel caches a path MTU.
const LIFE: Duration = Duration::from_secs(10 * 60);

/// A set of addresses, cheap while empty.
#[derive(Default)]
pub(crate) struct RefusedDestinations {
    count: AtomicUsize,
    /// How often one was added.
    times: AtomicU64,
    addresses: Mutex<VecDeque<(SocketAddr, Instant)>>,
}

impl RefusedDestinations {
    pub(crate) fn contains(&self, address: SocketAddr) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && self.knows(address, Instant::now())
    }

    fn knows(&self, address: SocketAddr, now: Instant) -> bool {
        let is_it = |(other, since): &(SocketAddr, Instant)| {
            *other == address && now.saturating_duration_since(*since) < LIFE
        };
        lock(&self.addresses).iter().any(is_it)
    }

    /// Adds an address that was refused at `now`. Returns whether it is the only one.
    pub(crate) fn insert(&self, address: SocketAddr, now: Instant) -> bool {
        self.times.fetch_add(1, Ordering::Relaxed);
        let mut addresses = lock(&self.addresses);
        addresses.retain(|(other, _)| *other != address);
        if addresses.len() >= MAX {
            addresses.pop_front();
        }
        addresses.push_back((address, now));
        self.count.store(addresses.len(), Ordering::Relaxed);
        addresses.len() == 1
    }

    /// How often an address was added.
    pub(crate) fn times(&self) -> u64 {
        self.times.load(Ordering::Relaxed)
    }

    /// Removes an address, whose path has changed.
    pub(crate) fn remove(&self, address: SocketAddr) {
        if self.count.load(Ordering::Relaxed) > 0 {
            let mut addresses = lock(&self.addresses);
            addresses.retain(|(other, _)| *other != address);
            self.count.store(addresses.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_refused_until_it_is_forgotten_and_the_oldest_goes_first() {
        let refused = RefusedDestinations::default();
        let address = |port: usize| SocketAddr::from(([192, 0, 2, 1], port as u16));
        let now = Instant::now();
        assert!(!refused.contains(address(1)));
        assert!(refused.insert(address(1), now) && refused.insert(address(1), now));
        assert!(refused.contains(address(1)) && !refused.contains(address(2)));
        refused.remove(address(1));
        assert!(!refused.contains(address(1)));
        let only: Vec<_> = (0..=MAX).filter(|port| refused.insert(address(*port), now)).collect();
        assert_eq!(only, [0]);
        assert!(!refused.contains(address(0)) && refused.contains(address(MAX)));
    }

    #[test]
    fn an_address_is_tried_again_after_a_while_and_refused_anew() {
        let refused = RefusedDestinations::default();
        let (address, start) = (SocketAddr::from(([192, 0, 2, 1], 1)), Instant::now());
        refused.insert(address, start);
        assert!(refused.knows(address, start + LIFE / 2));
        assert!(!refused.knows(address, start + LIFE));
        refused.insert(address, start + LIFE);
        assert!(refused.knows(address, start + LIFE));
    }
}
