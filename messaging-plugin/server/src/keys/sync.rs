//! What both syncs show of end-to-end encryption (specification, client-server API, "Extensions to /sync").

use std::collections::BTreeMap;

use ruma::{OneTimeKeyAlgorithm, UInt, UserId, api::client::sync::sync_events::DeviceLists};
use serde_json::value::RawValue;
use sqlx::AnyConnection;
use store::{DatabaseError, column};
use telmeet_core::token::{Position, Since};

use super::{device_lists, one_time, to_device};
use crate::{error::Error, homeserver::Homeserver, session::Session, vault::Vault};

/// Most messages between devices in one sync.
pub const MESSAGES_MAX: usize = 100;

/// Messages for a device.
#[derive(Debug)]
pub struct ToDevice {
    /// The events, the oldest first.
    pub events: Vec<Box<RawValue>>,
    /// Where the next sync continues. It lies before the requested end if more wait.
    pub upto: Position,
}

/// Messages for the app that asks, at positions after `since` and up to `upto`: at most `limit`, and at most
/// [`MESSAGES_MAX`].
///
/// They are kept until [`acknowledge`]. The next token says where they end, apart from the rest of a sync.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`].
pub async fn to_device(
    connection: &mut AnyConnection,
    vault: &Vault,
    session: &Session,
    since: Since,
    upto: Position,
    limit: usize,
) -> Result<ToDevice, Error> {
    let after = match since {
        Since::Start => 0,
        Since::After(position) => position,
    };
    let limit = limit.clamp(1, MESSAGES_MAX);
    let mut messages =
        to_device::read(connection, vault, session, (after, upto), limit + 1).await?;
    let has_more = messages.len() > limit;
    messages.truncate(limit);
    let last = messages.last().map(|(position, _)| *position).filter(|_| has_more);
    let events = messages.into_iter().map(|(_, event)| event).collect();
    Ok(ToDevice { events, upto: last.unwrap_or(upto) })
}

/// Deletes the messages that the app has received: those up to the token that it brings back. While the disk is full they
/// stay, and no sync after that token shows them.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn acknowledge(
    homeserver: &Homeserver,
    session: &Session,
    since: Since,
) -> Result<(), Error> {
    let Since::After(upto) = since else { return Ok(()) };
    let query = "SELECT position FROM to_device WHERE user_id = $1 AND device_id = $2 AND position <= $3 LIMIT 1";
    let query = sqlx::query_scalar::<_, i64>(query)
        .bind(session.user.as_str())
        .bind(session.device.as_str())
        .bind(column::sql(upto));
    if query.fetch_optional(homeserver.pool()).await?.is_none() {
        return Ok(());
    }
    let session = session.clone();
    let delete = homeserver.write(move |transaction| {
        Box::pin(async move { to_device::delete(transaction.connection(), &session, upto).await })
    });
    match delete.await {
        Err(Error::Database(DatabaseError::Full)) => Ok(()),
        deleted => deleted,
    }
}

/// Whose keys changed after `since`, with whom the person began to share a room, and with whom no room is left. Later
/// changes may be named, too, and are named again.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn device_lists(
    connection: &mut AnyConnection,
    user: &UserId,
    since: Since,
) -> Result<DeviceLists, Error> {
    device_lists::since(connection, user, since).await
}

/// How many one-time keys the app has on the server.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn one_time_key_counts(
    connection: &mut AnyConnection,
    session: &Session,
) -> Result<BTreeMap<OneTimeKeyAlgorithm, UInt>, Error> {
    one_time::counts(connection, &session.user, &session.device).await
}

/// For which algorithms the app has a fallback key on the server that nobody got yet. Apps upload a new one for those that
/// are missing, so the field is present even if it is empty.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn unused_fallback_types(
    connection: &mut AnyConnection,
    session: &Session,
) -> Result<Vec<OneTimeKeyAlgorithm>, Error> {
    one_time::unused_fallback_types(connection, &session.user, &session.device).await
}
