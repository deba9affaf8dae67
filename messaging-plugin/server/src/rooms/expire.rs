//! Messages are deleted: those that are older than a room keeps them (`m.room.retention`, MSC1763), those of a room that the
//! admin removes, and those of a person who asks for it. State stays, and so does each event's number in its room.

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
        let before = u64::from(hs.now().get()).saturating_sub(lifetime);
        delete_before(hs, &id, before).await?;
    }
    Ok(())
}

fn lifetime(room: &Room) -> Option<u64> {
    let event = room.state.get(&StateEventType::from(RETENTION), "")?;
    serde_json::from_str::<Retention>(event.content.get()).ok()?.max_lifetime
}

/// Deletes the messages of a room that were sent before a time, in Unix milliseconds.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn delete_before(
    hs: &Homeserver,
    room: &RoomId,
    before: u64,
) -> Result<(), Error> {
    delete(hs, &Which::Before(room.to_owned(), before)).await
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
    /// Those of a room that were sent before a time.
    Before(OwnedRoomId, u64),
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
    let (by, value, before) = match which {
        Which::Before(room, before) => ("room_id", room.to_string(), before),
        Which::Of(user) => ("sender", user.to_string(), u64::MAX),
    };
    let query = format!("{columns} WHERE {by} = $1 AND time < $4 {rest}");
    let query = sqlx::query(AssertSqlSafe(query))
        .bind(value)
        .bind(column::sql(after))
        .bind(column::sql(BATCH as u64))
        .bind(column::sql(before));
    let messages = query.fetch_all(tx.connection()).await?;
    for row in &messages {
        let (id, room): (String, String) = (row.try_get("event_id")?, row.try_get("room_id")?);
        let last = "SELECT MAX(position) FROM events WHERE room_id = $1";
        let last = sqlx::query_scalar::<_, Option<i64>>(last).bind(room.clone());
        if Some(row.try_get::<i64, _>("position")?) != last.fetch_one(tx.connection()).await? {
            tx.delete(&id).await?;
            continue;
        }
        // The next event follows the last one, which only loses its content.
        let (vault, Ok(id), Ok(room)) = (tx.vault(), EventId::parse(id), RoomId::parse(room))
        else {
            continue;
        };
        if let Some(stored) = events::by_id(tx.connection(), &vault, &room, &id).await? {
            tx.redact(&stored.event, None).await?;
        }
    }
    match messages.last() {
        Some(last) if messages.len() == BATCH => Ok(Some(column::number(last, "position")?)),
        Some(_) | None => Ok(None),
    }
}
