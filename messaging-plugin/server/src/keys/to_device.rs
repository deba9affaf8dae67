//! `/sendToDevice`: messages from device to device, kept until the receiving device has them.

use std::sync::Arc;

use axum::extract::State;
use futures_util::FutureExt as _;
use ruma::{
    DeviceId, OwnedDeviceId, UserId, api::client::to_device::send_event_to_device::v3, serde::Raw,
    to_device::DeviceIdOrAllDevices,
};
use serde_json::value::RawValue;
use sqlx::{AnyConnection, Row as _};
use store::column;
use telmeet_core::{event::KEY_MAX, json, token::Position};

use super::rows::damaged;
use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    matrix::{Reply, Ruma},
    session::Session,
    vault::Vault,
};

/// Most messages that wait for a device; the oldest are dropped.
const MESSAGES_MAX: i64 = 10_000;

/// Most bytes that wait for a device; the oldest are dropped.
const BYTES_MAX: i64 = 64 << 20;

/// A message to one device, or all of a person.
struct Message {
    user: ruma::OwnedUserId,
    to: DeviceIdOrAllDevices,
    content: String,
}

/// The same transaction id of a device has the same effect once. Unknown devices are skipped.
pub(super) async fn send(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<v3::Request>,
) -> Result<Reply<v3::Response>, Error> {
    let kind = request.event_type.to_string();
    if kind.len() > KEY_MAX || request.txn_id.as_str().len() > KEY_MAX {
        return Err(Error::invalid("a type and a transaction id have at most 255 bytes"));
    }
    let mut messages = Vec::new();
    for (user, by_device) in request.messages {
        for (to, content) in by_device {
            let content = text(&content)?;
            messages.push(Message { user: user.clone(), to, content });
        }
    }
    let transaction_id = request.txn_id.to_string();
    let written = homeserver.write(move |transaction| {
        async move {
            if !is_new(transaction, &session, (&kind, transaction_id)).await? {
                return Ok(());
            }
            for message in messages {
                deliver(transaction, &session, &kind, message).await?;
            }
            Ok(())
        }
        .boxed()
    });
    written.await?;
    Ok(Reply(v3::Response::new()))
}

/// The content as canonical JSON.
fn text<T>(content: &Raw<T>) -> Result<String, Error> {
    let bytes = content.json().get().as_bytes();
    if bytes.len() > json::EVENT_MAX {
        return Err(
            telmeet_core::Error::TooLarge { what: "the message", max: "65,536 bytes" }.into()
        );
    }
    let content = json::content(bytes)?;
    serde_json::to_string(&content).map_err(|_| Error::bad_json("the content is not JSON"))
}

/// Remembers a request; false if it was made before.
async fn is_new(
    transaction: &mut Transaction,
    session: &Session,
    (kind, transaction_id): (&str, String),
) -> Result<bool, Error> {
    let now = column::sql(transaction.now().get().into());
    let query = "INSERT INTO transactions (user_id, device_id, room_id, kind, transaction_id, event_id, created_at) \
         VALUES ($1, $2, '', $3, $4, '', $5) ON CONFLICT DO NOTHING";
    let query = sqlx::query(query)
        .bind(session.user.as_str())
        .bind(session.device.as_str())
        .bind(format!("to_device {kind}"))
        .bind(transaction_id)
        .bind(now);
    Ok(query.execute(transaction.connection()).await?.rows_affected() > 0)
}

async fn deliver(
    transaction: &mut Transaction,
    session: &Session,
    kind: &str,
    message: Message,
) -> Result<(), Error> {
    let Message { user, to, content } = message;
    let named = match &to {
        DeviceIdOrAllDevices::DeviceId(device) => device.as_str(),
        DeviceIdOrAllDevices::AllDevices => "",
    };
    let query = "SELECT device_id FROM devices WHERE user_id = $1 AND ($2 = '' OR device_id = $2)";
    let query = sqlx::query_scalar::<_, String>(query).bind(user.as_str()).bind(named.to_owned());
    let devices = query.fetch_all(transaction.connection()).await?;
    if !devices.is_empty() {
        transaction.touch(&user);
    }
    for device in devices {
        let device = OwnedDeviceId::from(device);
        push(transaction, (&user, &device), &session.user, kind, &content).await?;
    }
    Ok(())
}

/// Adds a message to those that wait for a device. `ordinal` and `total` count messages and bytes since nothing waited.
pub(super) async fn push(
    transaction: &mut Transaction,
    (user, device): (&UserId, &DeviceId),
    sender: &UserId,
    kind: &str,
    content: &str,
) -> Result<(), Error> {
    let last = "SELECT ordinal, total FROM to_device WHERE user_id = $1 AND device_id = $2 \
         ORDER BY position DESC LIMIT 1";
    let last = sqlx::query(last).bind(user.as_str()).bind(device.as_str());
    let last = last.fetch_optional(transaction.connection()).await?;
    let (mut ordinal, mut total) = (1_i64, i64::try_from(content.len()).unwrap_or(BYTES_MAX));
    if let Some(last) = last {
        ordinal = ordinal.saturating_add(last.try_get("ordinal")?);
        total = total.saturating_add(last.try_get("total")?);
    }
    let position = transaction.position();
    let sealed = seal(&transaction.vault(), position, content)?;
    let query = "INSERT INTO to_device (position, user_id, device_id, sender, kind, content_sealed, ordinal, total) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(query)
        .bind(column::sql(position))
        .bind(user.as_str())
        .bind(device.as_str())
        .bind(sender.as_str())
        .bind(kind.to_owned())
        .bind(sealed)
        .bind(ordinal)
        .bind(total)
        .execute(transaction.connection())
        .await?;
    if ordinal > MESSAGES_MAX || total > BYTES_MAX {
        let query = "DELETE FROM to_device WHERE user_id = $1 AND device_id = $2 \
             AND (ordinal <= $3 OR total <= $4)";
        let query = sqlx::query(query)
            .bind(user.as_str())
            .bind(device.as_str())
            .bind(ordinal - MESSAGES_MAX)
            .bind(total - BYTES_MAX);
        query.execute(transaction.connection()).await?;
    }
    Ok(())
}

/// Messages for a device at positions above `after` and up to `upto`, the oldest first.
pub(super) async fn read(
    connection: &mut AnyConnection,
    vault: &Vault,
    session: &Session,
    (after, upto): (Position, Position),
    limit: usize,
) -> Result<Vec<(Position, Box<RawValue>)>, Error> {
    let query = "SELECT position, sender, kind, content_sealed FROM to_device WHERE user_id = $1 AND device_id = $2 \
         AND position > $3 AND position <= $4 ORDER BY position LIMIT $5";
    let query = sqlx::query(query)
        .bind(session.user.as_str())
        .bind(session.device.as_str())
        .bind(column::sql(after))
        .bind(column::sql(upto))
        .bind(column::sql(limit as u64));
    let mut messages = Vec::new();
    for row in query.fetch_all(connection).await? {
        let position = column::number(&row, "position")?;
        let content = open(vault, position, row.try_get("content_sealed")?)?;
        let event = serde_json::json!({
            "sender": row.try_get::<String, _>("sender")?,
            "type": row.try_get::<String, _>("kind")?,
            "content": content,
        });
        let event = serde_json::value::to_raw_value(&event).map_err(|_| damaged("content"))?;
        messages.push((position, event));
    }
    Ok(messages)
}

/// Deletes the messages that a device has received.
pub(super) async fn delete(
    connection: &mut AnyConnection,
    session: &Session,
    upto: Position,
) -> Result<(), Error> {
    let query = "DELETE FROM to_device WHERE user_id = $1 AND device_id = $2 AND position <= $3";
    let query = sqlx::query(query)
        .bind(session.user.as_str())
        .bind(session.device.as_str())
        .bind(column::sql(upto));
    query.execute(connection).await?;
    Ok(())
}

fn seal(vault: &Vault, position: Position, content: &str) -> Result<Vec<u8>, Error> {
    vault.seal("to_device", "content_sealed", &position.to_be_bytes(), content.as_bytes())
}

fn open(vault: &Vault, position: Position, sealed: Vec<u8>) -> Result<Box<RawValue>, Error> {
    let text = vault.open("to_device", "content_sealed", &position.to_be_bytes(), &sealed)?;
    serde_json::from_slice(&text).map_err(|_| damaged("content_sealed"))
}
