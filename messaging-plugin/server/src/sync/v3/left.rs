//! A room that the person left, or from which the person was removed, in `GET /sync`.

use ruma::{
    api::client::{
        filter::FilterDefinition,
        sync::sync_events::v3::{LeftRoom, State, StateEvents},
    },
    events::room::member::MembershipState,
};
use telmeet_core::{filter, token::Position};

use super::{
    super::{
        reader::Reader,
        room_positions::PersonRoom,
        state,
        timeline::{self, Range},
    },
    room,
};
use crate::error::Error;

/// What happened in a room up to when the person left it. Without a `since`, only if the client asks for rooms that were
/// left.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`], [`Error::Core`].
pub(crate) async fn read(
    reader: &mut Reader<'_>,
    wanted: &FilterDefinition,
    since: Option<Position>,
    room: &PersonRoom,
) -> Result<Option<LeftRoom>, Error> {
    if since.is_none() && !wanted.room.include_leave {
        return Ok(None);
    }
    // Who only declined an invitation, or forgot the room, sees nothing of it but that.
    let was_joined = !room.is_forgotten
        && state::membership_before(reader, room.position).await? == MembershipState::Join;
    let since = since.filter(|since| was_joined && room.joined_at <= *since);
    let range = Range {
        after: since.unwrap_or_default(),
        upto: room.position,
        limit: filter::limit(wanted.room.timeline.limit),
        filter: Some(&wanted.room.timeline),
    };
    let mut timeline = timeline::read(reader, &room.room_id, range).await?;
    if !was_joined && let Some(own) = state::event_at(reader, room.position).await? {
        timeline.events.retain(|stored| stored.position != own.position);
        timeline.events.push(own);
    }
    let mut left = LeftRoom::new();
    left.timeline = room::show(reader, &timeline).await?;
    if was_joined {
        let places = (range.after, range.upto);
        let events = room::state_events(reader, wanted, room, places, &timeline).await?;
        left.state = State::Before(StateEvents::with_events(reader.render_state(&events)?));
    }
    Ok(Some(left))
}
