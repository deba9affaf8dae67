//! What the client of a connection has.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use ruma::{
    OwnedRoomId, api::client::sync::sync_events::v5::Request, events::room::member::MembershipState,
};

use super::{
    plan::{Plan, Record, RoomPlan, ShownRoom, Timeline},
    required::RequiredState,
    window::{RoomEntry, is_listed, read_windows},
};
use crate::{Error, token::Position};

/// Most connections of a device. Element X has three. The one that was unused for longest is closed.
pub const CONNECTIONS_MAX: usize = 8;

/// Longest `conn_id`, in bytes. The proposal allows 16 characters.
pub const CONNECTION_ID_MAX: usize = 64;

/// Most responses to one position that a client may name. A client drops its poll whenever a room is opened, and asks
/// again: what it dropped may still be responded to, even after what it asked then.
pub const PENDING_MAX: usize = 3;

/// A response that the client may not have received.
#[derive(Clone, Debug)]
struct Pending {
    count: u64,
    position: Position,
    typing: u64,
    records: BTreeMap<OwnedRoomId, Option<Record>>,
}

/// One connection: what the client has, up to the position that it last named.
#[derive(Clone, Debug)]
pub struct Connection {
    nonce: u64,
    /// Responses that were made; a number is not used twice.
    made: u64,
    /// The response that the client last named; 0 for none.
    confirmed: u64,
    position: Option<Position>,
    /// The last change of who is typing: these have no positions.
    typing: u64,
    records: BTreeMap<OwnedRoomId, Record>,
    /// The state that the last request wanted, which records share.
    required: Vec<Arc<RequiredState>>,
    /// The responses that followed [`Self::confirmed`], the oldest first.
    pending: VecDeque<Pending>,
}

impl Connection {
    fn new(nonce: u64) -> Self {
        Self {
            nonce,
            made: 0,
            confirmed: 0,
            position: None,
            typing: 0,
            records: BTreeMap::new(),
            required: Vec::new(),
            pending: VecDeque::new(),
        }
    }

    /// Says what a response holds that shows everything up to `now`. Nothing changes: while nothing is to be sent, the
    /// server waits and asks again. `rooms` are the person's rooms, in any order, with those that were left.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParam`] or [`Error::TooLarge`] if the request exceeds a limit.
    pub fn plan(
        &self,
        request: &Request,
        rooms: &[RoomEntry],
        now: Position,
    ) -> Result<Plan, Error> {
        let windows = read_windows(request, rooms, &self.required)?;
        let mut plan = Plan {
            counts: windows.counts.clone(),
            required: windows.all_required(),
            rooms: Vec::new(),
            shown: Vec::new(),
            since: self.position,
            typing: self.position.map(|_| self.typing),
            position: now,
            base: self.confirmed,
            records: BTreeMap::new(),
        };
        for entry in rooms {
            let record = self.records.get(&entry.room_id);
            let Some(shown) = windows.rooms.get(&*entry.room_id) else {
                self.plan_left(entry, record, &mut plan);
                continue;
            };
            let required = windows.required(shown);
            if let Some(room) = plan_room(entry, record, shown.limit, &required) {
                plan.rooms.push(room);
            }
            plan.shown.push(ShownRoom {
                room_id: entry.room_id.clone(),
                since: record.map(|record| record.up_to),
                lists: shown.lists.clone(),
                is_subscribed: shown.is_subscribed,
            });
            let is_joined = entry.membership == MembershipState::Join;
            let record = Record { up_to: now, is_joined, limit: shown.limit, required };
            plan.records.insert(entry.room_id.clone(), Some(record));
        }
        Ok(plan)
    }

    /// Makes a response of the plan, which shows who is typing up to the change with the number `typing`. Returns its `pos`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownPos`] if the client named another position after the plan was made: it waits for that response.
    pub fn commit(&mut self, plan: Plan, typing: u64) -> Result<String, Error> {
        if plan.base != self.confirmed {
            return Err(Error::UnknownPos);
        }
        self.made += 1;
        let Plan { position, records, required, .. } = plan;
        self.required = required;
        if self.pending.len() >= PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { count: self.made, position, typing, records });
        Ok(text(self.nonce, self.made))
    }

    /// Shows once that the person left a room that the client has.
    fn plan_left(&self, entry: &RoomEntry, record: Option<&Record>, plan: &mut Plan) {
        let Some(record) = record.filter(|record| record.up_to < entry.changed) else { return };
        if is_listed(entry) {
            return;
        }
        plan.rooms.push(RoomPlan {
            room_id: entry.room_id.clone(),
            membership: entry.membership.clone(),
            timeline: Timeline::Since(record.up_to),
            limit: record.limit,
            required: Arc::clone(&record.required),
            added: RequiredState::default(),
        });
        plan.records.insert(entry.room_id.clone(), None);
    }

    /// The random number in the connection's positions, by which [`Connections::get`] finds it again.
    #[must_use]
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Takes the position that a client names.
    fn resume(&mut self, pos: &str) -> Result<(), Error> {
        let named = self.pending.iter().position(|pending| text(self.nonce, pending.count) == pos);
        if let Some(pending) = named.and_then(|index| self.pending.remove(index)) {
            self.pending.clear();
            self.confirmed = pending.count;
            self.position = Some(pending.position);
            self.typing = pending.typing;
            for (room, record) in pending.records {
                match record {
                    Some(record) => self.records.insert(room, record),
                    None => self.records.remove(&room),
                };
            }
            return Ok(());
        }
        // A repeated poll: the response to it shows what the one that may have been lost did.
        if self.confirmed > 0 && text(self.nonce, self.confirmed) == pos {
            Ok(())
        } else {
            Err(Error::UnknownPos)
        }
    }
}

/// A position as text. Those of a connection that was started anew differ by the nonce.
fn text(nonce: u64, count: u64) -> String {
    format!("{nonce:x}_{count}")
}

/// The connections of one device, by `conn_id`.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    /// The one that was used last is at the end.
    open: Vec<(String, Connection)>,
}

impl Connections {
    /// Finds the connection of a request. Without a `pos` it starts anew, with `nonce`, a random number, in its
    /// positions.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownPos`] if `pos` is neither the last that this connection's client named nor of one of the last
    /// [`PENDING_MAX`] responses to that; nothing changes then.
    /// [`Error::TooLarge`] if `conn_id` is too long.
    pub fn resume(
        &mut self,
        conn_id: Option<&str>,
        pos: Option<&str>,
        nonce: u64,
    ) -> Result<&mut Connection, Error> {
        let id = conn_id.unwrap_or_default();
        if id.len() > CONNECTION_ID_MAX {
            return Err(Error::TooLarge { what: "conn_id", max: "64 bytes" });
        }
        let index = self.open.iter().position(|(open, _)| open == id);
        let connection = match (index, pos) {
            (Some(index), Some(pos)) => {
                self.open[index].1.resume(pos)?;
                self.open.remove(index)
            }
            (None, Some(_)) => return Err(Error::UnknownPos),
            (index, None) => {
                index.map(|index| self.open.remove(index));
                (id.to_owned(), Connection::new(nonce))
            }
        };
        if self.open.len() >= CONNECTIONS_MAX {
            self.open.remove(0);
        }
        self.open.push(connection);
        // It was pushed just now.
        self.open.last_mut().map(|(_, connection)| connection).ok_or(Error::UnknownPos)
    }

    /// The connection of a request that was resumed and waited since.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownPos`] if it was closed, or started anew with another nonce or by another request.
    pub fn get(&mut self, conn_id: Option<&str>, nonce: u64) -> Result<&mut Connection, Error> {
        let id = conn_id.unwrap_or_default();
        let mut open = self.open.iter_mut();
        open.find(|(open, connection)| open == id && connection.nonce == nonce)
            .map(|(_, connection)| connection)
            .ok_or(Error::UnknownPos)
    }
}

/// What is sent of a room that lists or subscriptions show.
fn plan_room(
    entry: &RoomEntry,
    record: Option<&Record>,
    limit: usize,
    required: &Arc<RequiredState>,
) -> Option<RoomPlan> {
    let added = record
        .filter(|record| !Arc::ptr_eq(&record.required, required))
        .map(|record| required.without(&record.required))
        .unwrap_or_default();
    let timeline = match record {
        None => Timeline::Initial,
        // Until then the client had only the stripped state of an invitation.
        Some(record) if !record.is_joined && entry.membership == MembershipState::Join => {
            Timeline::Initial
        }
        Some(record) if record.limit < limit => Timeline::Expanded(record.up_to),
        Some(record) if record.up_to < entry.changed || !added.is_empty() => {
            Timeline::Since(record.up_to)
        }
        Some(_) => return None,
    };
    Some(RoomPlan {
        room_id: entry.room_id.clone(),
        membership: entry.membership.clone(),
        timeline,
        limit,
        required: Arc::clone(required),
        added,
    })
}
