//! Destinations whose path takes no segmented send.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::device::lock;

/// Most destinations that are remembered; the oldest is tried again first.
const MAX: usize = 1024;

/// A set of addresses, mostly empty, which costs nothing then.
#[derive(Default)]
pub(crate) struct Refused {
    count: AtomicUsize,
    addresses: Mutex<VecDeque<SocketAddr>>,
}

impl Refused {
    pub(crate) fn contains(&self, address: SocketAddr) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && lock(&self.addresses).contains(&address)
    }

    /// Adds an address. Says whether it is new.
    pub(crate) fn insert(&self, address: SocketAddr) -> bool {
        let mut addresses = lock(&self.addresses);
        if addresses.contains(&address) {
            return false;
        }
        if addresses.len() >= MAX {
            addresses.pop_front();
        }
        addresses.push_back(address);
        self.count.store(addresses.len(), Ordering::Relaxed);
        true
    }

    /// Forgets an address: the way there is another one now.
    pub(crate) fn remove(&self, address: SocketAddr) {
        if self.count.load(Ordering::Relaxed) > 0 {
            let mut addresses = lock(&self.addresses);
            addresses.retain(|other| *other != address);
            self.count.store(addresses.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_refused_until_it_is_forgotten_and_the_oldest_goes_first() {
        let refused = Refused::default();
        let address = |port: usize| SocketAddr::from(([192, 0, 2, 1], port as u16));
        assert!(!refused.contains(address(1)));
        assert!(refused.insert(address(1)) && !refused.insert(address(1)));
        assert!(refused.contains(address(1)) && !refused.contains(address(2)));
        refused.remove(address(1));
        assert!(!refused.contains(address(1)));
        (0..=MAX).for_each(|port| assert!(refused.insert(address(port))));
        assert!(!refused.contains(address(0)) && refused.contains(address(MAX)));
    }
}
