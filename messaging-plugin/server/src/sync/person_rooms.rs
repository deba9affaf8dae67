//! A person's rooms, and where each last changed.

use ruma::{RoomId, UserId};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use store::{DatabaseError, column};
use telmeet_core::token::{Clock, Position};

use super::room_positions::{BUMPING, PersonRoom};
use crate::{error::Error, homeserver::Homeserver};

/// How often the rooms are read again because the person entered or left one meanwhile.
const READS: usize = 3;

/// Reads the rooms, and takes a clock such that no room was entered or left after it. Those that the person left after
/// a position are there although the person forgot them: other apps of the person have to see that.
///
/// # Errors
///
/// [`Error::Database`].
pub(super) async fn read(
    homeserver: &Homeserver,
    connection: &mut AnyConnection,
    user: &UserId,
    mut clock: Clock,
    since: Option<Position>,
) -> Result<(Clock, Vec<PersonRoom>), Error> {
    for _ in 0..READS {
        let rooms = read_at(&mut *connection, user, clock.latest, since).await?;
        if rooms.iter().all(|room| room.position <= clock.latest) {
            return Ok((clock, rooms));
        }
        clock = homeserver.clock();
    }
    let mut rooms = read_at(&mut *connection, user, clock.latest, since).await?;
    rooms.retain(|room| room.position <= clock.latest);
    Ok((clock, rooms))
}

async fn read_at(
    connection: &mut AnyConnection,
    user: &UserId,
    upto: Position,
    since: Option<Position>,
) -> Result<Vec<PersonRoom>, Error> {
    let bumping = BUMPING.map(|kind| format!("'{kind}'")).join(", ");
    let query = format!(
        "SELECT m.room_id, m.membership, m.position, m.joined_at, m.is_forgotten, \
         (SELECT e.position FROM events e WHERE e.room_id = m.room_id AND e.position <= $2 \
          ORDER BY e.position DESC LIMIT 1) AS last, \
         (SELECT e.position FROM events e WHERE e.room_id = m.room_id AND e.position <= $2 \
          AND e.kind IN ({bumping}) ORDER BY e.position DESC LIMIT 1) AS bumped, \
         (SELECT r.position FROM receipts r WHERE r.room_id = m.room_id AND r.position <= $2 \
          AND (r.kind = 'm.read' OR r.user_id = $1) ORDER BY r.position DESC LIMIT 1) AS receipts, \
         (SELECT r.position FROM receipts r WHERE r.room_id = m.room_id AND r.position <= $2 AND r.user_id = $1 \
          ORDER BY r.position DESC LIMIT 1) AS own_receipts \
         FROM memberships m WHERE m.user_id = $1 AND (m.is_forgotten = 0 OR m.position > $3)"
    );
    let since = since.map_or(i64::MAX, column::sql);
    let query = sqlx::query(AssertSqlSafe(query));
    let query = query.bind(user.as_str()).bind(column::sql(upto)).bind(since);
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
    rooms.sort_unstable_by(|one: &PersonRoom, other| one.room_id.cmp(&other.room_id));
    Ok(rooms)
}
