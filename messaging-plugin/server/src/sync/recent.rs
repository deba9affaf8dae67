//! The latest changes of rooms, in memory: a sync that was woken reads them here and not in the database.

use std::{collections::VecDeque, sync::Arc};

use ruma::{
    EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId, events::StateEventType,
};
use telmeet_core::{event::Event, relation::Relation, token::Position};

use super::room_positions::{PersonRoom, is_bumping};
use crate::events::{Direction, Related, StoredEvent};

/// Most memory of the changes, in bytes.
const BYTES_MAX: usize = 4 << 20;
/// Most changes, each of which a read may look at.
const CHANGES_MAX: usize = 2_048;
/// What a change takes beside its event's content, in bytes.
const OVERHEAD: usize = 1_000;

/// A change of a room, which others see after the transaction's commit.
#[derive(Clone, Debug)]
pub(crate) enum RoomChange {
    /// An event was sent.
    Sent(Arc<StoredEvent>),
    /// Somebody read.
    Read(Receipt),
    /// An event's content was destroyed. The position is that of the redaction, if there is one.
    Redacted(Arc<Event>, Option<Position>),
    /// An event that is no state was deleted.
    Deleted(OwnedEventId),
}

/// A receipt that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The room.
    pub(crate) room_id: OwnedRoomId,
    /// Who read.
    pub(crate) user: OwnedUserId,
    /// Whether others see it.
    pub(crate) is_public: bool,
    /// Its position.
    pub(crate) position: Position,
}

/// The latest changes, the oldest first.
#[derive(Debug)]
pub(super) struct Recent {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// All changes after this position are here; none if that is not known before the next commit.
    floor: Option<Position>,
}

#[derive(Debug)]
enum Entry {
    Event { stored: Arc<StoredEvent>, relates_to: Option<OwnedEventId> },
    Receipt(Receipt),
}

impl Recent {
    /// Nothing is known of what happened up to this position.
    pub(super) fn new(latest: Position) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, floor: Some(latest) }
    }

    /// Nothing is known before the next transaction, not even up to where.
    pub(super) fn unknown() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, floor: None }
    }

    /// Whether all changes after some position are here.
    pub(super) fn is_complete(&self) -> bool {
        self.floor.is_some()
    }

    /// Adds what a transaction changed, whose last position is `latest`.
    pub(super) fn add(&mut self, latest: Position, changes: Vec<RoomChange>) {
        if self.floor.is_none() {
            self.floor = Some(latest);
            return;
        }
        for change in changes {
            match change {
                RoomChange::Sent(stored) => {
                    let relates_to = Relation::of(&stored.event).map(|relation| relation.event_id);
                    self.push(Entry::Event { stored, relates_to });
                }
                RoomChange::Read(receipt) => self.push(Entry::Receipt(receipt)),
                RoomChange::Redacted(event, position) => self.redact(&event, position),
                RoomChange::Deleted(id) => self.delete(&id),
            }
        }
        while self.bytes > BYTES_MAX || self.entries.len() > CHANGES_MAX {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.size();
            self.floor = Some(oldest.position());
        }
    }

    /// Whether all changes after a position are here.
    pub(super) fn reaches(&self, after: Position) -> bool {
        self.floor.is_some_and(|floor| floor <= after)
    }

    /// Brings a person's rooms, which are in the order of their ids, from one position to another.
    pub(super) fn update(
        &self,
        rooms: &mut [PersonRoom],
        user: &UserId,
        (after, upto): (Position, Position),
    ) {
        for entry in self.after(after).take_while(|entry| entry.position() <= upto) {
            let place = rooms.binary_search_by(|room| (*room.room_id).cmp(entry.room()));
            let Some(room) = place.ok().and_then(|place| rooms.get_mut(place)) else { continue };
            match entry {
                Entry::Event { stored, .. } => {
                    room.last = stored.position;
                    if is_bumping(&stored.event.kind) {
                        room.bumped = stored.position;
                    }
                }
                Entry::Receipt(receipt) => {
                    let is_own = receipt.user == user;
                    if is_own {
                        room.own_receipts = receipt.position;
                    }
                    if is_own || receipt.is_public {
                        room.receipts = receipt.position;
                    }
                }
            }
        }
    }

    /// The same as [`crate::events::timeline`]; none if the changes here begin later.
    pub(super) fn timeline(
        &self,
        room: &RoomId,
        (after, upto): (Position, Position),
        limit: usize,
        direction: Direction,
    ) -> Option<Vec<StoredEvent>> {
        if !self.reaches(after) {
            return None;
        }
        let events = self.after(after).filter_map(Entry::event);
        let events = events.filter(|it| it.event.room_id == room && it.position <= upto);
        Some(match direction {
            Direction::Forward => events.take(limit).cloned().collect(),
            Direction::Backward => events.rev().take(limit).cloned().collect(),
        })
    }

    /// The last state event of each type and key in a room, at positions above `after` and below `before`, in their order;
    /// none if the changes here begin later.
    pub(super) fn state(
        &self,
        room: &RoomId,
        (after, before): (Position, Position),
    ) -> Option<Vec<Arc<Event>>> {
        if !self.reaches(after) {
            return None;
        }
        let mut last: Vec<Arc<Event>> = Vec::new();
        for stored in self.after(after).filter_map(Entry::event) {
            let event = &stored.event;
            if event.room_id != room || !event.is_state() || stored.position >= before {
                continue;
            }
            last.retain(|it| (&it.kind, &it.state_key) != (&event.kind, &event.state_key));
            last.push(Arc::clone(event));
        }
        Some(last)
    }

    /// The types and keys of a room's state that changed after a position; none if the changes here begin later.
    pub(super) fn state_keys(
        &self,
        room: &RoomId,
        after: Position,
    ) -> Option<Vec<(StateEventType, String)>> {
        let changed = self.state(room, (after, Position::MAX))?;
        let key =
            |event: &Arc<Event>| (event.state_type(), event.state_key.clone().unwrap_or_default());
        Some(changed.iter().map(key).collect())
    }

    /// The events to which one of them refers, and those that refer to it, up to a position; none if some may be older
    /// than the changes here.
    pub(super) fn related(&self, stored: &StoredEvent, upto: Position) -> Option<Related> {
        if !self.reaches(stored.position) {
            return None;
        }
        let mut related = Related::default();
        if let Some(position) = stored.replaces {
            related.replaced = Some(self.at(position)?.clone());
        }
        if let Some(position) = stored.redacted_by {
            related.redaction = Some(self.at(position)?.clone());
        }
        let (room, target) = (&stored.event.room_id, &stored.event.event_id);
        if Related::has_later(stored) {
            let later = self.after(stored.position).rev().filter_map(|entry| match entry {
                Entry::Event { stored, relates_to } if relates_to.as_ref() == Some(target) => {
                    Some(&**stored)
                }
                Entry::Event { .. } | Entry::Receipt(_) => None,
            });
            let later = later.filter(|it| it.event.room_id == *room && it.position <= upto);
            related.later = later.take(Related::LATER_MAX).cloned().collect();
        }
        Some(related)
    }

    fn at(&self, position: Position) -> Option<&StoredEvent> {
        let index = self.entries.binary_search_by_key(&position, Entry::position).ok()?;
        self.entries.get(index)?.event()
    }

    fn after(&self, position: Position) -> impl DoubleEndedIterator<Item = &Entry> {
        let first = self.entries.partition_point(|entry| entry.position() <= position);
        self.entries.range(first..)
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += entry.size();
        self.entries.push_back(entry);
    }

    fn redact(&mut self, redacted: &Arc<Event>, position: Option<Position>) {
        let Some(index) = self.find(&redacted.event_id) else { return };
        let Some(Entry::Event { stored, relates_to }) = self.entries.get_mut(index) else { return };
        let stored = Arc::make_mut(stored);
        self.bytes -= stored.event.content.get().len();
        self.bytes += redacted.content.get().len();
        stored.event = Arc::clone(redacted);
        stored.redacted_by = position;
        *relates_to = None;
    }

    fn delete(&mut self, id: &EventId) {
        if let Some(entry) = self.find(id).and_then(|index| self.entries.remove(index)) {
            self.bytes -= entry.size();
        }
    }

    fn find(&self, id: &EventId) -> Option<usize> {
        self.entries.iter().position(|it| it.event().is_some_and(|it| it.event.event_id == id))
    }
}

impl Entry {
    fn position(&self) -> Position {
        match self {
            Self::Event { stored, .. } => stored.position,
            Self::Receipt(receipt) => receipt.position,
        }
    }

    fn room(&self) -> &RoomId {
        match self {
            Self::Event { stored, .. } => &stored.event.room_id,
            Self::Receipt(receipt) => &receipt.room_id,
        }
    }

    fn event(&self) -> Option<&StoredEvent> {
        match self {
            Self::Event { stored, .. } => Some(stored),
            Self::Receipt(_) => None,
        }
    }

    fn size(&self) -> usize {
        OVERHEAD + self.event().map_or(0, |stored| stored.event.content.get().len())
    }
}

#[cfg(test)]
mod tests;
