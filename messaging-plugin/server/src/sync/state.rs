//! The state of rooms that syncs show.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{
    OwnedUserId, RoomId, UserId,
    events::{AnyStrippedStateEvent, StateEventType, room::member::MembershipState},
    serde::Raw,
};
use sqlx::Row as _;
use store::column;
use telmeet_core::{
    authorise::is_stripped_state,
    client_event,
    event::Event,
    state::{self, RoomState},
    token::Position,
};

use super::reader::Reader;
use crate::{
    error::Error,
    events::{self, StoredEvent},
};

/// Longest content of an event that is shown to somebody who is not in the room, in bytes. Somebody who is invited by
/// strangers did not choose to read it.
const STRIPPED_MAX: usize = 4 << 10;

/// The state events that replaced others at positions above `after` and below `before`, as they were before `before`.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`].
pub(crate) async fn changes(
    reader: &mut Reader<'_>,
    room: &RoomId,
    (after, before): (Position, Position),
) -> Result<Vec<Arc<Event>>, Error> {
    if let Some(changed) = reader.homeserver.cache().state(room, (after, before)) {
        return Ok(changed);
    }
    let vault = reader.homeserver.vault();
    let connection = reader.connection().await?;
    let query = "SELECT MAX(position) AS position FROM events WHERE room_id = $1 AND state_key IS NOT NULL \
         AND position > $2 AND position < $3 GROUP BY kind, state_key ORDER BY position";
    let query =
        sqlx::query(query).bind(room.as_str()).bind(column::sql(after)).bind(column::sql(before));
    let mut changed = Vec::new();
    for row in query.fetch_all(&mut *connection).await? {
        let position = column::number(&row, "position")?;
        changed.extend(events::at(connection, vault, position).await?.map(|stored| stored.event));
    }
    Ok(changed)
}

/// The types and keys of the current state that changed after a position.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn changed_keys(
    reader: &mut Reader<'_>,
    room: &RoomId,
    after: Position,
) -> Result<Vec<(StateEventType, String)>, Error> {
    if let Some(keys) = reader.homeserver.cache().state_keys(room, after) {
        return Ok(keys);
    }
    let query = "SELECT kind, state_key FROM room_state WHERE room_id = $1 AND position > $2 ORDER BY position";
    let query = sqlx::query(query).bind(room.as_str()).bind(column::sql(after));
    let mut keys = Vec::new();
    for row in query.fetch_all(reader.connection().await?).await? {
        let kind: String = row.try_get("kind")?;
        keys.push((kind.into(), row.try_get("state_key")?));
    }
    Ok(keys)
}

/// What a person sees of a room before joining it: stripped state, with the own member event and that of who sent it.
///
/// # Errors
///
/// [`Error::Core`] if an event cannot be written as JSON.
pub(crate) fn stripped(
    state: &RoomState,
    user: &UserId,
) -> Result<Vec<Raw<AnyStrippedStateEvent>>, Error> {
    let own = state.get(&StateEventType::RoomMember, user.as_str());
    let sender = own.and_then(|own| state.get(&StateEventType::RoomMember, own.sender.as_str()));
    let sender = sender.filter(|sender| own.is_some_and(|own| own.event_id != sender.event_id));
    let shown = state.iter().filter(|event| {
        event.state_key.as_deref() == Some("")
            && is_stripped_state(&event.state_type())
            && event.content.get().len() <= STRIPPED_MAX
    });
    let write = |event: &Arc<Event>| -> Result<_, Error> {
        Ok(Raw::from_json(client_event::write_stripped(event)?))
    };
    // Clients take the own member event as the last one.
    shown.chain(sender).chain(own).map(write).collect()
}

/// Whether the person is invited by somebody whom the person ignores.
#[must_use]
pub(crate) fn is_ignored_invitation(
    state: &RoomState,
    user: &UserId,
    ignored: &BTreeSet<OwnedUserId>,
) -> bool {
    let own = state.get(&StateEventType::RoomMember, user.as_str());
    own.is_some_and(|own| {
        state::membership(own) == MembershipState::Invite && ignored.contains(&own.sender)
    })
}

/// The person's membership before the member event at a position.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`].
pub(crate) async fn membership_before(
    reader: &mut Reader<'_>,
    position: Position,
) -> Result<MembershipState, Error> {
    let event = event_at(reader, position).await?;
    let Some(replaced) = event.and_then(|event| event.replaces) else {
        return Ok(MembershipState::Leave);
    };
    let event = event_at(reader, replaced).await?;
    Ok(event.map_or(MembershipState::Leave, |event| state::membership(&event.event)))
}

/// The event at a position.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`].
pub(crate) async fn event_at(
    reader: &mut Reader<'_>,
    position: Position,
) -> Result<Option<StoredEvent>, Error> {
    let vault = reader.homeserver.vault();
    events::at(reader.connection().await?, vault, position).await
}
