//! A person's rooms as lists of sliding sync see them.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{
    OwnedRoomId,
    events::{direct::DirectEventContent, room::member::MembershipState},
};
use telmeet_core::sliding::RoomEntry;

use super::super::{reader::Reader, room_positions::PersonRoom, state};
use crate::{error::Error, personal::account_data};

/// Reads the rooms' entries.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`].
pub(crate) async fn read(
    reader: &mut Reader<'_>,
    rooms: &[PersonRoom],
) -> Result<Vec<RoomEntry>, Error> {
    let direct = direct(reader).await?;
    let mut entries = Vec::with_capacity(rooms.len());
    for room in rooms {
        let Some(current) = reader.room(&room.room_id).await? else { continue };
        let user = &reader.session.user;
        if state::is_ignored_invitation(&current.state, user, &reader.ignored) {
            continue;
        }
        let is_joined = room.membership == MembershipState::Join;
        let changed = if is_joined { room.last.max(room.own_receipts) } else { room.position };
        entries.push(RoomEntry {
            room_id: room.room_id.clone(),
            membership: room.membership.clone(),
            bumped: if is_joined { room.bumped } else { room.position },
            changed,
            is_direct: direct.contains(&room.room_id),
            is_encrypted: current.state.is_encrypted(),
            room_type: current.state.room_type(),
        });
    }
    Ok(entries)
}

/// The rooms that the person's apps call direct.
async fn direct(reader: &mut Reader<'_>) -> Result<Arc<BTreeSet<OwnedRoomId>>, Error> {
    let (homeserver, user) = (reader.homeserver, &reader.session.user);
    if let Some(direct) = homeserver.cache().direct(user) {
        return Ok(direct);
    }
    let (vault, connection) = (homeserver.vault(), reader.connection().await?);
    let content = account_data::get(connection, vault, user, None, "m.direct").await?;
    let content =
        content.and_then(|content| serde_json::from_str::<DirectEventContent>(content.get()).ok());
    let rooms = content.into_iter().flat_map(|content| content.0.into_values()).flatten();
    let direct = Arc::new(rooms.collect());
    homeserver.cache().set_direct(reader.version, user, &direct);
    Ok(direct)
}
