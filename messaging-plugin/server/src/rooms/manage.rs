//! What root sees of rooms, and their removal.

use jiff::Timestamp;
use ruma::{
    OwnedRoomId, OwnedUserId, RoomAliasId, RoomId,
    events::{
        StateEventType,
        room::{member::MembershipState, power_levels::UserPowerLevel},
    },
};
use sqlx::{Row as _, any::AnyRow};
use store::column;
use telmeet_api::rooms::{self as api, RoomMember};

use super::{aliases, expire, member};
use crate::{
    error::Error,
    homeserver::{Homeserver, Room, Transaction},
};

/// Columns of a room. Messages are what is no state.
const QUERY: &str = "SELECT room_id, creator, created_at, is_listed, \
     (SELECT COUNT(*) FROM events e WHERE e.room_id = rooms.room_id AND e.state_key IS NULL) AS messages, \
     (SELECT MAX(time) FROM events e WHERE e.room_id = rooms.room_id) AS last_time FROM rooms";

const UNKNOWN: Error = Error::NotFound("there is no such room");

/// Who is in a room, is invited, or knocks.
const PRESENT: [MembershipState; 3] =
    [MembershipState::Join, MembershipState::Invite, MembershipState::Knock];

/// Every room in which somebody is, or messages are.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`].
pub(crate) async fn list(hs: &Homeserver) -> Result<Vec<api::Room>, Error> {
    let query = format!("{QUERY} ORDER BY created_at, room_id");
    let query = sqlx::query(sqlx::AssertSqlSafe(query));
    let mut rooms = Vec::new();
    for row in query.fetch_all(hs.pool()).await? {
        let id = id(&row)?;
        let Some(room) = hs.room(&id).await? else { continue };
        let shown = shown(&row, &room)?;
        let is_used = room.state.members().any(|(_, it)| PRESENT.contains(&it));
        if is_used || shown.messages > 0 {
            rooms.push(shown);
        }
    }
    Ok(rooms)
}

/// How many rooms with members, and messages, there are.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn totals(hs: &Homeserver) -> Result<api::Totals, Error> {
    let query = "SELECT (SELECT COUNT(*) FROM rooms WHERE EXISTS (SELECT 1 FROM memberships m \
           WHERE m.room_id = rooms.room_id AND m.membership = 'join')) AS rooms, \
         (SELECT COUNT(*) FROM room_state s WHERE s.kind = 'm.room.encryption' AND s.state_key = '' AND EXISTS \
           (SELECT 1 FROM memberships m WHERE m.room_id = s.room_id AND m.membership = 'join')) AS encrypted, \
         (SELECT COUNT(*) FROM events WHERE state_key IS NULL) AS messages";
    let row = sqlx::query(query).fetch_one(hs.pool()).await?;
    Ok(api::Totals {
        rooms: column::number(&row, "rooms")?,
        encrypted: column::number(&row, "encrypted")?,
        messages: column::number(&row, "messages")?,
    })
}

/// The people of a room: those who left are not listed.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::Database`], [`Error::Open`].
pub(crate) async fn members(hs: &Homeserver, name: &str) -> Result<Vec<RoomMember>, Error> {
    let room = hs.room(&find(hs, name).await?).await?.ok_or(UNKNOWN)?;
    let levels = room.state.power_levels();
    let member = |(user, membership): (OwnedUserId, MembershipState)| {
        let event = room.state.get(&StateEventType::RoomMember, user.as_str());
        let name = event.and_then(|event| name_in(event.content.get()));
        let power = match levels.for_user(&user) {
            UserPowerLevel::Int(level) => level.into(),
            UserPowerLevel::Infinite | _ => i64::MAX,
        };
        let membership = membership.to_string();
        RoomMember { user_id: user.into(), name, membership, power }
    };
    let members = room.state.members().filter(|(_, it)| *it != MembershipState::Leave);
    Ok(members.map(member).collect())
}

/// Removes a room: everybody leaves it, it has no alias any more, and its messages are deleted. Returns what it was.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::Database`], [`Error::Open`].
pub(crate) async fn remove(hs: &Homeserver, name: &str) -> Result<api::Room, Error> {
    let id = find(hs, name).await?;
    let query = format!("{QUERY} WHERE room_id = $1");
    let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.as_str());
    let row = query.fetch_optional(hs.pool()).await?.ok_or(UNKNOWN)?;
    let removed = shown(&row, &*hs.room(&id).await?.ok_or(UNKNOWN)?)?;
    let room = id.clone();
    hs.write(move |tx| Box::pin(close(tx, room))).await?;
    expire::empty(hs, &id).await?;
    Ok(removed)
}

/// Everybody leaves.
async fn close(tx: &mut Transaction, id: OwnedRoomId) -> Result<(), Error> {
    let room = tx.room(&id).await?.ok_or(UNKNOWN)?;
    for (user, _) in room.state.members().filter(|(_, it)| PRESENT.contains(it)) {
        member::leave(tx, id.clone(), user, None).await?;
    }
    for query in [
        "DELETE FROM aliases WHERE room_id = $1",
        "UPDATE rooms SET is_listed = 0 WHERE room_id = $1",
    ] {
        sqlx::query(query).bind(id.as_str()).execute(tx.connection()).await?;
    }
    Ok(())
}

/// The room of an id or alias.
async fn find(hs: &Homeserver, name: &str) -> Result<OwnedRoomId, Error> {
    match RoomAliasId::parse(name) {
        Ok(alias) => aliases::find(hs, &alias).await,
        Err(_) => RoomId::parse(name).map_err(|_| UNKNOWN),
    }
}

fn id(row: &AnyRow) -> Result<OwnedRoomId, Error> {
    let id: String = row.try_get("room_id")?;
    RoomId::parse(id).map_err(|_| store::DatabaseError::Row("room_id").into())
}

fn shown(row: &AnyRow, room: &Room) -> Result<api::Room, Error> {
    let last = column::optional_unsigned(row.try_get("last_time")?, "last_time")?;
    Ok(api::Room {
        id: row.try_get("room_id")?,
        name: room.state.name(),
        alias: room.state.canonical_alias().map(Into::into),
        creator: row.try_get("creator")?,
        created: time(column::number(row, "created_at")?),
        members: room.state.joined_count() as u64,
        messages: column::number(row, "messages")?,
        last_event: last.map(time),
        encrypted: room.state.is_encrypted(),
        listed: row.try_get::<i64, _>("is_listed")? != 0,
    })
}

/// RFC 3339 of Unix milliseconds.
fn time(milliseconds: u64) -> String {
    let seconds = i64::try_from(milliseconds / 1_000).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}

fn name_in(content: &str) -> Option<String> {
    let content: serde_json::Value = serde_json::from_str(content).ok()?;
    Some(content.get("displayname")?.as_str()?.to_owned())
}
