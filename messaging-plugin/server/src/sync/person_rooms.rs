//! A person's rooms, and where each last changed.

use ruma::{OwnedRoomId, RoomId, UserId, events::room::member::MembershipState};
use sqlx::{AnyConnection, Row as _};
use store::{DatabaseError, column};
use telmeet_core::token::{Clock, Position};

use crate::{error::Error, homeserver::Homeserver};

/// How often the rooms are read again because the person entered or left one meanwhile.
const READS: usize = 3;

/// A room that a person is or was in, or is invited to, and did not forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PersonRoom {
    /// The room.
    pub(crate) room_id: OwnedRoomId,
    /// The person's membership.
    pub(crate) membership: MembershipState,
    /// The position of the person's member event.
    pub(crate) position: Position,
    /// Whether the person left it and forgot it.
    pub(crate) is_forgotten: bool,
    /// The position of the join that began the person's present or last stay; 0 if there was none.
    pub(crate) joined_at: Position,
    /// The position of the last event.
    pub(crate) last: Position,
    /// The position of the last event that moves the room to the top of a list.
    pub(crate) bumped: Position,
    /// The position of the last receipt that the person sees.
    pub(crate) receipts: Position,
    /// The position of the person's own last receipt.
    pub(crate) own_receipts: Position,
}

/// Reads the rooms, and takes a clock such that no room was entered or left after it. Those that the person left after
/// a position are there although the person forgot them: other apps of the person have to see that.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn read(
    homeserver: &Homeserver,
    connection: &mut AnyConnection,
    user: &UserId,
    since: Option<Position>,
) -> Result<(Clock, Vec<PersonRoom>), Error> {
    let mut clock = homeserver.clock();
    for _ in 0..READS {
        let rooms = read_at(connection, user, clock.latest, since).await?;
        if rooms.iter().all(|room| room.position <= clock.latest) {
            return Ok((clock, rooms));
        }
        clock = homeserver.clock();
    }
    let mut rooms = read_at(connection, user, clock.latest, since).await?;
    rooms.retain(|room| room.position <= clock.latest);
    Ok((clock, rooms))
}

async fn read_at(
    connection: &mut AnyConnection,
    user: &UserId,
    upto: Position,
    since: Option<Position>,
) -> Result<Vec<PersonRoom>, Error> {
    // The kinds are those that the proposal names (MSC4186, "bump_stamp").
    let query = "SELECT m.room_id, m.membership, m.position, m.joined_at, m.is_forgotten, \
         (SELECT e.position FROM events e WHERE e.room_id = m.room_id AND e.position <= $2 \
          ORDER BY e.position DESC LIMIT 1) AS last, \
         (SELECT e.position FROM events e WHERE e.room_id = m.room_id AND e.position <= $2 \
          AND e.kind IN ('m.room.create', 'm.room.message', 'm.room.encrypted', 'm.sticker', 'm.call.invite', \
          'm.poll.start', 'm.beacon_info') ORDER BY e.position DESC LIMIT 1) AS bumped, \
         (SELECT r.position FROM receipts r WHERE r.room_id = m.room_id AND r.position <= $2 \
          AND (r.kind = 'm.read' OR r.user_id = $1) ORDER BY r.position DESC LIMIT 1) AS receipts, \
         (SELECT r.position FROM receipts r WHERE r.room_id = m.room_id AND r.position <= $2 AND r.user_id = $1 \
          ORDER BY r.position DESC LIMIT 1) AS own_receipts \
         FROM memberships m WHERE m.user_id = $1 AND (m.is_forgotten = 0 OR m.position > $3)";
    let since = since.map_or(i64::MAX, column::sql);
    let query = sqlx::query(query).bind(user.as_str()).bind(column::sql(upto)).bind(since);
    let mut rooms = Vec::new();
    for row in query.fetch_all(connection).await? {
        let (room_id, membership): (String, String) =
            (row.try_get("room_id")?, row.try_get("membership")?);
        let optional = |column: &'static str| -> Result<Position, Error> {
            Ok(column::optional_unsigned(row.try_get(column)?, column)?.unwrap_or_default())
        };
        let position = column::number(&row, "position")?;
        rooms.push(PersonRoom {
            room_id: RoomId::parse(room_id).map_err(|_| DatabaseError::Row("room_id"))?,
            membership: membership.into(),
            position,
            is_forgotten: row.try_get::<i64, _>("is_forgotten")? != 0,
            joined_at: column::number(&row, "joined_at")?,
            last: optional("last")?,
            bumped: optional("bumped")?,
            receipts: optional("receipts")?,
            own_receipts: optional("own_receipts")?,
        });
    }
    Ok(rooms)
}
