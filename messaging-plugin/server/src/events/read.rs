//! Reads events.

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, UserId, events::TimelineEventType,
};
use sqlx::{AnyConnection, AssertSqlSafe, any::AnyRow};
use store::column;
use telmeet_core::{client_event::Transaction, token::Position, visibility::Access};

use super::{row, stored::StoredEvent};
use crate::{error::Error, vault::Vault};

/// The columns that [`StoredEvent`] is read from.
const COLUMNS: &str = "position, event_id, room_id, sequence, sender, kind, state_key, content_sealed, time, previous, \
     auth_events, redacts, redacted_by, replaces, device_id, transaction_id";

/// Most events of one read. Each may have 64 KiB.
pub const READ_MAX: usize = 100;

/// In which order events are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The oldest first.
    Forward,
    /// The latest first.
    Backward,
}

/// An event of a room.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`], as all functions here.
pub async fn by_id(
    connection: &mut AnyConnection,
    vault: &Vault,
    room: &RoomId,
    id: &EventId,
) -> Result<Option<StoredEvent>, Error> {
    let query = format!("SELECT {COLUMNS} FROM events WHERE event_id = $1 AND room_id = $2");
    let query = sqlx::query(AssertSqlSafe(query)).bind(id.as_str()).bind(room.as_str());
    let row = query.fetch_optional(connection).await?;
    row.map(|row| row::read(&row, vault)).transpose()
}

/// The event at a position.
pub async fn at(
    connection: &mut AnyConnection,
    vault: &Vault,
    position: Position,
) -> Result<Option<StoredEvent>, Error> {
    let query = format!("SELECT {COLUMNS} FROM events WHERE position = $1");
    let query = sqlx::query(AssertSqlSafe(query)).bind(column::sql(position));
    let row = query.fetch_optional(connection).await?;
    row.map(|row| row::read(&row, vault)).transpose()
}

/// Events of a room at positions above `after` and up to `upto`: at most `limit`, and at most [`READ_MAX`].
pub async fn timeline(
    connection: &mut AnyConnection,
    vault: &Vault,
    room: &RoomId,
    (after, upto): (Position, Position),
    limit: usize,
    direction: Direction,
) -> Result<Vec<StoredEvent>, Error> {
    let order = match direction {
        Direction::Forward => "ASC",
        Direction::Backward => "DESC",
    };
    let query = format!(
        "SELECT {COLUMNS} FROM events WHERE room_id = $1 AND position > $2 AND position <= $3 \
         ORDER BY position {order} LIMIT $4"
    );
    let query = sqlx::query(AssertSqlSafe(query))
        .bind(room.as_str())
        .bind(column::sql(after))
        .bind(column::sql(upto))
        .bind(column::sql(limit.min(READ_MAX) as u64));
    read_all(&query.fetch_all(connection).await?, vault)
}

/// Events of a room from a time on, or up to it: those nearest to it first.
pub async fn near_time(
    connection: &mut AnyConnection,
    vault: &Vault,
    room: &RoomId,
    time: MilliSecondsSinceUnixEpoch,
    limit: usize,
    direction: Direction,
) -> Result<Vec<StoredEvent>, Error> {
    let (is_on_side, order) = match direction {
        Direction::Forward => ("time >= $2", "time, position"),
        Direction::Backward => ("time <= $2", "time DESC, position DESC"),
    };
    let query = format!(
        "SELECT {COLUMNS} FROM events WHERE position IN (SELECT position FROM events \
         WHERE room_id = $1 AND {is_on_side} ORDER BY {order} LIMIT $3) ORDER BY {order}"
    );
    let query = sqlx::query(AssertSqlSafe(query))
        .bind(room.as_str())
        .bind(column::sql(time.get().into()))
        .bind(column::sql(limit.min(READ_MAX) as u64));
    read_all(&query.fetch_all(connection).await?, vault)
}

/// Events that a person sent, in any room, at positions above `after`.
pub async fn of_sender(
    connection: &mut AnyConnection,
    vault: &Vault,
    user: &UserId,
    after: Position,
    limit: usize,
) -> Result<Vec<StoredEvent>, Error> {
    let query = format!(
        "SELECT {COLUMNS} FROM events WHERE position > $1 AND sender = $2 ORDER BY position LIMIT $3"
    );
    let query = sqlx::query(AssertSqlSafe(query))
        .bind(column::sql(after))
        .bind(user.as_str())
        .bind(column::sql(limit.min(READ_MAX) as u64));
    read_all(&query.fetch_all(connection).await?, vault)
}

/// Events of others, in the rooms that a person is in, up to a position: the latest ones first.
pub async fn of_others(
    connection: &mut AnyConnection,
    vault: &Vault,
    user: &UserId,
    upto: Position,
    limit: usize,
) -> Result<Vec<StoredEvent>, Error> {
    let query = format!(
        "SELECT {COLUMNS} FROM events WHERE position <= $1 AND sender <> $2 AND room_id IN \
         (SELECT room_id FROM memberships WHERE user_id = $2 AND membership = 'join') \
         ORDER BY position DESC LIMIT $3"
    );
    let query = sqlx::query(AssertSqlSafe(query))
        .bind(column::sql(upto))
        .bind(user.as_str())
        .bind(column::sql(limit.min(READ_MAX) as u64));
    read_all(&query.fetch_all(connection).await?, vault)
}

/// Events of a room that relate to `target`, at positions above `after` and up to `upto`.
pub async fn related(
    connection: &mut AnyConnection,
    vault: &Vault,
    (room, target): (&RoomId, &EventId),
    (after, upto): (Position, Position),
    limit: usize,
    direction: Direction,
) -> Result<Vec<StoredEvent>, Error> {
    let order = match direction {
        Direction::Forward => "ASC",
        Direction::Backward => "DESC",
    };
    let query = format!(
        "SELECT {COLUMNS} FROM events WHERE relates_to = $1 AND position > $2 AND position <= $3 \
         AND room_id = $4 ORDER BY position {order} LIMIT $5"
    );
    let query = sqlx::query(AssertSqlSafe(query))
        .bind(target.as_str())
        .bind(column::sql(after))
        .bind(column::sql(upto))
        .bind(room.as_str())
        .bind(column::sql(limit.min(READ_MAX) as u64));
    read_all(&query.fetch_all(connection).await?, vault)
}

/// The state of a room after the event at `position`, or the last one before it.
pub async fn state_at(
    connection: &mut AnyConnection,
    vault: &Vault,
    room: &RoomId,
    position: Position,
) -> Result<Vec<StoredEvent>, Error> {
    let query = format!(
        "SELECT {COLUMNS} FROM events WHERE position IN (SELECT MAX(position) FROM events \
         WHERE room_id = $1 AND state_key IS NOT NULL AND position <= $2 GROUP BY kind, state_key) ORDER BY position"
    );
    let query = sqlx::query(AssertSqlSafe(query)).bind(room.as_str()).bind(column::sql(position));
    read_all(&query.fetch_all(connection).await?, vault)
}

/// What decides which events of a room a person may read. Its sequence numbers are [`StoredEvent::sequence`].
pub async fn access(
    connection: &mut AnyConnection,
    vault: &Vault,
    room: &RoomId,
    user: &UserId,
) -> Result<Access, Error> {
    let query = format!(
        "SELECT {COLUMNS} FROM events WHERE position IN (SELECT position FROM events WHERE room_id = $1 \
         AND kind = 'm.room.history_visibility' AND state_key = '' UNION ALL SELECT position FROM events \
         WHERE room_id = $1 AND kind = 'm.room.member' AND state_key = $2) ORDER BY position"
    );
    let query = sqlx::query(AssertSqlSafe(query)).bind(room.as_str()).bind(user.as_str());
    let changes = read_all(&query.fetch_all(&mut *connection).await?, vault)?;
    let forgotten = "SELECT is_forgotten FROM memberships WHERE room_id = $1 AND user_id = $2";
    let forgotten = sqlx::query_scalar::<_, i64>(forgotten).bind(room.as_str()).bind(user.as_str());
    let is_forgotten = forgotten.fetch_optional(connection).await?.is_some_and(|it| it != 0);
    let (members, visibility): (Vec<_>, Vec<_>) =
        changes.iter().partition(|stored| stored.event.kind.to_string() == "m.room.member");
    Ok(Access::new(
        visibility
            .iter()
            .map(|it| (it.sequence, telmeet_core::state::history_visibility(&it.event))),
        members.iter().map(|it| (it.sequence, telmeet_core::state::membership(&it.event))),
        is_forgotten,
    ))
}

/// The event of this type that a device sent into a room with this transaction id.
pub async fn sent(
    connection: &mut AnyConnection,
    user: &UserId,
    (room, kind): (&RoomId, &TimelineEventType),
    sent_by: &Transaction,
) -> Result<Option<OwnedEventId>, Error> {
    let query = "SELECT event_id FROM transactions WHERE user_id = $1 AND device_id = $2 AND transaction_id = $3 \
         AND room_id = $4 AND kind = $5";
    let query = sqlx::query_scalar::<_, String>(query)
        .bind(user.as_str())
        .bind(sent_by.device.as_str())
        .bind(sent_by.id.as_str())
        .bind(room.as_str())
        .bind(kind.to_string());
    let id = query.fetch_optional(connection).await?;
    Ok(id.and_then(|id| EventId::parse(id).ok()))
}

fn read_all(rows: &[AnyRow], vault: &Vault) -> Result<Vec<StoredEvent>, Error> {
    rows.iter().map(|row| row::read(row, vault)).collect()
}

/// The current state of a room.
pub async fn current_state(
    connection: &mut AnyConnection,
    vault: &Vault,
    room: &RoomId,
) -> Result<Vec<StoredEvent>, Error> {
    let query = format!(
        "SELECT {COLUMNS} FROM events WHERE position IN (SELECT position FROM room_state WHERE room_id = $1) \
         ORDER BY position"
    );
    let query = sqlx::query(AssertSqlSafe(query)).bind(room.as_str());
    read_all(&query.fetch_all(connection).await?, vault)
}
