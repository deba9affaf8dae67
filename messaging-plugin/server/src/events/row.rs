//! A row of the table `events`.

use std::sync::Arc;

use ruma::{EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, UInt, UserId};
use serde_json::value::RawValue;
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use store::{DatabaseError, column};
use telmeet_core::{client_event::Transaction, event::Event, relation::Relation, token::Position};

use super::stored::StoredEvent;
use crate::{error::Error, vault::Vault};

/// Where the content of an event is sealed.
const CELL: (&str, &str) = ("events", "content_sealed");

/// Reads a row.
pub(super) fn read(row: &AnyRow, vault: &Vault) -> Result<StoredEvent, Error> {
    let id: String = row.try_get("event_id")?;
    let sealed: Vec<u8> = row.try_get("content_sealed")?;
    let content = vault.open(CELL.0, CELL.1, id.as_bytes(), &sealed)?;
    let content = String::from_utf8(content).map_err(|_| broken("content"))?;
    let content = RawValue::from_string(content).map_err(|_| broken("content"))?;
    let text = |column: &'static str| row.try_get::<String, _>(column);
    let optional = |column: &'static str| row.try_get::<Option<String>, _>(column);
    let position = |column: &'static str| -> Result<Option<Position>, Error> {
        Ok(column::optional_unsigned(row.try_get(column)?, column)?)
    };
    let sequence = column::number(row, "sequence")?;
    let auth_events: Vec<OwnedEventId> = column::from_json(&text("auth_events")?, "auth_events")?;
    let event = Event {
        event_id: EventId::parse(id).map_err(|_| broken("event_id"))?,
        room_id: RoomId::parse(text("room_id")?).map_err(|_| broken("room_id"))?,
        sender: UserId::parse(text("sender")?).map_err(|_| broken("sender"))?,
        kind: text("kind")?.into(),
        state_key: optional("state_key")?,
        content: Arc::from(content),
        time: MilliSecondsSinceUnixEpoch(number(column::number(row, "time")?, "time")?),
        depth: number(sequence, "sequence")?,
        previous: event_id(optional("previous")?, "previous")?,
        auth_events,
        redacts: event_id(optional("redacts")?, "redacts")?,
    };
    let sent_by = optional("device_id")?.zip(optional("transaction_id")?);
    Ok(StoredEvent {
        event: Arc::new(event),
        position: column::number(row, "position")?,
        sequence,
        sent_by: sent_by.map(|(device, id)| Transaction { device: device.into(), id: id.into() }),
        redacted_by: position("redacted_by")?,
        replaces: position("replaces")?,
    })
}

/// Stores an event, whose depth is its number in the room.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Seal`].
pub async fn insert(
    connection: &mut AnyConnection,
    vault: &Vault,
    event: &Event,
    position: Position,
    replaces: Option<Position>,
    sent_by: Option<&Transaction>,
) -> Result<(), Error> {
    let id = event.event_id.as_str();
    let relation = Relation::of(event);
    let columns = [
        "position",
        "event_id",
        "room_id",
        "sequence",
        "sender",
        "kind",
        "state_key",
        "content_sealed",
        "time",
        "previous",
        "auth_events",
        "redacts",
        "replaces",
        "relates_to",
        "relation",
        "relation_key",
        "device_id",
        "transaction_id",
    ];
    sqlx::query(sqlx::AssertSqlSafe(store::row::insert_statement("events", &columns)))
        .bind(column::sql(position))
        .bind(id)
        .bind(event.room_id.as_str())
        .bind(column::sql(event.depth.into()))
        .bind(event.sender.as_str())
        .bind(event.kind.to_string())
        .bind(event.state_key.clone())
        .bind(vault.seal(CELL.0, CELL.1, id.as_bytes(), event.content.get().as_bytes())?)
        .bind(column::sql(event.time.get().into()))
        .bind(event.previous.as_ref().map(ToString::to_string))
        .bind(column::to_json(&event.auth_events, "auth_events")?)
        .bind(event.redacts.as_ref().map(ToString::to_string))
        .bind(replaces.map(column::sql))
        .bind(relation.as_ref().map(|relation| relation.event_id.to_string()))
        .bind(relation.as_ref().map(|relation| relation.kind.to_string()))
        .bind(relation.and_then(|relation| relation.key))
        .bind(sent_by.map(|sent_by| sent_by.device.to_string()))
        .bind(sent_by.map(|sent_by| sent_by.id.to_string()))
        .execute(connection)
        .await?;
    Ok(())
}

/// Replaces the content of an event by the redacted one.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Seal`].
pub async fn redact(
    connection: &mut AnyConnection,
    vault: &Vault,
    redacted: &Event,
    redacted_by: Option<Position>,
) -> Result<(), Error> {
    let id = redacted.event_id.as_str();
    let sealed = vault.seal(CELL.0, CELL.1, id.as_bytes(), redacted.content.get().as_bytes())?;
    let query = "UPDATE events SET content_sealed = $1, redacted_by = $2, relates_to = NULL, relation = NULL, \
         relation_key = NULL WHERE event_id = $3";
    let query = sqlx::query(query).bind(sealed).bind(redacted_by.map(column::sql)).bind(id);
    query.execute(connection).await?;
    Ok(())
}

fn event_id(text: Option<String>, column: &'static str) -> Result<Option<OwnedEventId>, Error> {
    text.map(EventId::parse).transpose().map_err(|_| broken(column))
}

fn number(value: u64, column: &'static str) -> Result<UInt, Error> {
    UInt::try_from(value).map_err(|_| broken(column))
}

fn broken(column: &'static str) -> Error {
    DatabaseError::Row(column).into()
}
