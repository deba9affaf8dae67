//! Connections of whom nothing is known yet.
//!
//! Anybody can open one, so nobody is refused: where there are too many, an old one gives way. Who has something to say
//! has said it before others can push it out.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// The connections of whom nothing is known yet, by where they come from. A clone counts the same ones.
#[derive(Clone, Debug)]
pub struct EvictionQueue<K> {
    total: usize,
    each: usize,
    gives_way: EvictionPolicy,
    queue: Arc<Mutex<Queue<K>>>,
}

/// What gives way where there are too many in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// The oldest.
    Oldest,
    /// The oldest of the origin that has most: who comes from few origins keeps nobody else out.
    OldestOfLargest,
}

/// By the number under which they came: the lowest is the oldest.
#[derive(Debug)]
struct Queue<K> {
    next: u64,
    all: BTreeMap<u64, (Option<K>, CancellationToken)>,
    by: HashMap<K, BTreeSet<u64>>,
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub struct Entry<K: Copy + Eq + Hash> {
    newcomers: EvictionQueue<K>,
    number: u64,
    pushed: CancellationToken,
}

impl<K: Copy + Eq + Hash> EvictionQueue<K> {
    /// At most `total`, and `each` of one origin.
    #[must_use]
    pub fn new(total: usize, each: usize, gives_way: EvictionPolicy) -> Self {
        let queue = Queue { next: 0, all: BTreeMap::new(), by: HashMap::new() };
        Self { total, each, gives_way, queue: Arc::new(Mutex::new(queue)) }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<K>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one more; pushes out the oldest of the same origin if that has too many, or who gives way if all are too
    /// many. The origin of what a proxy passes on is not known yet.
    #[must_use]
    pub fn enter(&self, origin: Option<K>) -> Entry<K> {
        let mut queue = self.queue();
        let own = origin.and_then(|origin| queue.by.get(&origin));
        let gives_way = match own {
            Some(own) if own.len() >= self.each => own.first().copied(),
            Some(_) | None if queue.all.len() >= self.total => queue.oldest(self.gives_way),
            Some(_) | None => None,
        };
        if let Some(oldest) = gives_way.and_then(|number| queue.remove(number)) {
            oldest.cancel();
        }
        let (number, pushed) = (queue.next, CancellationToken::new());
        queue.next += 1;
        queue.all.insert(number, (origin, pushed.clone()));
        if let Some(origin) = origin {
            queue.by.entry(origin).or_default().insert(number);
        }
        Entry { newcomers: self.clone(), number, pushed }
    }
}

impl<K: Copy + Eq + Hash> Queue<K> {
    /// The one that gives way where there are too many in all.
    fn oldest(&self, gives_way: EvictionPolicy) -> Option<u64> {
        let first = |own: &BTreeSet<u64>| own.first().copied();
        let of_all = self.all.keys().next().copied();
        match gives_way {
            EvictionPolicy::Oldest => of_all,
            EvictionPolicy::OldestOfLargest => {
                let most = self.by.values().max_by_key(|own| (own.len(), Reverse(first(own))));
                most.and_then(first).or(of_all)
            }
        }
    }

    fn remove(&mut self, number: u64) -> Option<CancellationToken> {
        let (origin, pushed) = self.all.remove(&number)?;
        if let Some(origin) = origin
            && let Some(own) = self.by.get_mut(&origin)
        {
            own.remove(&number);
            if own.is_empty() {
                self.by.remove(&origin);
            }
        }
        Some(pushed)
    }
}

impl<K: Copy + Eq + Hash> Entry<K> {
    /// From now on it does not give way: it is known who calls.
    pub fn keep(&self) {
        self.newcomers.queue().remove(self.number);
    }

    /// Cancelled when the connection has to give way.
    pub(crate) fn pushed(&self) -> CancellationToken {
        self.pushed.clone()
    }

    /// Returns when the connection has to give way.
    pub async fn evicted(&self) {
        self.pushed.cancelled().await;
    }
}

impl<K: Copy + Eq + Hash> Drop for Entry<K> {
    fn drop(&mut self) {
        self.newcomers.queue().remove(self.number);
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
        let pushed = |place: &Entry<IpAddr>| place.pushed.is_cancelled();
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
        assert!(crowd[0].pushed.is_cancelled() && !known.pushed.is_cancelled());
        drop((known, crowd));
        assert!(newcomers.queue().all.is_empty() && newcomers.queue().by.is_empty());
    }

    #[test]
    fn who_comes_from_few_origins_keeps_nobody_else_out() {
        let strangers = EvictionQueue::new(4, 2, EvictionPolicy::OldestOfLargest);
        let pushed = |place: &Entry<IpAddr>| place.pushed.is_cancelled();
        let alone = strangers.enter(origin(1));
        let crowd: Vec<_> = (0..3).map(|number| strangers.enter(origin(2 + number / 2))).collect();

        let new = strangers.enter(origin(9));
        let other = strangers.enter(origin(10));

        assert_eq!(crowd.iter().map(pushed).collect::<Vec<_>>(), [true, false, false]);
        assert!(!pushed(&new) && !pushed(&other));
        assert!(pushed(&alone), "nobody has more than one, and it is the oldest");
    }
}
