//! Messages are deleted: those that are older than a room keeps them (`m.room.retention`, MSC1763), those of a room that the
//! admin removes, and those of a person who asks for it. State stays, and so does each event's number in its room.

use std::ops::RangeInclusive;

use futures_util::FutureExt as _;
use ruma::{EventId, OwnedRoomId, OwnedUserId, RoomId, UserId, events::StateEventType};
use serde::Deserialize;
use sqlx::{AssertSqlSafe, Row as _};
use store::column;
use telmeet_core::token::Position;

use crate::{
    error::Error,
    events,
    homeserver::{Homeserver, Room, Transaction},
};

/// Most messages that are deleted in one transaction.
const BATCH: usize = 200;
/// The type of the state event that says how long a room keeps messages.
const RETENTION: &str = "m.room.retention";

/// The content of that event.
#[derive(Deserialize)]
struct Retention {
    /// In milliseconds.
    max_lifetime: Option<u64>,
}

/// Deletes the messages that their rooms keep no longer.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn expire_all(hs: &Homeserver) -> Result<(), Error> {
    let query = "SELECT room_id FROM room_state WHERE kind = $1 AND state_key = ''";
    let query = sqlx::query_scalar::<_, String>(query).bind(RETENTION);
    for id in query.fetch_all(hs.pool()).await? {
        let Ok(id) = RoomId::parse(id) else { continue };
        let Some(lifetime) = hs.room(&id).await?.and_then(|room| lifetime(&room)) else { continue };
        let now = u64::from(hs.now().get());
        let before = now.saturating_sub(lifetime);
        let upto = first_kept(hs, &id, before..=now).await?;
        delete(hs, &Which::Before { room: id, before, upto }).await?;
    }
    Ok(())
}

/// The position of a room's first event that is kept. Those after it are younger, even if the clock was behind when they were
/// sent.
async fn first_kept(
    hs: &Homeserver,
    room: &RoomId,
    times: RangeInclusive<u64>,
) -> Result<Position, Error> {
    let query = "SELECT MIN(position) FROM events WHERE room_id = $1 AND time >= $2 AND time <= $3";
    let query = sqlx::query_scalar::<_, Option<i64>>(query)
        .bind(room.as_str())
        .bind(column::sql(*times.start()))
        .bind(column::sql(*times.end()));
    let first = query.fetch_one(hs.pool()).await?;
    Ok(column::optional_unsigned(first, "position")?.unwrap_or(Position::MAX))
}

fn lifetime(room: &Room) -> Option<u64> {
    let event = room.state.get(&StateEventType::from(RETENTION), "")?;
    serde_json::from_str::<Retention>(event.content.get()).ok()?.max_lifetime
}

/// Deletes all messages of a room.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn empty(hs: &Homeserver, room: &RoomId) -> Result<(), Error> {
    let (room, before, upto) = (room.to_owned(), u64::MAX, Position::MAX);
    delete(hs, &Which::Before { room, before, upto }).await
}

/// Deletes all messages and uploads of a person.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn erase(hs: &Homeserver, user: &UserId) -> Result<(), Error> {
    delete(hs, &Which::Of(user.to_owned())).await?;
    let user = user.to_owned();
    hs.write(move |tx| async move { tx.delete_uploads(&user).await }.boxed()).await
}

/// Which messages are deleted.
#[derive(Clone)]
enum Which {
    /// Those of a room that were sent before a time, in Unix milliseconds, and lie before a position.
    Before { room: OwnedRoomId, before: u64, upto: Position },
    /// Those of a person.
    Of(OwnedUserId),
}

async fn delete(hs: &Homeserver, which: &Which) -> Result<(), Error> {
    let mut after = 0;
    loop {
        let which = which.clone();
        // Others write in between.
        let next = hs.write(move |tx| delete_batch(tx, which, after).boxed()).await?;
        match next {
            Some(position) => after = position,
            None => return Ok(()),
        }
    }
}

/// Deletes some messages after a position. Returns the position of the last one, if there may be more.
async fn delete_batch(
    tx: &mut Transaction,
    which: Which,
    after: Position,
) -> Result<Option<Position>, Error> {
    let columns = "SELECT event_id, room_id, position FROM events";
    let rest = "AND state_key IS NULL AND position > $2 ORDER BY position LIMIT $3";
    let (by, value, before, upto) = match which {
        Which::Before { room, before, upto } => ("room_id", room.to_string(), before, upto),
        Which::Of(user) => ("sender", user.to_string(), u64::MAX, Position::MAX),
    };
    let query = format!("{columns} WHERE {by} = $1 AND time < $4 AND position < $5 {rest}");
    let query = sqlx::query(AssertSqlSafe(query))
        .bind(value)
        .bind(column::sql(after))
        .bind(column::sql(BATCH as u64))
        .bind(column::sql(before))
        .bind(column::sql(upto));
    let messages = query.fetch_all(tx.connection()).await?;
    for row in &messages {
        let (id, room): (String, String) = (row.try_get("event_id")?, row.try_get("room_id")?);
        let (Ok(id), Ok(room)) = (EventId::parse(id), RoomId::parse(room)) else { continue };
        let last = "SELECT MAX(position) FROM events WHERE room_id = $1";
        let last = sqlx::query_scalar::<_, Option<i64>>(last).bind(room.as_str());
        if Some(row.try_get::<i64, _>("position")?) != last.fetch_one(tx.connection()).await? {
            tx.delete(&id).await?;
            continue;
        }
        // The next event follows the last one, which only loses its content.
        let vault = tx.vault();
        if let Some(stored) = events::by_id(tx.connection(), &vault, &room, &id).await? {
            tx.redact(&stored.event, None).await?;
        }
    }
    match messages.last() {
        Some(last) if messages.len() == BATCH => Ok(Some(column::number(last, "position")?)),
        Some(_) | None => Ok(None),
    }
}
