//! The rooms in memory. The room that was not used for longest is dropped: ten thousand of them take 41 MB, and a member can
//! fill one with 4 MiB.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use ruma::{OwnedRoomId, RoomId};

use super::room::Room;

/// Most rooms in memory.
const ROOMS_MAX: usize = 1_000;
/// Most bytes of their states, one room more at most.
const BYTES_MAX: usize = 24 << 20;

/// The rooms in memory.
#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    rooms: HashMap<OwnedRoomId, (Arc<Room>, u64)>,
    /// Rooms by the number of their last use.
    uses: BTreeMap<u64, OwnedRoomId>,
    next_use: u64,
    /// Number of commits so far.
    version: u64,
    /// Of the states.
    bytes: usize,
}

impl Rooms {
    /// A room, if it is in memory.
    pub(super) fn get(&self, id: &RoomId) -> Option<Arc<Room>> {
        let mut inner = self.inner();
        let room = Arc::clone(&inner.rooms.get(id)?.0);
        inner.insert(id, &room);
        Some(room)
    }

    /// The number of commits so far, for [`Self::loaded`].
    pub(super) fn version(&self) -> u64 {
        self.inner().version
    }

    /// Keeps a room that was read from the database, unless something was committed since `version`: it could be older.
    pub(super) fn loaded(&self, id: &RoomId, room: &Arc<Room>, version: u64) {
        let mut inner = self.inner();
        if inner.version == version {
            inner.insert(id, room);
        }
    }

    /// Replaces the rooms that a transaction changed, after its commit.
    pub(super) fn committed<'a>(
        &self,
        rooms: impl IntoIterator<Item = (&'a OwnedRoomId, &'a Arc<Room>)>,
    ) {
        let mut inner = self.inner();
        inner.version += 1;
        for (id, room) in rooms {
            inner.insert(id, room);
        }
    }

    /// Forgets all rooms, after a transaction of which it is not known whether it was made.
    pub(super) fn clear(&self) {
        let mut inner = self.inner();
        inner.version += 1;
        inner.rooms.clear();
        inner.bytes = 0;
        inner.uses.clear();
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(&mut self, id: &RoomId, room: &Arc<Room>) {
        self.next_use += 1;
        self.bytes += room.state.bytes();
        let earlier = self.rooms.insert(id.to_owned(), (Arc::clone(room), self.next_use));
        if let Some((earlier, used)) = earlier {
            self.bytes -= earlier.state.bytes();
            self.uses.remove(&used);
        }
        self.uses.insert(self.next_use, id.to_owned());
        let is_full = |inner: &Self| inner.rooms.len() > ROOMS_MAX || inner.bytes > BYTES_MAX;
        while self.rooms.len() > 1
            && is_full(self)
            && let Some((_, oldest)) = self.uses.pop_first()
        {
            let dropped = self.rooms.remove(&oldest);
            self.bytes -= dropped.map_or(0, |(room, _)| room.state.bytes());
        }
    }
}

#[cfg(test)]
mod tests;
