//! What syncs read in memory: the position up to which they show everything, the latest changes of rooms, and what was read
//! of each person since something of the person's changed. A sync that was woken by a message asks the database nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ruma::{
    DeviceId, OneTimeKeyAlgorithm, OwnedDeviceId, OwnedRoomId, OwnedUserId, RoomId, UInt, UserId,
    events::StateEventType, push::Ruleset,
};
use telmeet_core::{
    event::Event,
    token::{Clock, Generation, Position},
    unread::Unread,
    visibility::Access,
};

use super::{
    recent::{Recent, RoomChange},
    room_positions::PersonRoom,
};
use crate::events::{Direction, Related, StoredEvent};

/// Most memory of what was read of people, in bytes. Beyond that, all is forgotten.
const BYTES_MAX: usize = 16 << 20;
/// Most memory of what was read of one person, in bytes. Beyond that, it is forgotten.
const PERSON_MAX: usize = 1 << 20;
/// What an entry of a map takes beside its parts, in bytes.
const OVERHEAD: usize = 100;
/// People share so many counters of changes.
const COUNTERS: usize = 256;

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

/// The keys of a device that others may still claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceKeys {
    /// How many one-time keys.
    pub(crate) one_time: BTreeMap<OneTimeKeyAlgorithm, UInt>,
    /// For which algorithms a fallback key that nobody got yet.
    pub(crate) fallback: Vec<OneTimeKeyAlgorithm>,
}

/// What was read from the database since the person's last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(u64);

/// What a sync begins with.
#[derive(Debug)]
pub(crate) struct Begun {
    /// To be given back with what is stored here.
    pub(crate) version: Version,
    /// Its latest position is the one up to which the sync shows everything.
    pub(crate) clock: Clock,
    /// The person's rooms up to there, if they are known.
    pub(crate) rooms: Option<Arc<Vec<PersonRoom>>>,
}

/// What a transaction changed.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    /// Its last position.
    pub(crate) latest: Position,
    /// People of whom something changed that is not in [`Self::rooms`]: memberships, the state of their rooms, account data,
    /// messages between devices, keys.
    pub(crate) people: &'a BTreeSet<OwnedUserId>,
    /// People whose push rules, or whose list of ignored people, changed.
    pub(crate) rules: &'a BTreeSet<OwnedUserId>,
    /// What changed in rooms.
    pub(crate) rooms: Vec<RoomChange>,
}

/// What syncs read in memory.
#[derive(Debug)]
pub(crate) struct SyncCache(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    counters: [u64; COUNTERS],
    recent: Recent,
    people: HashMap<OwnedUserId, Person>,
    bytes: usize,
}

/// What was read of a person.
#[derive(Debug)]
struct Person {
    rules: Option<(Arc<Ruleset>, usize)>,
    ignored: Option<Arc<BTreeSet<OwnedUserId>>>,
    counted: HashMap<OwnedRoomId, Counted>,
    /// Nothing of the person's changed after this position but what is in [`Recent`].
    changed: Position,
    unchanged: Unchanged,
    bytes: usize,
}

/// What holds until something of the person's changes.
#[derive(Debug, Default)]
struct Unchanged {
    /// The rooms, in the order of their ids, up to a position.
    rooms: Option<(Position, Arc<Vec<PersonRoom>>)>,
    access: HashMap<OwnedRoomId, Arc<Access>>,
    direct: Option<Arc<BTreeSet<OwnedRoomId>>>,
    devices: HashMap<OwnedDeviceId, Device>,
}

#[derive(Debug, Default)]
struct Device {
    keys: Option<DeviceKeys>,
    /// Whether no messages of other devices wait for it.
    has_no_messages: bool,
}

impl SyncCache {
    /// Nothing is known of what happened before.
    pub(crate) fn new(clock: Clock) -> Self {
        Self(Mutex::new(Inner {
            clock,
            counters: [0; COUNTERS],
            recent: Recent::new(clock.latest),
            people: HashMap::new(),
            bytes: 0,
        }))
    }

    /// The present generation, and the latest position that readers may show.
    pub(crate) fn clock(&self) -> Clock {
        self.inner().clock
    }

    /// Begins a generation.
    pub(crate) fn renew(&self, generation: Generation) {
        let mut inner = self.inner();
        inner.forget_all();
        inner.clock.generation = generation;
    }

    /// Begins a sync of a person's that shows what changed since a position.
    pub(crate) fn begin(&self, user: &UserId, since: Option<Position>) -> Begun {
        let mut inner = self.inner();
        let (version, clock) = (Version(inner.counters[counter(user)]), inner.clock);
        if !inner.people.contains_key(user) {
            inner.people.insert(user.to_owned(), Person::new(clock.latest));
            inner.change(user, |_| {});
        }
        let Inner { recent, people, .. } = &mut *inner;
        let Some(person) = people.get_mut(user) else {
            return Begun { version, clock, rooms: None };
        };
        // A sync from before the last change shows rooms that the person forgot since then.
        let is_whole = since.is_none_or(|since| person.changed <= since);
        let rooms = person.unchanged.rooms.as_mut();
        let rooms = rooms.filter(|(upto, _)| is_whole && recent.reaches(*upto));
        let rooms = rooms.map(|(upto, rooms)| {
            if *upto < clock.latest {
                let rooms: &mut Vec<_> = Arc::make_mut(rooms);
                recent.update(rooms, user, (*upto, clock.latest));
                *upto = clock.latest;
            }
            Arc::clone(rooms)
        });
        Begun { version, clock, rooms }
    }

    /// Publishes what a transaction changed, after its commit.
    pub(crate) fn publish(&self, changes: Changes<'_>) {
        let mut inner = self.inner();
        if !inner.recent.is_complete() {
            inner.forget_all();
        }
        inner.recent.add(changes.latest, changes.rooms);
        inner.clock.latest = changes.latest;
        for user in changes.people.union(changes.rules) {
            inner.counters[counter(user)] += 1;
            inner.change(user, |person| {
                person.changed = changes.latest;
                person.unchanged = Unchanged::default();
                if changes.rules.contains(user) {
                    (person.rules, person.ignored) = (None, None);
                    person.counted.clear();
                }
            });
        }
    }

    /// Forgets everything, after a transaction of which it is not known whether it was made.
    pub(crate) fn clear(&self) {
        self.inner().forget_all();
    }

    /// Whether nothing of a person's changed after a position but events and receipts.
    pub(crate) fn is_unchanged(&self, user: &UserId, after: Position) -> bool {
        self.inner().people.get(user).is_some_and(|person| person.changed <= after)
    }

    /// The same as [`crate::events::timeline`], if it is in memory.
    pub(crate) fn timeline(
        &self,
        room: &RoomId,
        places: (Position, Position),
        limit: usize,
        direction: Direction,
    ) -> Option<Vec<StoredEvent>> {
        self.inner().recent.timeline(room, places, limit, direction)
    }

    /// The same as [`super::state::changes`], if it is in memory.
    pub(crate) fn state(
        &self,
        room: &RoomId,
        places: (Position, Position),
    ) -> Option<Vec<Arc<Event>>> {
        self.inner().recent.state(room, places)
    }

    /// The same as [`super::state::changed_keys`], if it is in memory.
    pub(crate) fn state_keys(
        &self,
        room: &RoomId,
        after: Position,
    ) -> Option<Vec<(StateEventType, String)>> {
        self.inner().recent.state_keys(room, after)
    }

    /// The same as [`crate::events::related_to`], if it is in memory.
    pub(crate) fn related(&self, stored: &StoredEvent, upto: Position) -> Option<Related> {
        self.inner().recent.related(stored, upto)
    }

    /// A person's push rules.
    pub(crate) fn rules(&self, user: &UserId) -> Option<Arc<Ruleset>> {
        let inner = self.inner();
        let (rules, _) = inner.people.get(user)?.rules.as_ref()?;
        Some(Arc::clone(rules))
    }

    /// Whom a person ignores.
    pub(crate) fn ignored(&self, user: &UserId) -> Option<Arc<BTreeSet<OwnedUserId>>> {
        self.inner().people.get(user)?.ignored.clone()
    }

    /// What was counted in a room.
    pub(crate) fn counted(&self, user: &UserId, room: &RoomId) -> Option<Counted> {
        self.inner().people.get(user)?.counted.get(room).cloned()
    }

    /// Which events of a room a person may read.
    pub(crate) fn access(&self, user: &UserId, room: &RoomId) -> Option<Arc<Access>> {
        self.inner().people.get(user)?.unchanged.access.get(room).cloned()
    }

    /// The rooms that a person's apps call direct.
    pub(crate) fn direct(&self, user: &UserId) -> Option<Arc<BTreeSet<OwnedRoomId>>> {
        self.inner().people.get(user)?.unchanged.direct.clone()
    }

    /// The keys of a device that others may still claim.
    pub(crate) fn keys(&self, user: &UserId, device: &DeviceId) -> Option<DeviceKeys> {
        self.inner().people.get(user)?.unchanged.devices.get(device)?.keys.clone()
    }

    /// Whether it is known that no messages of other devices wait for a device.
    pub(crate) fn has_no_messages(&self, user: &UserId, device: &DeviceId) -> bool {
        let inner = self.inner();
        let device = inner.people.get(user).and_then(|it| it.unchanged.devices.get(device));
        device.is_some_and(|device| device.has_no_messages)
    }

    /// Stores a person's rooms up to a position, in the order of their ids, unless one of them is forgotten.
    pub(crate) fn set_rooms(
        &self,
        version: Version,
        user: &UserId,
        upto: Position,
        rooms: &Arc<Vec<PersonRoom>>,
    ) {
        if rooms.iter().all(|room| !room.is_forgotten) {
            self.set(version, user, |person| {
                person.unchanged.rooms = Some((upto, Arc::clone(rooms)));
            });
        }
    }

    /// Stores push rules, of so many bytes.
    pub(crate) fn set_rules(
        &self,
        version: Version,
        user: &UserId,
        rules: &Arc<Ruleset>,
        bytes: usize,
    ) {
        self.set(version, user, |person| person.rules = Some((Arc::clone(rules), bytes)));
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
        self.set(version, user, |person| drop(person.counted.insert(room.to_owned(), it)));
    }

    /// Stores which events of a room a person may read.
    pub(crate) fn set_access(
        &self,
        version: Version,
        user: &UserId,
        room: &RoomId,
        access: &Arc<Access>,
    ) {
        self.set(version, user, |person| {
            person.unchanged.access.insert(room.to_owned(), Arc::clone(access));
        });
    }

    /// Stores the rooms that a person's apps call direct.
    pub(crate) fn set_direct(
        &self,
        version: Version,
        user: &UserId,
        direct: &Arc<BTreeSet<OwnedRoomId>>,
    ) {
        self.set(version, user, |person| person.unchanged.direct = Some(Arc::clone(direct)));
    }

    /// Stores the keys of a device that others may still claim.
    pub(crate) fn set_keys(
        &self,
        version: Version,
        user: &UserId,
        device: &DeviceId,
        keys: &DeviceKeys,
    ) {
        self.set(version, user, |person| person.device(device).keys = Some(keys.clone()));
    }

    /// Stores that no messages of other devices wait for a device.
    pub(crate) fn set_no_messages(&self, version: Version, user: &UserId, device: &DeviceId) {
        self.set(version, user, |person| person.device(device).has_no_messages = true);
    }

    /// Stores something of a person, unless something of the person's changed since `version`: it could be older.
    fn set(&self, version: Version, user: &UserId, store: impl FnOnce(&mut Person)) {
        let mut inner = self.inner();
        if inner.counters[counter(user)] == version.0 {
            inner.change(user, store);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Changes what is known of a person, within the limits of memory.
    fn change(&mut self, user: &UserId, change: impl FnOnce(&mut Person)) {
        let Some(person) = self.people.get_mut(user) else { return };
        change(person);
        let before = person.bytes;
        if person.size() > PERSON_MAX {
            *person = Person::new(person.changed);
        }
        person.bytes = person.size();
        self.bytes = self.bytes - before + person.bytes;
        if self.bytes > BYTES_MAX {
            self.people.clear();
            self.bytes = 0;
        }
    }

    fn forget_all(&mut self) {
        self.counters.iter_mut().for_each(|counter| *counter += 1);
        self.recent = Recent::unknown();
        self.people.clear();
        self.bytes = 0;
    }
}

impl Person {
    fn new(changed: Position) -> Self {
        Self {
            rules: None,
            ignored: None,
            counted: HashMap::new(),
            changed,
            unchanged: Unchanged::default(),
            bytes: 0,
        }
    }

    fn device(&mut self, device: &DeviceId) -> &mut Device {
        self.unchanged.devices.entry(device.to_owned()).or_default()
    }

    /// About how many bytes it takes.
    fn size(&self) -> usize {
        let Unchanged { rooms, access, direct, devices } = &self.unchanged;
        let counted = self.counted.values().map(|it| 2 + it.unread.threads.len());
        let parts = counted.sum::<usize>()
            + rooms.as_ref().map_or(0, |(_, rooms)| 3 * rooms.len())
            + access.values().map(|access| 2 + access.changes_count()).sum::<usize>()
            + direct.as_ref().map_or(0, |direct| direct.len())
            + self.ignored.as_ref().map_or(0, |ignored| ignored.len())
            + 4 * devices.len();
        OVERHEAD * (4 + parts) + self.rules.as_ref().map_or(0, |(_, bytes)| *bytes)
    }
}

fn counter(user: &UserId) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(user);
    usize::try_from(hash % COUNTERS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests;
