//! A bounded set of connections that evicts old ones.
//!
//! Anybody can open connections before they authenticate, so new ones are not refused: an old one is evicted. An honest
//! client authenticates before its turn comes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// Connections by origin (`K`), in their order. A clone shares them.
#[derive(Clone, Debug)]
pub struct EvictionQueue<K> {
    total: usize,
    each: usize,
    policy: EvictionPolicy,
    queue: Arc<Mutex<Queue<K>>>,
}

/// Which connection is evicted when there are too many in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// The oldest.
    Oldest,
    /// The oldest of the origin with the most connections, so that few origins cannot keep others out.
    OldestOfLargest,
}

/// Connections by sequence number.
#[derive(Debug)]
struct Queue<K> {
    next: u64,
    all: BTreeMap<u64, (Option<K>, CancellationToken)>,
    by: HashMap<K, BTreeSet<u64>>,
}

/// A connection in the queue, until it is dropped.
#[derive(Debug)]
pub struct Entry<K: Copy + Eq + Hash> {
    queue: EvictionQueue<K>,
    number: u64,
    evicted: CancellationToken,
}

impl<K: Copy + Eq + Hash> EvictionQueue<K> {
    /// Holds at most `total` connections, `each` of one origin.
    #[must_use]
    pub fn new(total: usize, each: usize, policy: EvictionPolicy) -> Self {
        let queue = Queue { next: 0, all: BTreeMap::new(), by: HashMap::new() };
        Self { total, each, policy, queue: Arc::new(Mutex::new(queue)) }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<K>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection. Evicts the oldest of the same origin if that has too many, or one by the policy if there are too
    /// many in all. The origin behind a proxy is not known yet.
    #[must_use]
    pub fn enter(&self, origin: Option<K>) -> Entry<K> {
        let mut queue = self.queue();
        let own = origin.and_then(|origin| queue.by.get(&origin));
        let evicted = match own {
            Some(own) if own.len() >= self.each => own.first().copied(),
            Some(_) | None if queue.all.len() >= self.total => queue.oldest(self.policy),
            Some(_) | None => None,
        };
        if let Some(oldest) = evicted.and_then(|number| queue.remove(number)) {
            oldest.cancel();
        }
        let (number, evicted) = (queue.next, CancellationToken::new());
        queue.next += 1;
        queue.all.insert(number, (origin, evicted.clone()));
        if let Some(origin) = origin {
            queue.by.entry(origin).or_default().insert(number);
        }
        Entry { queue: self.clone(), number, evicted }
    }
}

impl<K: Copy + Eq + Hash> Queue<K> {
    fn oldest(&self, policy: EvictionPolicy) -> Option<u64> {
        let first = |own: &BTreeSet<u64>| own.first().copied();
        let of_all = self.all.keys().next().copied();
        match policy {
            EvictionPolicy::Oldest => of_all,
            EvictionPolicy::OldestOfLargest => {
                let most = self.by.values().max_by_key(|own| (own.len(), Reverse(first(own))));
                most.and_then(first).or(of_all)
            }
        }
    }

    fn remove(&mut self, number: u64) -> Option<CancellationToken> {
        let (origin, evicted) = self.all.remove(&number)?;
        if let Some(origin) = origin
            && let Some(own) = self.by.get_mut(&origin)
        {
            own.remove(&number);
            if own.is_empty() {
                self.by.remove(&origin);
            }
        }
        Some(evicted)
    }
}

impl<K: Copy + Eq + Hash> Entry<K> {
    /// Takes the connection out of the queue: it is not evicted any more.
    pub fn keep(&self) {
        self.queue.queue().remove(self.number);
    }

    /// Cancelled when the connection is evicted.
    pub(crate) fn token(&self) -> CancellationToken {
        self.evicted.clone()
    }

    /// Waits until the connection is evicted.
    pub async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl<K: Copy + Eq + Hash> Drop for Entry<K> {
    fn drop(&mut self) {
        self.queue.queue().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn origin(byte: u8) -> Option<IpAddr> {
        Some([10, 0, 0, byte].into())
    }

    #[test]
    fn the_oldest_of_a_crowd_gives_way_and_nobody_elses() {
        let newcomers = EvictionQueue::new(4, 2, EvictionPolicy::Oldest);
        let pushed = |place: &Entry<IpAddr>| place.evicted.is_cancelled();
        let other = newcomers.enter(origin(2));

        let crowd: Vec<_> = (0..5).map(|_| newcomers.enter(origin(1))).collect();

        assert_eq!(crowd.iter().map(pushed).collect::<Vec<_>>(), [true, true, true, false, false]);
        assert!(!pushed(&other));
        let third = newcomers.enter(origin(3));
        assert!(!pushed(&other) && !pushed(&third));
        let behind = newcomers.enter(None);
        assert!(pushed(&other), "there are too many in all, and it is the oldest");
        drop((crowd, other, third, behind));
        let queue = newcomers.queue();
        assert!(queue.all.is_empty() && queue.by.is_empty());
    }

    #[test]
    fn who_is_known_does_not_give_way() {
        let newcomers = EvictionQueue::new(4, 2, EvictionPolicy::Oldest);
        let known = newcomers.enter(origin(1));

        known.keep();

        let crowd: Vec<_> = (0..3).map(|_| newcomers.enter(origin(1))).collect();
        assert!(crowd[0].evicted.is_cancelled() && !known.evicted.is_cancelled());
        drop((known, crowd));
        assert!(newcomers.queue().all.is_empty() && newcomers.queue().by.is_empty());
    }

    #[test]
    fn who_comes_from_few_origins_keeps_nobody_else_out() {
        let strangers = EvictionQueue::new(4, 2, EvictionPolicy::OldestOfLargest);
        let pushed = |place: &Entry<IpAddr>| place.evicted.is_cancelled();
        let alone = strangers.enter(origin(1));
        let crowd: Vec<_> = (0..3).map(|number| strangers.enter(origin(2 + number / 2))).collect();

        let new = strangers.enter(origin(9));
        let other = strangers.enter(origin(10));

        assert_eq!(crowd.iter().map(pushed).collect::<Vec<_>>(), [true, false, false]);
        assert!(!pushed(&new) && !pushed(&other));
        assert!(pushed(&alone), "nobody has more than one, and it is the oldest");
    }
}
