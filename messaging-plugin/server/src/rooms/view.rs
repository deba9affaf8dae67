//! What a person may see of a room. One that does not exist is refused as one that the person may not see.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{
    EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId,
    api::client::filter::{LazyLoadOptions, RoomEventFilter},
    events::{StateEventType, room::member::MembershipState},
};
use serde_json::value::RawValue;
use sqlx::{Any, AnyConnection, pool::PoolConnection};
use store::column;
use telmeet_core::{
    client_event::{self, Additions, Format, Reader},
    event::Event,
    filter,
    state::RoomState,
    token::{Clock, Position},
    visibility::{self, Access, StateAccess},
};

use crate::{
    error::Error,
    events::{self, Audience, Direction, READ_MAX, StoredEvent},
    homeserver::{Homeserver, Room},
    personal::account_data,
    session::Session,
};

/// Most events that are read for one page: a filter may ask for few of them.
const SCANNED_MAX: usize = 5_000;
/// From how many bytes of events on a page ends early.
const PAGE_BYTES: usize = 4 << 20;
/// Fewest events that are read at once.
const BATCH_MIN: usize = 16;

/// The refusal for a room that does not exist, or of which the person may not see what it asks for.
pub(super) fn hidden() -> Error {
    Error::forbidden("you are not in this room, or it does not exist")
}

/// A room of which the person is a member now.
///
/// # Errors
///
/// [`Error::Core`] if the person is not a member, or there is no such room.
pub(super) async fn joined(
    hs: &Homeserver,
    user: &UserId,
    room: &RoomId,
) -> Result<Arc<Room>, Error> {
    let room = hs.room(room).await?.ok_or_else(hidden)?;
    is_joined(&room, user).then_some(room).ok_or_else(hidden)
}

/// Whether a person is a member now.
pub(super) fn is_joined(room: &Room, user: &UserId) -> bool {
    room.state.membership(user) == MembershipState::Join
}

/// State in the format for clients.
///
/// # Errors
///
/// [`Error::Core`] if it cannot be written as JSON.
pub(super) fn write_state<'a>(
    hs: &Homeserver,
    events: impl IntoIterator<Item = &'a Arc<Event>>,
) -> Result<Vec<Box<RawValue>>, Error> {
    let (additions, now) = (Additions::default(), hs.now());
    let write = |event| client_event::write(event, Format::Full, &additions, None, now);
    Ok(events.into_iter().map(|event| write(event)).collect::<Result<_, _>>()?)
}

/// A part of a room's history.
#[derive(Debug)]
pub(super) struct Page {
    /// Its events, in the direction in which it was read.
    pub(super) events: Vec<StoredEvent>,
    /// After the event at which position the next page begins; none if nothing is left.
    pub(super) next: Option<Position>,
}

/// The events around one.
#[derive(Debug)]
pub(super) struct Around {
    /// Those before it, the latest first.
    pub(super) before: Vec<StoredEvent>,
    /// Those after it.
    pub(super) after: Vec<StoredEvent>,
    /// Up to where the history before them goes.
    pub(super) start: Position,
    /// After which position the history goes on.
    pub(super) end: Position,
    /// The position of the last one.
    pub(super) last: Position,
}

/// A room as one person may see it.
#[derive(Debug)]
pub(super) struct View<'a> {
    hs: &'a Homeserver,
    session: &'a Session,
    id: OwnedRoomId,
    room: Arc<Room>,
    clock: Clock,
    access: Access,
    /// The last event that may be shown: where the person left, or the latest.
    upto: Position,
    ignored: BTreeSet<OwnedUserId>,
    connection: PoolConnection<Any>,
}

impl<'a> View<'a> {
    /// Reads what the person may see.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] if that is nothing, or there is no such room.
    pub(super) async fn open(
        hs: &'a Homeserver,
        session: &'a Session,
        id: &RoomId,
    ) -> Result<Self, Error> {
        let clock = hs.clock();
        // Before the connection: reading a room needs one itself.
        let room = hs.room(id).await?.ok_or_else(hidden)?;
        let mut connection = hs.pool().acquire().await?;
        let access = events::access(&mut connection, hs.vault(), id, &session.user).await?;
        if access.next(1).is_none() {
            return Err(hidden());
        }
        let upto = match access.state() {
            Some(StateAccess::Until(sequence)) => {
                position(&mut connection, id, sequence).await?.unwrap_or_default()
            }
            Some(StateAccess::Current) | None => clock.latest,
        };
        let ignored = account_data::ignored(&mut connection, hs.vault(), &session.user).await?;
        let upto = upto.min(clock.latest);
        Ok(Self { hs, session, id: id.to_owned(), room, clock, access, upto, ignored, connection })
    }

    /// Tokens of this moment.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    /// The last position that may be shown.
    pub(super) fn upto(&self) -> Position {
        self.upto
    }

    /// The state that the person may see: the current one of a member, the last one of who left.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] if that is none, as for who is only invited.
    pub(super) async fn state(&mut self) -> Result<Arc<RoomState>, Error> {
        match self.access.state().ok_or_else(hidden)? {
            StateAccess::Current => Ok(Arc::clone(&self.room.state)),
            StateAccess::Until(_) => self.state_at(self.upto).await.map(Arc::new),
        }
    }

    /// The state after the event at a position, or the last one before it.
    ///
    /// # Errors
    ///
    /// As [`Self::state`].
    pub(super) async fn state_at(&mut self, position: Position) -> Result<RoomState, Error> {
        self.access.state().ok_or_else(hidden)?;
        let position = position.min(self.upto);
        let vault = self.hs.vault();
        let mut state = RoomState::default();
        for stored in events::state_at(&mut self.connection, vault, &self.id, position).await? {
            state.apply(&stored.event)?;
        }
        Ok(state)
    }

    /// An event that the person may read.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub(super) async fn event(&mut self, id: &EventId) -> Result<StoredEvent, Error> {
        let stored = events::by_id(&mut self.connection, self.hs.vault(), &self.id, id).await?;
        let stored = stored.filter(|stored| self.may_read(stored));
        stored.ok_or(Error::NotFound("there is no such event, or you may not read it"))
    }

    /// Whether the person may read an event. Those of ignored people are not shown.
    pub(super) fn may_read(&self, stored: &StoredEvent) -> bool {
        stored.position <= self.upto
            && self.access.may_read(stored.sequence)
            && !visibility::is_ignored(&stored.event, &self.ignored)
    }

    /// At most `limit` events for which a filter asks, above position `after` and up to `upto`. A page may have fewer
    /// although more are left.
    ///
    /// # Errors
    ///
    /// Those of [`events`].
    pub(super) async fn page(
        &mut self,
        filter: &RoomEventFilter,
        (mut after, upto): (Position, Position),
        limit: usize,
        direction: Direction,
    ) -> Result<Page, Error> {
        let mut upto = upto.min(self.upto);
        let mut page = Page { events: Vec::new(), next: None };
        let mut scanned = 0;
        let mut bytes = 0;
        while page.events.len() < limit && scanned < SCANNED_MAX && bytes < PAGE_BYTES {
            let wanted = (limit - page.events.len()).clamp(BATCH_MIN, READ_MAX);
            let vault = self.hs.vault();
            let (range, connection) = ((after, upto), &mut self.connection);
            let batch = events::timeline(connection, vault, &self.id, range, wanted, direction);
            let batch = batch.await?;
            let mut is_last = batch.len() < wanted;
            for stored in batch {
                scanned += 1;
                let position = if self.access.may_read(stored.sequence) {
                    stored.position
                } else if let Some(readable) = self.readable(stored.sequence, direction).await? {
                    is_last = false;
                    readable
                } else {
                    return Ok(page);
                };
                let is_skipped = position != stored.position;
                match direction {
                    Direction::Backward => upto = position - u64::from(!is_skipped),
                    Direction::Forward => after = position - u64::from(is_skipped),
                }
                if is_skipped {
                    break;
                }
                if self.may_read(&stored) && filter::matches(filter, &stored.event) {
                    bytes += stored.event.content.get().len();
                    page.events.push(stored);
                }
                if page.events.len() == limit || bytes >= PAGE_BYTES {
                    is_last = false;
                    break;
                }
            }
            if is_last && page.events.len() < limit {
                return Ok(page);
            }
        }
        page.next = Some(if direction == Direction::Backward { upto } else { after });
        Ok(page)
    }

    /// So many events, for which a filter asks, before and after a position.
    ///
    /// # Errors
    ///
    /// Those of [`events`].
    pub(super) async fn around(
        &mut self,
        filter: &RoomEventFilter,
        at: Position,
        (before, after): (usize, usize),
    ) -> Result<Around, Error> {
        let places = (0, at.saturating_sub(1));
        let before = self.page(filter, places, before, Direction::Backward).await?;
        let after = self.page(filter, (at, self.upto), after, Direction::Forward).await?;
        let first = before.events.last().map_or(at, |stored| stored.position);
        let last = after.events.last().map_or(at, |stored| stored.position);
        Ok(Around {
            start: before.next.unwrap_or(first.saturating_sub(1)),
            end: after.next.unwrap_or(last),
            last,
            before: before.events,
            after: after.events,
        })
    }

    /// The position of the nearest event that the person may read.
    async fn readable(
        &mut self,
        from: u64,
        direction: Direction,
    ) -> Result<Option<Position>, Error> {
        let nearest = match direction {
            Direction::Backward => self.access.previous(from),
            Direction::Forward => self.access.next(from),
        };
        let Some(sequence) = nearest else { return Ok(None) };
        // The event itself may be deleted.
        let query = match direction {
            Direction::Backward => {
                "SELECT MAX(position) FROM events WHERE room_id = $1 AND sequence <= $2"
            }
            Direction::Forward => {
                "SELECT MIN(position) FROM events WHERE room_id = $1 AND sequence >= $2"
            }
        };
        let query = sqlx::query_scalar(query).bind(self.id.as_str()).bind(column::sql(sequence));
        let position: Option<i64> = query.fetch_one(&mut *self.connection).await?;
        Ok(column::optional_unsigned(position, "position")?)
    }

    /// Those of these events that the person may read.
    ///
    /// # Errors
    ///
    /// Those of [`events`].
    pub(super) async fn events(&mut self, ids: &[OwnedEventId]) -> Result<Vec<StoredEvent>, Error> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let stored = events::by_id(&mut self.connection, self.hs.vault(), &self.id, id).await?;
            found.extend(stored.filter(|stored| self.may_read(stored)));
        }
        Ok(found)
    }

    /// Events in the format for the person's app.
    ///
    /// # Errors
    ///
    /// Those of [`events`].
    pub(super) async fn render(
        &mut self,
        events: &[StoredEvent],
    ) -> Result<Vec<Box<RawValue>>, Error> {
        let reader = Reader { user: &self.session.user, device: &self.session.device };
        let (access, upto, now) = (&self.access, self.upto, self.hs.now());
        let audience = Audience { reader, access, format: Format::Full, upto, now };
        events::render(&mut self.connection, self.hs.vault(), events, audience).await
    }

    /// The member events of the senders of these events, if the app loads members lazily.
    ///
    /// # Errors
    ///
    /// As [`Self::state`].
    pub(super) async fn senders(
        &mut self,
        options: &LazyLoadOptions,
        events: &[StoredEvent],
    ) -> Result<Vec<Box<RawValue>>, Error> {
        if options.is_disabled() || self.access.state().is_none() {
            return Ok(Vec::new());
        }
        let state = self.state().await?;
        let senders: BTreeSet<&UserId> =
            events.iter().map(|stored| &*stored.event.sender).collect();
        let member = |user: &&UserId| state.get(&StateEventType::RoomMember, user.as_str());
        write_state(self.hs, senders.iter().filter_map(member))
    }

    /// The room.
    pub(super) fn room_id(&self) -> &RoomId {
        &self.id
    }

    /// For further queries.
    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

/// The position of the event with this number in the room.
async fn position(
    connection: &mut AnyConnection,
    room: &RoomId,
    sequence: u64,
) -> Result<Option<Position>, Error> {
    let query = "SELECT position FROM events WHERE room_id = $1 AND sequence = $2";
    let query = sqlx::query_scalar::<_, i64>(query).bind(room.as_str()).bind(column::sql(sequence));
    let position = query.fetch_optional(connection).await?;
    Ok(column::optional_unsigned(position, "position")?)
}
