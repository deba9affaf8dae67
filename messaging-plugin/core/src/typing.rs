//! Who is typing (specification, client-server API, "Typing Notifications"). In memory, outside the order of events: it
//! may be lost.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

/// Longest time for which one request says that somebody is typing.
pub const TYPING_MAX: Duration = Duration::from_secs(120);

/// The shortest. A client that gives none still says that somebody is typing.
pub const TYPING_MIN: Duration = Duration::from_secs(1);

/// Who is typing in which room.
#[derive(Debug, Default)]
pub struct Typing {
    rooms: HashMap<OwnedRoomId, BTreeMap<OwnedUserId, Instant>>,
    /// The number of the last change of each room, from one counter. It stays when nobody is typing any more, so that
    /// clients see that.
    changes: HashMap<OwnedRoomId, u64>,
    count: u64,
}

impl Typing {
    /// Records that a member is typing, for [`TYPING_MIN`] to [`TYPING_MAX`].
    pub fn start(&mut self, room: &RoomId, user: &UserId, timeout: Duration, now: Instant) {
        let until = now + timeout.clamp(TYPING_MIN, TYPING_MAX);
        let before = self.rooms.entry(room.to_owned()).or_default().insert(user.to_owned(), until);
        if before.is_none_or(|until| until <= now) {
            self.change(room);
        }
    }

    /// Records that a member stopped or left. Whose app sends a message says by itself whether the person goes on.
    pub fn stop(&mut self, room: &RoomId, user: &UserId) {
        let Some(users) = self.rooms.get_mut(room) else { return };
        if users.remove(user).is_some() {
            if users.is_empty() {
                self.rooms.remove(room);
            }
            self.change(room);
        }
    }

    /// Who is typing, for `m.typing`.
    #[must_use]
    pub fn users(&self, room: &RoomId, now: Instant) -> Vec<&UserId> {
        let users = self.rooms.get(room).into_iter().flatten();
        users.filter(|(_, until)| now < **until).map(|(user, _)| &**user).collect()
    }

    /// Removes those whose time is over. Called at [`Self::next_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut changed = Vec::new();
        self.rooms.retain(|room, users| {
            let before = users.len();
            users.retain(|_, until| now < *until);
            if users.len() < before {
                changed.push(room.clone());
            }
            !users.is_empty()
        });
        changed.iter().for_each(|room| self.change(room));
    }

    /// When somebody's time is over next.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.rooms.values().flat_map(BTreeMap::values).min().copied()
    }

    /// When somebody's time is over next in one of these rooms.
    pub fn next_timeout_of<'a>(
        &self,
        rooms: impl IntoIterator<Item = &'a RoomId>,
    ) -> Option<Instant> {
        let users = rooms.into_iter().filter_map(|room| self.rooms.get(room));
        users.flat_map(BTreeMap::values).min().copied()
    }

    /// The number of the last change of any room: what a sync has seen that looks now.
    #[must_use]
    pub fn latest_change(&self) -> u64 {
        self.count
    }

    /// The number of the room's last change: a sync sends `m.typing` if it is greater than what the last one saw.
    #[must_use]
    pub fn last_change(&self, room: &RoomId) -> u64 {
        self.changes.get(room).copied().unwrap_or_default()
    }

    fn change(&mut self, room: &RoomId) {
        self.count += 1;
        self.changes.insert(room.to_owned(), self.count);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use ruma::{RoomId, room_id};

    use super::{TYPING_MAX, Typing};
    use crate::testing::user;

    const SECOND: Duration = Duration::from_secs(1);

    #[allow(clippy::disallowed_methods)]
    fn now() -> Instant {
        Instant::now()
    }

    fn room() -> &'static RoomId {
        room_id!("!room:maru.test")
    }

    #[test]
    fn somebody_types_and_stops() {
        let (mut typing, now, kim, min) = (Typing::default(), now(), user("kim"), user("min"));
        assert_eq!((typing.last_change(room()), typing.next_timeout()), (0, None));
        let other = room_id!("!other:maru.test");
        typing.start(room(), &kim, 30 * SECOND, now);
        typing.start(room(), &min, 10 * SECOND, now);
        assert_eq!(
            (typing.users(room(), now), typing.last_change(room())),
            (vec![&*kim, &*min], 2)
        );
        typing.start(room(), &kim, 30 * SECOND, now + SECOND);
        assert_eq!(typing.last_change(room()), 2, "who goes on typing changes nothing");
        typing.stop(room(), &kim);
        typing.stop(room(), &kim);
        assert_eq!((typing.users(room(), now), typing.last_change(room())), (vec![&*min], 3));
        typing.stop(other, &kim);
        assert_eq!(typing.next_timeout_of([room(), other]), Some(now + 10 * SECOND));
        assert_eq!(typing.next_timeout_of([other]), None);
        assert_eq!((typing.latest_change(), typing.last_change(other)), (3, 0));
    }

    #[test]
    fn somebody_types_for_a_second_at_least() {
        let (mut typing, now, kim) = (Typing::default(), now(), user("kim"));
        typing.start(room(), &kim, Duration::ZERO, now);
        assert_eq!((typing.users(room(), now), typing.last_change(room())), (vec![&*kim], 1));
        assert_eq!(typing.next_timeout(), Some(now + SECOND));
    }

    #[test]
    fn time_runs_out() {
        let (mut typing, now, kim, min) = (Typing::default(), now(), user("kim"), user("min"));
        typing.start(room(), &kim, Duration::MAX, now);
        typing.start(room(), &min, 10 * SECOND, now);
        assert_eq!(typing.next_timeout(), Some(now + 10 * SECOND));
        assert_eq!(typing.users(room(), now + 10 * SECOND), [&*kim]);
        typing.handle_timeout(now + 10 * SECOND);
        assert_eq!(
            (typing.next_timeout(), typing.last_change(room())),
            (Some(now + TYPING_MAX), 3)
        );
        typing.handle_timeout(now + TYPING_MAX);
        assert_eq!(
            (typing.users(room(), now), typing.next_timeout(), typing.last_change(room())),
            (vec![], None, 4)
        );
        typing.handle_timeout(now + TYPING_MAX);
        assert_eq!(typing.last_change(room()), 4);
    }

    proptest! {
        /// After each timeout that is due, nobody is left whose time is over, and each change of who types has a
        /// number.
        #[test]
        fn nobody_types_for_ever(steps in prop::collection::vec((0..3_u8, any::<bool>(), 0..200_u64), 0..40)) {
            let (mut typing, mut now) = (Typing::default(), now());
            for (person, starts, seconds) in steps {
                let (user, before) = (user(&format!("p{person}")), typing.last_change(room()));
                let were: Vec<_> = typing.users(room(), now).into_iter().map(ToOwned::to_owned).collect();
                if starts {
                    typing.start(room(), &user, Duration::from_secs(seconds), now);
                } else {
                    typing.stop(room(), &user);
                    now += Duration::from_secs(seconds);
                    typing.handle_timeout(now);
                    prop_assert!(typing.next_timeout().is_none_or(|at| at > now));
                }
                prop_assert!(typing.users(room(), now) == were || typing.last_change(room()) > before);
            }
            typing.handle_timeout(now + TYPING_MAX);
            prop_assert!(typing.rooms.is_empty());
        }
    }
}
