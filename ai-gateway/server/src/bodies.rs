//! Memory for large request bodies: each finds room before a byte of it is read.
//!
//! Bodies with images have megabytes, and everybody may send many at once. So what is read at a time is bounded in all, and for
//! each person: by a number, and by half of what others leave. So nobody can hold it all, nor can two or three who send
//! slowly: however many hold room, there is some for one more. Whoever finds none waits, the body still with the sender;
//! what becomes free goes to those who have waited longest, of those whom it suffices. Room is kept until the answer begins.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ai_gateway_api::settings::gateway::Limits;
use mesh_identity::Person;
use tokio::{sync::oneshot, time::timeout};

/// What a small body takes is bounded by the connections alone: bytes.
pub(crate) const SMALL: usize = 64 << 10;
/// How long one waits; a body must have come within 30 seconds of its head.
const PATIENCE: Duration = Duration::from_secs(10);

/// Room for bodies.
#[derive(Debug)]
pub struct Bodies {
    shared: Arc<Mutex<Shared>>,
    /// What a body may take that does not say how long it is, in bytes.
    largest: usize,
    patience: Duration,
}

#[derive(Debug)]
struct Shared {
    /// What nobody has, in bytes.
    free: usize,
    /// What one person may have, in bytes.
    each: usize,
    /// What each person has; nobody who has nothing.
    people: HashMap<Person, usize>,
    /// Those who wait, in the order of arrival.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    person: Person,
    bytes: usize,
    call: oneshot::Sender<Room>,
}

/// Room that is kept; given back when dropped.
#[derive(Debug)]
#[must_use]
pub struct Room {
    shared: Arc<Mutex<Shared>>,
    person: Person,
    bytes: usize,
}

/// There was no room in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many large requests are being read")]
pub struct NoRoom;

impl Bodies {
    /// As much room as the limits say.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let free = limits.plain_bodies_bytes.max(2);
        // More than half of all there is nobody gets.
        let each = limits.plain_bodies_bytes_per_person.clamp(1, free / 2);
        let (people, waiting) = (HashMap::new(), VecDeque::new());
        Self {
            shared: Arc::new(Mutex::new(Shared { free, each, people, waiting })),
            largest: limits.max_plain_body_bytes,
            patience: PATIENCE,
        }
    }

    /// Waits for room for a person's body of so many bytes, or of a length that its head does not say. `None` for a small
    /// one. One that is larger than all there is for a person takes all of that.
    ///
    /// # Errors
    ///
    /// [`NoRoom`].
    pub async fn room(
        &self,
        person: &Person,
        bytes: Option<usize>,
    ) -> Result<Option<Room>, NoRoom> {
        // What is larger is refused anyway once it is read.
        let bytes = bytes.map_or(self.largest, |bytes| bytes.min(self.largest));
        if bytes <= SMALL {
            return Ok(None);
        }
        let called = {
            let mut shared = lock(&self.shared);
            let bytes = bytes.min(shared.each);
            let (call, called) = oneshot::channel();
            shared.waiting.push_back(Waiting { person: person.clone(), bytes, call });
            let calls = shared.call(&self.shared);
            drop(shared);
            tell(calls);
            called
        };
        // Whoever waits no longer is passed over, and the caller goes away with nobody.
        let room = timeout(self.patience, called).await.map_err(|_| NoRoom)?;
        room.map(Some).map_err(|_| NoRoom)
    }

    /// Bytes that are free.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        lock(&self.shared).free
    }
}

impl Shared {
    /// Whether there is room for so many bytes more of a person's.
    fn has_room(&self, person: &Person, bytes: usize) -> bool {
        let own = self.people.get(person).copied().unwrap_or_default();
        own + bytes <= self.each.min((self.free + own) / 2)
    }

    /// Gives room to those whom what is free suffices; tell them once the lock is gone.
    fn call(&mut self, shared: &Arc<Mutex<Self>>) -> Vec<(oneshot::Sender<Room>, Room)> {
        let mut calls = Vec::new();
        self.waiting.retain(|it| !it.call.is_closed());
        for _ in 0..self.waiting.len() {
            let Some(first) = self.waiting.pop_front() else { break };
            if !self.has_room(&first.person, first.bytes) {
                self.waiting.push_back(first);
                continue;
            }
            let Waiting { person, bytes, call } = first;
            self.free -= bytes;
            *self.people.entry(person.clone()).or_default() += bytes;
            calls.push((call, Room { shared: Arc::clone(shared), person, bytes }));
        }
        calls
    }
}

/// Hands over room; it comes back from those who have stopped waiting meanwhile.
fn tell(calls: Vec<(oneshot::Sender<Room>, Room)>) {
    for (call, room) in calls {
        drop(call.send(room));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.free += self.bytes;
        if let Some(own) = shared.people.get_mut(&self.person) {
            *own = own.saturating_sub(self.bytes);
            if *own == 0 {
                shared.people.remove(&self.person);
            }
        }
        let calls = shared.call(&self.shared);
        drop(shared);
        tell(calls);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    const MEGABYTE: usize = 1 << 20;

    fn bodies() -> Bodies {
        Bodies::new(&Limits {
            plain_bodies_bytes: 8 * MEGABYTE,
            plain_bodies_bytes_per_person: 3 * MEGABYTE,
            ..Limits::default()
        })
    }

    fn now(bodies: &Bodies, person: &Person, bytes: Option<usize>) -> Option<Room> {
        bodies.room(person, bytes).now_or_never()?.unwrap()
    }

    #[tokio::test]
    async fn one_person_waits_for_their_own_and_not_for_others() {
        let bodies = bodies();
        let (ada, bob) = (Person::User(1), Person::User(2));
        let first = now(&bodies, &ada, Some(3 * MEGABYTE)).unwrap();
        let mut second = Box::pin(bodies.room(&ada, Some(MEGABYTE)));
        assert!(second.as_mut().now_or_never().is_none(), "she has all that one may");
        let bobs = now(&bodies, &bob, Some(2 * MEGABYTE)).unwrap();
        drop(first);
        let _second = second.now_or_never().unwrap().unwrap().unwrap();
        drop(bobs);
        assert_eq!(bodies.free(), 7 * MEGABYTE);
    }

    #[tokio::test]
    async fn however_many_hold_room_there_is_some_for_one_more() {
        let bodies = bodies();
        let mut all = Vec::new();
        for (user, most) in [(1, 3 * MEGABYTE), (2, 5 * MEGABYTE / 2), (3, 5 * MEGABYTE / 4)] {
            let person = Person::User(user);
            assert!(now(&bodies, &person, Some(most + 2)).is_none() || most == 3 * MEGABYTE);
            all.push(now(&bodies, &person, Some(most)).unwrap());
            assert!(now(&bodies, &person, Some(MEGABYTE)).is_none(), "that was all for {user}");
        }
        assert!(now(&bodies, &Person::User(4), Some(MEGABYTE / 2)).is_some());
    }

    #[tokio::test]
    async fn small_ones_need_no_room_and_others_as_much_as_they_may_take() {
        let bodies = bodies();
        let ada = Person::User(1);
        assert!(bodies.room(&ada, Some(SMALL)).now_or_never().unwrap().unwrap().is_none());
        let free = bodies.free();
        let room = now(&bodies, &ada, Some(SMALL + 1)).unwrap();
        assert_eq!(free - bodies.free(), SMALL + 1);
        drop(room);
        for untold in [None, Some(usize::MAX)] {
            let room = now(&bodies, &ada, untold).unwrap();
            assert_eq!(free - bodies.free(), 3 * MEGABYTE, "more than for one: all of that");
            drop(room);
        }
        assert_eq!(bodies.free(), free);
    }

    #[tokio::test]
    async fn who_leaves_or_waits_too_long_leaves_nothing_behind() {
        let mut bodies = bodies();
        bodies.patience = Duration::ZERO;
        let (ada, free) = (Person::User(1), bodies.free());
        let room = bodies.room(&ada, Some(3 * MEGABYTE)).await.unwrap();
        assert_eq!(bodies.room(&ada, Some(MEGABYTE)).await.unwrap_err(), NoRoom);
        bodies.patience = PATIENCE;
        let mut left = Box::pin(bodies.room(&ada, Some(MEGABYTE)));
        assert!(left.as_mut().now_or_never().is_none());
        drop(left);
        drop(room);
        assert_eq!(bodies.free(), free);
        let shared = lock(&bodies.shared);
        assert!(shared.people.is_empty() && shared.waiting.is_empty(), "nobody is remembered");
    }

    /// Called, but gone before it could notice.
    #[tokio::test]
    async fn room_that_nobody_takes_goes_on_to_the_next() {
        let bodies = bodies();
        let ada = Person::User(1);
        let room = now(&bodies, &ada, Some(3 * MEGABYTE)).unwrap();
        let mut left = Box::pin(bodies.room(&ada, Some(3 * MEGABYTE)));
        assert!(left.as_mut().now_or_never().is_none());
        let mut next = Box::pin(bodies.room(&ada, Some(3 * MEGABYTE)));
        assert!(next.as_mut().now_or_never().is_none());
        drop(room);
        drop(left);
        let _next = next.now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(bodies.free(), 5 * MEGABYTE);
    }

    proptest! {
        /// Whoever comes and goes: nobody has more than one may, and who has nothing finds room for a small image.
        #[test]
        fn nobody_can_hold_it_all(
            acts in prop::collection::vec((0..4_u64, SMALL..4 * MEGABYTE, any::<prop::sample::Index>()), 0..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _clock = runtime.enter();
            let bodies = bodies();
            let mut rooms: Vec<Room> = Vec::new();
            for (user, bytes, index) in acts {
                match now(&bodies, &Person::User(user), Some(bytes)) {
                    Some(room) => rooms.push(room),
                    None if rooms.is_empty() => {}
                    None => drop(rooms.swap_remove(index.index(rooms.len()))),
                }
                let held: usize = rooms.iter().map(|room| room.bytes).sum();
                prop_assert_eq!(bodies.free(), 8 * MEGABYTE - held);
                for user in 0..4 {
                    let of = rooms.iter().filter(|room| room.person == Person::User(user));
                    prop_assert!(of.map(|room| room.bytes).sum::<usize>() <= 3 * MEGABYTE);
                }
                let other = now(&bodies, &Person::User(9), Some(MEGABYTE / 8));
                prop_assert!(other.is_some(), "four others hold all of it");
            }
        }
    }
}
