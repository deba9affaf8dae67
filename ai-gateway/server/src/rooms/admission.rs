//! Limits for messages of rooms: how often, and how many replies at a time, of each room, of each sender and in all.
//!
//! A hostile member can make many rooms, and a hostile participant can name any ids; neither gets more than the limits
//! for all rooms together, which come first and so bound the memory for the others.

use ai_gateway_api::{rooms::Id, settings::gateway::Limits};
use chassis::quota::{self, Permit, Quota};
use governor::clock::{Clock, DefaultClock};

use crate::limits::{Exceeded, Keyed, Limit, quota, take};

/// Replies of a room, and to a sender, that may wait or be in progress at a time.
const REPLIES_EACH: usize = 2;
/// The same of all rooms.
const REPLIES: usize = 16;
/// How many times as many messages all rooms may send as one.
const ALL_ROOMS: u32 = 4;
/// `Retry-After` of a room that has as many replies as it may have, in seconds.
const RETRY_S: u64 = 5;

/// The limits of rooms.
#[derive(Debug)]
pub(crate) struct Admission<C: Clock = DefaultClock> {
    all: Keyed<(), C>,
    rooms: Keyed<Id, C>,
    senders: Keyed<Id, C>,
    clock: C,
    replies_by_room: Quota<Id>,
    replies_by_sender: Quota<Id>,
}

/// The right to one reply, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct ReplyPermit {
    _room: Permit<Id>,
    _sender: Permit<Id>,
}

impl Admission {
    #[must_use]
    pub(crate) fn new(limits: &Limits) -> Self {
        Self::with_clock(limits, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Admission<C> {
    fn with_clock(limits: &Limits, clock: C) -> Self {
        let keyed = |times| quota(limits, times);
        Self {
            all: Keyed::dashmap_with_clock(keyed(ALL_ROOMS), clock.clone()),
            rooms: Keyed::dashmap_with_clock(keyed(1), clock.clone()),
            senders: Keyed::dashmap_with_clock(keyed(1), clock.clone()),
            clock,
            replies_by_room: Quota::new(REPLIES, REPLIES_EACH),
            replies_by_sender: Quota::new(REPLIES, REPLIES_EACH),
        }
    }

    /// Counts a message, and takes one of the replies that its room and its sender may have.
    pub(crate) fn admit(&self, room: &Id, sender: &Id) -> Result<ReplyPermit, Exceeded> {
        take(&self.all, &(), &self.clock)?;
        take(&self.rooms, room, &self.clock)?;
        take(&self.senders, sender, &self.clock)?;
        let permit = |quota: &Quota<Id>, holder: &Id| {
            quota.take(holder.clone()).map_err(|exceeded| Exceeded {
                limit: match exceeded {
                    quota::Exceeded::Total => Limit::Total,
                    quota::Exceeded::Each => Limit::Person,
                },
                retry_after_s: RETRY_S,
            })
        };
        Ok(ReplyPermit {
            _room: permit(&self.replies_by_room, room)?,
            _sender: permit(&self.replies_by_sender, sender)?,
        })
    }

    /// Removes idle rooms and senders. Call it each minute.
    pub(crate) fn forget(&self) {
        for ids in [&self.rooms, &self.senders] {
            ids.retain_recent();
            ids.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn id(text: &str) -> Id {
        text.parse().unwrap()
    }

    fn admission(burst: u32) -> (Admission<FakeRelativeClock>, FakeRelativeClock) {
        let limits = Limits {
            chats_per_minute: NonZeroU32::new(burst).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
            ..Limits::default()
        };
        let clock = FakeRelativeClock::default();
        (Admission::with_clock(&limits, clock.clone()), clock)
    }

    fn limit(result: Result<ReplyPermit, Exceeded>) -> Option<Limit> {
        result.err().map(|exceeded| exceeded.limit)
    }

    #[test]
    fn a_room_and_a_sender_have_two_replies_at_a_time() {
        let (admission, _) = admission(100);
        let held = [(); 2].map(|()| admission.admit(&id("!a"), &id("@ada")).unwrap());
        assert_eq!(limit(admission.admit(&id("!a"), &id("@bob"))), Some(Limit::Person));
        assert_eq!(limit(admission.admit(&id("!b"), &id("@ada"))), Some(Limit::Person));
        assert_eq!(limit(admission.admit(&id("!b"), &id("@bob"))), None);
        drop(held);
        assert_eq!(limit(admission.admit(&id("!a"), &id("@ada"))), None);
    }

    #[test]
    fn all_rooms_have_sixteen_replies_at_a_time_however_many_they_are() {
        let (admission, _) = admission(100);
        let admit = |n: usize| admission.admit(&id(&format!("!{n}")), &id(&format!("@{n}")));
        let held: Vec<_> = (0..REPLIES).map(|n| admit(n).unwrap()).collect();
        assert_eq!(limit(admit(REPLIES)), Some(Limit::Total));
        drop(held);
        assert_eq!(limit(admit(REPLIES)), None);
    }

    #[test]
    fn messages_are_counted_by_room_by_sender_and_in_all() {
        let (admission, clock) = admission(2);
        let admit = |room: &str, sender: &str| limit(admission.admit(&id(room), &id(sender)));
        assert_eq!([admit("!a", "@1"), admit("!a", "@2")], [None; 2]);
        assert_eq!(admit("!a", "@3"), Some(Limit::Rate), "the room");
        assert_eq!(admit("!b", "@1"), None);
        assert_eq!(admit("!c", "@1"), Some(Limit::Rate), "the sender");
        assert_eq!([admit("!d", "@4"), admit("!e", "@5"), admit("!f", "@6")], [None; 3]);
        assert_eq!(admit("!g", "@7"), Some(Limit::Rate), "all: eight in a minute");
        clock.advance(Duration::from_secs(60));
        assert_eq!(admit("!a", "@1"), None);
    }

    #[test]
    fn made_up_ids_take_memory_for_a_minute_at_most_and_only_as_many_as_may_come() {
        let (admission, clock) = admission(2);
        for n in 0..1000 {
            drop(admission.admit(&id(&format!("!{n}")), &id(&format!("@{n}"))));
        }
        assert_eq!((admission.rooms.len(), admission.senders.len()), (8, 8));
        clock.advance(Duration::from_secs(61));
        admission.forget();
        assert_eq!((admission.rooms.len(), admission.senders.len()), (0, 0));
    }
}
