//! Memory for large request bodies: each finds room before a byte of it is read.
//!
//! Bodies with images have megabytes, and everybody may send many at once. So what is read at a time is bounded for each
//! person and in all. Whoever finds no room waits, the body still with the sender: first for their own earlier requests,
//! then, in the order of arrival, for others'. Room is kept until the answer begins.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ai_gateway_api::settings::gateway::Limits;
use mesh_identity::Person;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// What a small body takes is bounded by the connections alone: bytes.
const SMALL: usize = 64 << 10;
/// How long one waits; a body must have come within 30 seconds of its head.
const PATIENCE: Duration = Duration::from_secs(10);
/// Room is counted in these many bytes.
const UNIT: usize = 1 << 10;

/// Room for bodies.
#[derive(Debug)]
pub struct Bodies {
    all: Arc<Semaphore>,
    people: Mutex<HashMap<Person, Arc<Semaphore>>>,
    /// What one person may have, in units.
    each: u32,
    /// What a body may take that does not say how long it is, in bytes.
    largest: usize,
    patience: Duration,
}

/// Room that is kept; given back when dropped.
#[derive(Debug)]
#[must_use]
pub struct Room {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// There was no room in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many large requests are being read")]
pub struct NoRoom;

impl Bodies {
    /// As much room as the limits say.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let total = units(limits.plain_bodies_bytes).max(1);
        Self {
            all: semaphore(total),
            people: Mutex::default(),
            each: units(limits.plain_bodies_bytes_per_person).clamp(1, total),
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
        let wanted = units(bytes).min(self.each);
        let own = self.person(person);
        let both = async {
            let own = own.acquire_many_owned(wanted).await?;
            let all = Arc::clone(&self.all).acquire_many_owned(wanted).await?;
            Ok::<_, tokio::sync::AcquireError>(Room { _own: own, _all: all })
        };
        // Nobody closes them.
        let room = timeout(self.patience, both).await.map_err(|_| NoRoom)?;
        room.map(Some).map_err(|_| NoRoom)
    }

    /// The person's own share. Those of people who neither have nor want room are forgotten.
    fn person(&self, person: &Person) -> Arc<Semaphore> {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        people.retain(|_, share| Arc::strong_count(share) > 1);
        Arc::clone(people.entry(person.clone()).or_insert_with(|| semaphore(self.each)))
    }

    /// Units that are free.
    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.all.available_permits()
    }
}

fn semaphore(units: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(
        usize::try_from(units).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS),
    ))
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const MEGABYTE: usize = 1 << 20;

    fn bodies() -> Bodies {
        Bodies::new(&Limits {
            plain_bodies_bytes: 4 * MEGABYTE,
            plain_bodies_bytes_per_person: 2 * MEGABYTE,
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
        let first = now(&bodies, &ada, Some(2 * MEGABYTE)).unwrap();
        let mut second = Box::pin(bodies.room(&ada, Some(MEGABYTE)));
        assert!(second.as_mut().now_or_never().is_none(), "she has all that one may");
        let _bobs = now(&bodies, &bob, Some(2 * MEGABYTE)).unwrap();
        let mut third = Box::pin(bodies.room(&Person::User(3), Some(MEGABYTE)));
        assert!(third.as_mut().now_or_never().is_none(), "all is taken");
        drop(first);
        let _second = second.await.unwrap().unwrap();
        let _third = third.await.unwrap().unwrap();
        assert_eq!(bodies.free(), 0);
    }

    #[tokio::test]
    async fn small_ones_need_no_room_and_others_as_much_as_they_may_take() {
        let bodies = bodies();
        let ada = Person::User(1);
        assert!(bodies.room(&ada, Some(SMALL)).now_or_never().unwrap().unwrap().is_none());
        let free = bodies.free();
        let room = now(&bodies, &ada, Some(SMALL + 1)).unwrap();
        assert_eq!(free - bodies.free(), 65);
        drop(room);
        for untold in [None, Some(usize::MAX)] {
            let room = now(&bodies, &ada, untold).unwrap();
            assert_eq!(free - bodies.free(), 2048, "more than there is for one: all of that");
            drop(room);
        }
        assert_eq!(bodies.free(), free);
    }

    #[tokio::test]
    async fn who_leaves_or_waits_too_long_leaves_nothing_behind() {
        let mut bodies = bodies();
        bodies.patience = Duration::ZERO;
        let (ada, free) = (Person::User(1), bodies.free());
        let room = bodies.room(&ada, Some(2 * MEGABYTE)).await.unwrap();
        assert_eq!(bodies.room(&ada, Some(MEGABYTE)).await.unwrap_err(), NoRoom);
        drop(room);
        bodies.patience = PATIENCE;
        drop(bodies.room(&ada, Some(2 * MEGABYTE)));
        let all: Vec<_> =
            (2..4).map(|user| now(&bodies, &Person::User(user), None).unwrap()).collect();
        let mut left = Box::pin(bodies.room(&ada, Some(MEGABYTE)));
        assert!(left.as_mut().now_or_never().is_none());
        drop((left, all));
        assert_eq!(bodies.free(), free);
        drop(bodies.person(&ada));
        drop(bodies.person(&Person::User(9)));
        assert_eq!(bodies.people.lock().unwrap().len(), 1, "the others are forgotten");
    }
}
