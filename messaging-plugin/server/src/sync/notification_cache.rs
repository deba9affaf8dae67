//! What decides about people's notifications, and counts of what is unread, in memory: so that a sync looks at new events
//! only, and not at everything that is unread.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId, push::Ruleset};
use telmeet_core::{token::Position, unread::Unread};

/// Most people in memory. Beyond that, all are forgotten.
const PEOPLE_MAX: usize = 2_000;
/// Most rooms of a person in memory.
const ROOMS_MAX: usize = 1_000;

/// What is unread in a room, as far as it was counted.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    /// Where the person's stay began, and the person's own last receipt: the count holds for these alone.
    pub(crate) joined_at: Position,
    /// See [`Self::joined_at`].
    pub(crate) receipts: Position,
    /// The last position that was looked at.
    pub(crate) upto: Position,
    /// The counts.
    pub(crate) unread: Unread,
}

/// What was read from the database since the last change of somebody's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(u64);

/// All people.
#[derive(Debug, Default)]
pub(crate) struct NotificationCache(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    version: u64,
    people: HashMap<OwnedUserId, Person>,
}

#[derive(Debug, Default)]
struct Person {
    rules: Option<Arc<Ruleset>>,
    ignored: Option<Arc<BTreeSet<OwnedUserId>>>,
    rooms: HashMap<OwnedRoomId, Counted>,
}

impl NotificationCache {
    /// To be taken before something is read that is then stored here.
    pub(crate) fn version(&self) -> Version {
        Version(self.inner().version)
    }

    /// A person's push rules.
    pub(crate) fn rules(&self, user: &UserId) -> Option<Arc<Ruleset>> {
        self.inner().people.get(user)?.rules.clone()
    }

    /// Whom a person ignores.
    pub(crate) fn ignored(&self, user: &UserId) -> Option<Arc<BTreeSet<OwnedUserId>>> {
        self.inner().people.get(user)?.ignored.clone()
    }

    /// What was counted in a room.
    pub(crate) fn counted(&self, user: &UserId, room: &RoomId) -> Option<Counted> {
        self.inner().people.get(user)?.rooms.get(room).cloned()
    }

    /// Stores push rules.
    pub(crate) fn set_rules(&self, version: Version, user: &UserId, rules: &Arc<Ruleset>) {
        self.set(version, user, |person| person.rules = Some(Arc::clone(rules)));
    }

    /// Stores whom a person ignores.
    pub(crate) fn set_ignored(
        &self,
        version: Version,
        user: &UserId,
        ignored: &Arc<BTreeSet<OwnedUserId>>,
    ) {
        self.set(version, user, |person| person.ignored = Some(Arc::clone(ignored)));
    }

    /// Stores what was counted.
    pub(crate) fn set_counted(&self, version: Version, user: &UserId, room: &RoomId, it: Counted) {
        self.set(version, user, |person| {
            if person.rooms.len() >= ROOMS_MAX {
                person.rooms.clear();
            }
            person.rooms.insert(room.to_owned(), it);
        });
    }

    /// Forgets people whose push rules, or whose list of ignored people, were changed.
    pub(crate) fn forget<'a>(&self, users: impl IntoIterator<Item = &'a OwnedUserId>) {
        let mut inner = self.inner();
        for user in users {
            inner.version += 1;
            inner.people.remove(user);
        }
    }

    /// Forgets everything, after a transaction of which it is not known whether it was made.
    pub(crate) fn clear(&self) {
        let mut inner = self.inner();
        inner.version += 1;
        inner.people.clear();
    }

    /// Stores something of a person, unless rules changed since `version`: it could be older.
    fn set(&self, version: Version, user: &UserId, store: impl FnOnce(&mut Person)) {
        let mut inner = self.inner();
        if inner.version != version.0 {
            return;
        }
        if !inner.people.contains_key(user) && inner.people.len() >= PEOPLE_MAX {
            inner.people.clear();
        }
        store(inner.people.entry(user.to_owned()).or_default());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ruma::{owned_room_id, owned_user_id};

    use super::*;

    #[test]
    fn what_was_read_before_a_change_of_rules_is_not_stored() {
        let cache = NotificationCache::default();
        let (kim, room) = (owned_user_id!("@kim:maru.test"), owned_room_id!("!a:maru.test"));
        let counted = Counted { joined_at: 1, receipts: 2, upto: 3, unread: Unread::default() };
        let version = cache.version();
        cache.set_counted(version, &kim, &room, counted.clone());
        assert_eq!(cache.counted(&kim, &room).map(|counted| counted.upto), Some(3));
        cache.forget([&kim]);
        assert!(cache.counted(&kim, &room).is_none());
        cache.set_counted(version, &kim, &room, counted.clone());
        assert!(cache.counted(&kim, &room).is_none());
        for number in 0..=PEOPLE_MAX {
            let user = UserId::parse(format!("@p{number}:maru.test")).unwrap();
            cache.set_counted(cache.version(), &user, &room, counted.clone());
        }
        assert!(cache.inner().people.len() <= PEOPLE_MAX);
    }
}
