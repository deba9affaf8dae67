//! How many events are unread.

use ruma::{
    UInt, UserId,
    api::client::sync::sync_events::UnreadNotificationsCount,
    events::{StateEventType, TimelineEventType},
};
use serde_json::Value;
use telmeet_core::{
    state::RoomState,
    token::Position,
    unread::{self, Counts, Notification, Thread, Unread},
};

use super::{cache::Counted, reader::Reader, room_positions::PersonRoom};
use crate::{
    error::Error,
    events::{Direction, READ_MAX, StoredEvent},
    personal::receipts,
};

/// Most events that are looked at: a room with more unread ones shows this count.
const EVENTS_MAX: usize = 1_000;

/// Counts what is unread in a room that the person is in.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`], [`Error::Core`].
pub(crate) async fn count(
    reader: &mut Reader<'_>,
    room: &PersonRoom,
    current: &RoomState,
) -> Result<Unread, Error> {
    let cache = reader.homeserver.cache();
    let counted = cache.counted(&reader.session.user, &room.room_id).filter(|counted| {
        let is_same = (counted.joined_at, counted.receipts) == (room.joined_at, room.own_receipts);
        is_same && counted.upto <= reader.latest()
    });
    let unread = match counted {
        Some(counted) if counted.upto >= room.last => return Ok(counted.unread),
        Some(counted) => count_on(reader, room, current, counted).await?,
        None => None,
    };
    let unread = match unread {
        Some(unread) => unread,
        None => count_all(reader, room, current).await?,
    };
    let counted = Counted {
        joined_at: room.joined_at,
        receipts: room.own_receipts,
        upto: reader.latest(),
        unread: unread.clone(),
    };
    cache.set_counted(reader.version, &reader.session.user, &room.room_id, counted);
    Ok(unread)
}

/// Counts on from what was counted. Nothing if an event in between changes how earlier ones count: a redaction, or the
/// person's own name.
async fn count_on(
    reader: &mut Reader<'_>,
    room: &PersonRoom,
    current: &RoomState,
    counted: Counted,
) -> Result<Option<Unread>, Error> {
    let user = &reader.session.user;
    let changes_others = |stored: &StoredEvent| {
        stored.event.kind == TimelineEventType::RoomRedaction
            || stored.event.state_key.as_deref() == Some(user.as_str())
    };
    let mut unread = counted.unread;
    let mut pages = Pages::new(reader, counted.upto, Direction::Forward);
    while let Some(events) = pages.next(reader, room).await? {
        if pages.looked_at >= EVENTS_MAX || events.iter().any(changes_others) {
            return Ok(None);
        }
        for stored in &events {
            let thread = Thread::of(&stored.event);
            if stored.event.sender == *user {
                if !stored.event.is_state() {
                    unread.sent(&thread);
                }
            } else if let Some(notification) = notification(reader, stored, current).await? {
                unread.add(thread, notification);
            }
        }
    }
    Ok(Some(unread))
}

/// Counts everything after the person's receipts.
async fn count_all(
    reader: &mut Reader<'_>,
    room: &PersonRoom,
    current: &RoomState,
) -> Result<Unread, Error> {
    let (user, latest) = (&reader.session.user, reader.latest());
    let mut receipts =
        receipts::read_up_to(reader.connection().await?, &room.room_id, user, latest).await?;
    let after = receipts.read_everywhere_up_to().unwrap_or_default().max(room.joined_at);
    let mut counted = Vec::new();
    let mut pages = Pages::new(reader, after, Direction::Backward);
    while let Some(events) = pages.next(reader, room).await? {
        for stored in &events {
            let (event, thread) = (&stored.event, Thread::of(&stored.event));
            if event.sender == reader.session.user {
                // A change of the own profile reads nothing.
                if !event.is_state() {
                    receipts.sent(thread, stored.position);
                }
                continue;
            }
            if receipts.read_up_to(&thread).is_some_and(|read| stored.position <= read) {
                continue;
            }
            if let Some(notification) = notification(reader, stored, current).await? {
                counted.push((stored.position, thread, notification));
            }
        }
    }
    Ok(Unread::count(counted, &receipts))
}

/// At most [`EVENTS_MAX`] events of a range, a few at a time: together they may have 64 MiB.
struct Pages {
    after: Position,
    upto: Position,
    direction: Direction,
    looked_at: usize,
    is_over: bool,
}

impl Pages {
    fn new(reader: &Reader<'_>, after: Position, direction: Direction) -> Self {
        Self { after, upto: reader.latest(), direction, looked_at: 0, is_over: false }
    }

    /// The next events; nothing after the last ones.
    async fn next(
        &mut self,
        reader: &mut Reader<'_>,
        room: &PersonRoom,
    ) -> Result<Option<Vec<StoredEvent>>, Error> {
        let (range, direction) = ((self.after, self.upto), self.direction);
        let limit = READ_MAX.min(EVENTS_MAX - self.looked_at);
        if self.is_over || limit == 0 {
            return Ok(None);
        }
        let events = reader.timeline(&room.room_id, range, limit, direction).await?;
        self.looked_at += events.len();
        self.is_over = events.len() < limit;
        if let Some(last) = events.last() {
            match direction {
                Direction::Forward => self.after = last.position,
                Direction::Backward => self.upto = last.position.saturating_sub(1),
            }
        }
        Ok(Some(events))
    }
}

/// What an event of somebody else means to the reader; nothing if it was redacted, or its sender is ignored.
async fn notification(
    reader: &mut Reader<'_>,
    stored: &StoredEvent,
    current: &RoomState,
) -> Result<Option<Notification>, Error> {
    if stored.redacted_by.is_some() || reader.ignored.contains(&stored.event.sender) {
        return Ok(None);
    }
    let rules = reader.rules().await?;
    let user = &reader.session.user;
    Ok(Some(unread::evaluate(&rules, &stored.event, current, user, &name(current, user))?))
}

/// The name by which others in a room mention a person.
pub(crate) fn name(current: &RoomState, user: &UserId) -> String {
    let event = current.get(&StateEventType::RoomMember, user.as_str());
    let content = event.and_then(|event| serde_json::from_str::<Value>(event.content.get()).ok());
    let name = content.and_then(|content| Some(content["displayname"].as_str()?.to_owned()));
    name.unwrap_or_else(|| user.localpart().to_owned())
}

/// Counts for the client.
#[must_use]
pub(crate) fn counts(counts: Counts) -> UnreadNotificationsCount {
    let mut written = UnreadNotificationsCount::new();
    written.notification_count = Some(UInt::new_saturating(counts.notifications));
    written.highlight_count = Some(UInt::new_saturating(counts.highlights));
    written
}
