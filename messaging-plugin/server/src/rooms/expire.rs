//! Messages are deleted: those that are older than a room keeps them (`m.room.retention`, MSC1763), and those of a room that
//! the admin removes. State stays, and so does each event's number in its room.

use futures_util::FutureExt as _;
use ruma::{OwnedRoomId, RoomId, events::StateEventType};
use serde::Deserialize;
use sqlx::Row as _;
use store::column;

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
    loop {
        let room = room.to_owned();
        // Others write in between.
        let deleted = hs.write(move |tx| delete_batch(tx, room, before).boxed());
        if deleted.await? < BATCH {
            return Ok(());
        }
    }
}

async fn delete_batch(
    tx: &mut Transaction,
    room: OwnedRoomId,
    before: u64,
) -> Result<usize, Error> {
    let query = "SELECT event_id, position FROM events WHERE room_id = $1 AND state_key IS NULL AND time < $2 \
         ORDER BY position LIMIT $3";
    let query = sqlx::query(query)
        .bind(room.as_str())
        .bind(column::sql(before))
        .bind(column::sql(BATCH as u64));
    let old = query.fetch_all(tx.connection()).await?;
    let last = "SELECT MAX(position) FROM events WHERE room_id = $1";
    let last: Option<i64> =
        sqlx::query_scalar(last).bind(room.as_str()).fetch_one(tx.connection()).await?;
    for row in &old {
        let id: String = row.try_get("event_id")?;
        if Some(row.try_get::<i64, _>("position")?) != last {
            tx.delete(&id).await?;
            continue;
        }
        // The next event follows the last one, which only loses its content.
        let (vault, Ok(id)) = (tx.vault(), ruma::EventId::parse(id)) else { continue };
        if let Some(stored) = events::by_id(tx.connection(), &vault, &room, &id).await? {
            tx.redact(&stored.event, None).await?;
        }
    }
    Ok(old.len())
}
