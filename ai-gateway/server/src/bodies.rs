//! A budget of memory for request bodies, reserved before a byte of a body is read. It bounds memory under attack,
//! which the tests `tests::bodies`, `tests::endless` and `tests::listeners` check; `bench gateway` shows only what it
//! costs.
//!
//! Bodies with images have megabytes, and anyone may send many at once. So the bytes that are read at a time are
//! bounded in total and for each person: by a fixed number, and by half of what others leave. A few slow senders
//! therefore cannot occupy everything: some memory is always left for one more person. A request that finds no memory
//! waits before its body is read; freed memory goes to the longest waiting request that fits. A reservation lasts until
//! the answer begins.
//!
//! Small bodies have a separate pool with the same rules, so that they do not wait for large ones. Bodies that come by
//! telmeet are counted apart from the same person's own, because telmeet's claim is not proven yet.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ai_gateway_api::settings::gateway::Limits;
use mesh_identity::Person;
use tokio::{sync::oneshot, time::timeout};

/// Longest small body, in bytes.
pub(crate) const SMALL: usize = 64 << 10;
/// Memory for small bodies, in bytes.
const SMALL_ONES: usize = 16 << 20;
/// The same for one person: one small body for each connection that a node may have.
const SMALL_ONES_OF_ONE: usize = 64 * SMALL;
/// Least reservation, in bytes.
const LEAST: usize = 1 << 10;
/// How long a request waits. A body must arrive within 30 seconds of its head.
const PATIENCE: Duration = Duration::from_secs(10);

/// The budget for bodies.
#[derive(Debug)]
pub(crate) struct BodyMemory {
    small: Arc<Mutex<Pool>>,
    large: Arc<Mutex<Pool>>,
    patience: Duration,
}

/// The person that a reservation counts against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// The sender is verified.
    Person(Person),
    /// telmeet claims this sender.
    Claimed(Person),
}

#[derive(Debug)]
struct Pool {
    /// Free bytes.
    free: usize,
    /// Most bytes of one person.
    each: usize,
    /// Bytes of each person who has any.
    people: HashMap<Holder, usize>,
    /// Waiting requests, in the order of arrival.
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    person: Holder,
    bytes: usize,
    sender: oneshot::Sender<Reservation>,
}

/// Reserved memory; released when dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Reservation {
    shared: Arc<Mutex<Pool>>,
    person: Holder,
    bytes: usize,
}

/// No memory became free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many large requests are being read")]
pub(crate) struct ReserveTimeout;

impl BodyMemory {
    /// A budget with these limits.
    #[must_use]
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            small: Pool::new(SMALL_ONES, SMALL_ONES_OF_ONE),
            large: Pool::new(limits.plain_bodies_bytes, limits.plain_bodies_bytes_per_person),
            patience: PATIENCE,
        }
    }

    /// Reserves memory for a body of so many bytes; for `most` bytes if the length is unknown or larger (it is refused
    /// while reading). A body larger than one person's share takes the whole share.
    pub(crate) async fn reserve(
        &self,
        holder: &Holder,
        bytes: Option<usize>,
        most: usize,
    ) -> Result<Reservation, ReserveTimeout> {
        let bytes = bytes.map_or(most, |bytes| bytes.min(most)).max(LEAST);
        let pool = if bytes <= SMALL { &self.small } else { &self.large };
        let receiver = {
            let mut shared = lock(pool);
            let bytes = bytes.min(shared.each);
            let (sender, receiver) = oneshot::channel();
            shared.waiting.push_back(Waiter { person: holder.clone(), bytes, sender });
            let granted = shared.grant(pool);
            drop(shared);
            deliver(granted);
            receiver
        };
        // Requests that stopped waiting are skipped.
        let reserved = timeout(self.patience, receiver).await.map_err(|_| ReserveTimeout)?;
        reserved.map_err(|_| ReserveTimeout)
    }

    /// Bytes that are free for large bodies.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        lock(&self.large).free
    }

    /// The same for small ones.
    #[cfg(test)]
    pub(crate) fn free_for_small(&self) -> usize {
        lock(&self.small).free
    }
}

impl Pool {
    fn new(free: usize, each: usize) -> Arc<Mutex<Self>> {
        let free = free.max(2);
        // At most half of the pool for one person.
        let each = each.clamp(1, free / 2);
        let (people, waiting) = (HashMap::new(), VecDeque::new());
        Arc::new(Mutex::new(Self { free, each, people, waiting }))
    }

    /// Whether a person may have so many bytes more.
    fn may_have(&self, person: &Holder, bytes: usize) -> bool {
        let own = self.people.get(person).copied().unwrap_or_default();
        own + bytes <= self.each.min((self.free + own) / 2)
    }

    /// Reserves free memory for waiting requests that fit. Deliver the reservations after the lock is released.
    fn grant(
        &mut self,
        shared: &Arc<Mutex<Self>>,
    ) -> Vec<(oneshot::Sender<Reservation>, Reservation)> {
        let mut granted = Vec::new();
        self.waiting.retain(|it| !it.sender.is_closed());
        for _ in 0..self.waiting.len() {
            let Some(first) = self.waiting.pop_front() else { break };
            if !self.may_have(&first.person, first.bytes) {
                self.waiting.push_back(first);
                continue;
            }
            let Waiter { person, bytes, sender } = first;
            self.free -= bytes;
            *self.people.entry(person.clone()).or_default() += bytes;
            granted.push((sender, Reservation { shared: Arc::clone(shared), person, bytes }));
        }
        granted
    }
}

/// Delivers reservations. One whose receiver is gone is released.
fn deliver(granted: Vec<(oneshot::Sender<Reservation>, Reservation)>) {
    for (sender, reservation) in granted {
        drop(sender.send(reservation));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.free += self.bytes;
        if let Some(own) = shared.people.get_mut(&self.person) {
            *own = own.saturating_sub(self.bytes);
            if *own == 0 {
                shared.people.remove(&self.person);
            }
        }
        let granted = shared.grant(&self.shared);
        drop(shared);
        deliver(granted);
    }
}

fn lock(shared: &Mutex<Pool>) -> MutexGuard<'_, Pool> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    const MEGABYTE: usize = 1 << 20;
    const MOST: usize = 20 * MEGABYTE;

    fn bodies() -> BodyMemory {
        BodyMemory::new(&Limits {
            plain_bodies_bytes: 8 * MEGABYTE,
            plain_bodies_bytes_per_person: 3 * MEGABYTE,
            ..Limits::default()
        })
    }

    fn user(id: u64) -> Holder {
        Holder::Person(Person::User(id))
    }

    fn now(bodies: &BodyMemory, holder: &Holder, bytes: Option<usize>) -> Option<Reservation> {
        bodies.reserve(holder, bytes, MOST).now_or_never()?.ok()
    }

    #[tokio::test]
    async fn one_person_waits_for_their_own_and_not_for_others() {
        let bodies = bodies();
        let (ada, bob) = (user(1), user(2));
        let first = now(&bodies, &ada, Some(3 * MEGABYTE)).unwrap();
        let mut second = Box::pin(bodies.reserve(&ada, Some(MEGABYTE), MOST));
        assert!(second.as_mut().now_or_never().is_none(), "she has all that one may");
        let bobs = now(&bodies, &bob, Some(2 * MEGABYTE)).unwrap();
        drop(first);
        let _second = second.now_or_never().unwrap().unwrap();
        drop(bobs);
        assert_eq!(bodies.free(), 7 * MEGABYTE);
    }

    #[tokio::test]
    async fn however_many_hold_memory_there_is_some_for_one_more() {
        let bodies = bodies();
        let mut all = Vec::new();
        for (id, most) in [(1, 3 * MEGABYTE), (2, 5 * MEGABYTE / 2), (3, 5 * MEGABYTE / 4)] {
            let person = user(id);
            assert!(now(&bodies, &person, Some(most + 2)).is_none() || most == 3 * MEGABYTE);
            all.push(now(&bodies, &person, Some(most)).unwrap());
            assert!(now(&bodies, &person, Some(MEGABYTE)).is_none(), "that was all for {id}");
        }
        assert!(now(&bodies, &user(4), Some(MEGABYTE / 2)).is_some());
    }

    #[tokio::test]
    async fn small_ones_have_memory_of_their_own_and_others_as_much_as_they_may_take() {
        let bodies = bodies();
        let ada = user(1);
        let (free, free_for_small) = (bodies.free(), bodies.free_for_small());
        let small: Vec<_> = std::iter::from_fn(|| now(&bodies, &ada, Some(SMALL))).collect();
        assert_eq!(small.len() * SMALL, SMALL_ONES_OF_ONE);
        assert_eq!(free_for_small - bodies.free_for_small(), SMALL_ONES_OF_ONE);
        assert!(now(&bodies, &Holder::Claimed(Person::User(1)), Some(0)).is_some());
        drop(small);
        assert_eq!((bodies.free(), bodies.free_for_small()), (free, free_for_small));
        let reserved = now(&bodies, &ada, Some(SMALL + 1)).unwrap();
        assert_eq!(free - bodies.free(), SMALL + 1);
        drop(reserved);
        for length in [None, Some(usize::MAX)] {
            let reserved = now(&bodies, &ada, length).unwrap();
            assert_eq!(free - bodies.free(), 3 * MEGABYTE, "all of one person's share");
            drop(reserved);
        }
        assert_eq!(bodies.free(), free);
    }

    #[tokio::test]
    async fn a_request_that_leaves_or_waits_too_long_holds_no_memory() {
        let mut bodies = bodies();
        bodies.patience = Duration::ZERO;
        let (ada, free) = (user(1), bodies.free());
        let reserved = bodies.reserve(&ada, Some(3 * MEGABYTE), MOST).await.unwrap();
        assert_eq!(bodies.reserve(&ada, Some(MEGABYTE), MOST).await.unwrap_err(), ReserveTimeout);
        bodies.patience = PATIENCE;
        let mut left = Box::pin(bodies.reserve(&ada, Some(MEGABYTE), MOST));
        assert!(left.as_mut().now_or_never().is_none());
        drop(left);
        drop(reserved);
        assert_eq!(bodies.free(), free);
        let shared = lock(&bodies.large);
        assert!(shared.people.is_empty() && shared.waiting.is_empty(), "nobody is remembered");
    }

    /// The first waiter was granted memory, but was dropped before it received it.
    #[tokio::test]
    async fn memory_that_was_not_received_goes_to_the_next() {
        let bodies = bodies();
        let ada = user(1);
        let reserved = now(&bodies, &ada, Some(3 * MEGABYTE)).unwrap();
        let mut left = Box::pin(bodies.reserve(&ada, Some(3 * MEGABYTE), MOST));
        assert!(left.as_mut().now_or_never().is_none());
        let mut next = Box::pin(bodies.reserve(&ada, Some(3 * MEGABYTE), MOST));
        assert!(next.as_mut().now_or_never().is_none());
        drop(reserved);
        drop(left);
        let _next = next.now_or_never().unwrap().unwrap();
        assert_eq!(bodies.free(), 5 * MEGABYTE);
    }

    proptest! {
        /// In any order of requests: nobody gets more than one person's share, and a person without any gets memory for
        /// a small image.
        #[test]
        fn nobody_can_hold_it_all(
            acts in prop::collection::vec((0..4_u64, SMALL..4 * MEGABYTE, any::<prop::sample::Index>()), 0..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _clock = runtime.enter();
            let bodies = bodies();
            let mut held: Vec<Reservation> = Vec::new();
            for (id, bytes, index) in acts {
                match now(&bodies, &user(id), Some(bytes)) {
                    Some(reserved) => held.push(reserved),
                    None if held.is_empty() => {}
                    None => drop(held.swap_remove(index.index(held.len()))),
                }
                let sum: usize = held.iter().map(|one| one.bytes).sum();
                prop_assert_eq!(bodies.free(), 8 * MEGABYTE - sum);
                for id in 0..4 {
                    let of = held.iter().filter(|one| one.person == user(id));
                    prop_assert!(of.map(|one| one.bytes).sum::<usize>() <= 3 * MEGABYTE);
                }
                let other = now(&bodies, &user(9), Some(MEGABYTE / 8));
                prop_assert!(other.is_some(), "four others hold all of it");
            }
        }
    }
}
