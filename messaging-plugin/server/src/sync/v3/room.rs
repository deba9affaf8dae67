//! A room that the person is in, in `GET /sync`.

use std::sync::Arc;

use ruma::{
    UInt, UserId,
    api::client::{
        filter::FilterDefinition,
        sync::sync_events::v3::{
            Ephemeral, JoinedRoom, RoomSummary, State, StateEvents, Timeline as ShownTimeline,
        },
    },
    events::AnyRoomAccountDataEvent,
    serde::Raw,
};
use serde_json::Value;
use telmeet_core::{event::Event, filter, state::RoomState, token::Position};

use super::{
    super::{
        reader::{Reader, raw},
        room_positions::PersonRoom,
        state,
        timeline::{self, Range, Timeline},
        unread,
    },
    lazy,
};
use crate::{error::Error, events, personal::receipts};

/// A room, and what is known of it already.
pub(crate) struct RoomUpdate<'a> {
    /// The room.
    pub(crate) room: &'a PersonRoom,
    /// Account data that changed.
    pub(crate) account_data: Vec<Raw<AnyRoomAccountDataEvent>>,
    /// The `m.typing` event, if it changed.
    pub(crate) typing: Option<Value>,
    /// Whether the whole state is wanted, changed or not.
    pub(crate) is_full: bool,
}

/// What changed in a room since a position, or the whole room if the person was not in it then. Nothing if nothing
/// changed.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`], [`Error::Core`].
pub(crate) async fn joined(
    reader: &mut Reader<'_>,
    wanted: &FilterDefinition,
    since: Option<Position>,
    shown: RoomUpdate<'_>,
) -> Result<Option<JoinedRoom>, Error> {
    let RoomUpdate { room, account_data, typing, is_full } = shown;
    let since_or_0 = since.unwrap_or_default();
    let is_changed = room.last > since_or_0 || room.receipts > since_or_0;
    if !is_changed && !is_full && account_data.is_empty() && typing.is_none() {
        return Ok(None);
    }
    let Some(current) = reader.room(&room.room_id).await? else { return Ok(None) };
    let is_new = since.is_none_or(|since| since < room.joined_at);
    let after = if is_new { 0 } else { since_or_0 };
    let mut joined = JoinedRoom::new();
    joined.account_data.events = account_data;
    joined.ephemeral = ephemeral(reader, wanted, room, after, typing).await?;
    if room.last > since_or_0 || is_full {
        let range = Range {
            after,
            upto: reader.latest(),
            limit: filter::limit(wanted.room.timeline.limit),
            filter: Some(&wanted.room.timeline),
        };
        let timeline = timeline::read(reader, &room.room_id, range).await?;
        let places = (if is_full { 0 } else { after }, range.upto);
        let is_whole = is_new || is_full;
        let events = state_events(reader, wanted, room, places, &timeline).await?;
        let events =
            lazy::apply(reader, wanted, &current.state, events, (room, is_whole), &timeline);
        joined.state = State::Before(StateEvents::with_events(reader.render_state(&events)?));
        joined.summary = summary(&current.state, &reader.session.user);
        joined.timeline = show(reader, &timeline).await?;
        // The client may have an older part of the timeline, from before it left.
        joined.timeline.limited |= is_new && since.is_some();
    }
    if is_changed {
        let unread = unread::count(reader, room, &current.state).await?;
        if wanted.room.timeline.unread_thread_notifications {
            joined.unread_notifications = unread::counts(unread.main);
            let threads = unread.threads.into_iter();
            joined.unread_thread_notifications =
                threads.map(|(root, counts)| (root, unread::counts(counts))).collect();
        } else {
            joined.unread_notifications = unread::counts(unread.total());
        }
    }
    Ok(Some(joined))
}

/// The state before a timeline, or what changed of it. State events between those of the timeline that are not shown
/// there are part of it.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`].
pub(crate) async fn state_events(
    reader: &mut Reader<'_>,
    wanted: &FilterDefinition,
    room: &PersonRoom,
    (after, upto): (Position, Position),
    timeline: &Timeline,
) -> Result<Vec<Arc<Event>>, Error> {
    let start = timeline.start(upto);
    let mut events = state_before(reader, room, after, start).await?;
    if timeline.hides_state {
        let last = state_before(reader, room, after, upto + 1).await?;
        for event in last.into_iter().filter(|event| !timeline.has(&event.event_id)) {
            events.retain(|earlier| {
                (&earlier.kind, &earlier.state_key) != (&event.kind, &event.state_key)
            });
            events.push(event);
        }
    }
    events.retain(|event| filter::matches(&wanted.room.state, event));
    Ok(events)
}

async fn state_before(
    reader: &mut Reader<'_>,
    room: &PersonRoom,
    after: Position,
    before: Position,
) -> Result<Vec<Arc<Event>>, Error> {
    if after > 0 {
        return state::changes(reader, &room.room_id, (after, before)).await;
    }
    let vault = reader.homeserver.vault();
    let at = before.saturating_sub(1);
    let events = events::state_at(reader.connection().await?, vault, &room.room_id, at).await?;
    Ok(events.into_iter().map(|stored| stored.event).collect())
}

/// A timeline for the client.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`], [`Error::Core`].
pub(crate) async fn show(
    reader: &mut Reader<'_>,
    timeline: &Timeline,
) -> Result<ShownTimeline, Error> {
    let mut shown = ShownTimeline::new();
    shown.limited = timeline.is_limited;
    shown.prev_batch = Some(reader.clock.page_token(timeline.before));
    shown.events = reader.render(&timeline.events, &timeline.access).await?;
    Ok(shown)
}

async fn ephemeral(
    reader: &mut Reader<'_>,
    wanted: &FilterDefinition,
    room: &PersonRoom,
    since: Position,
    typing: Option<Value>,
) -> Result<Ephemeral, Error> {
    let mut ephemeral = Ephemeral::new();
    let is_wanted = filter::matches_room_data(&wanted.room.ephemeral, "m.receipt", &room.room_id);
    if is_wanted && room.receipts > since {
        let (range, user) = ((since, reader.latest()), &reader.session.user);
        let connection = reader.connection().await?;
        let receipts = receipts::changes(connection, &room.room_id, user, range).await?;
        if let Some(receipts) = receipts {
            ephemeral.events.push(raw(&receipts)?);
        }
    }
    if let Some(typing) = typing {
        ephemeral.events.push(raw(&typing)?);
    }
    Ok(ephemeral)
}

/// What names a room and counts its members.
fn summary(state: &RoomState, user: &UserId) -> RoomSummary {
    let mut summary = RoomSummary::new();
    let count = |count: usize| Some(UInt::new_saturating(count as u64));
    summary.joined_member_count = count(state.joined_count());
    summary.invited_member_count = count(state.invited_count());
    if state.name().is_none() && state.canonical_alias().is_none() {
        summary.heroes = state.heroes(user);
    }
    summary
}
