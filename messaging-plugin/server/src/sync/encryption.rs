//! What both syncs show of end-to-end encryption, from memory if nothing changed.

use ruma::api::client::sync::sync_events::DeviceLists;
use telmeet_core::token::Since;

use super::{cache::DeviceKeys, reader::Reader};
use crate::{
    error::Error,
    homeserver::Homeserver,
    keys::sync::{self as keys, ToDevice},
    session::Session,
};

/// Deletes the messages that the app has received: those up to the token that it brings back.
///
/// # Errors
///
/// [`Error::Database`].
pub(super) async fn acknowledge(
    homeserver: &Homeserver,
    session: &Session,
    since: Since,
) -> Result<(), Error> {
    if homeserver.cache().has_no_messages(&session.user, &session.device) {
        return Ok(());
    }
    keys::acknowledge(homeserver, session, since).await
}

/// Messages for the app at positions after `since`, which it has acknowledged: at most `limit`.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`].
pub(super) async fn to_device(
    reader: &mut Reader<'_>,
    since: Since,
    limit: usize,
) -> Result<ToDevice, Error> {
    let (homeserver, session, latest) = (reader.homeserver, reader.session, reader.latest());
    let cache = homeserver.cache();
    if cache.has_no_messages(&session.user, &session.device) {
        return Ok(ToDevice { events: Vec::new(), upto: latest });
    }
    let (vault, connection) = (homeserver.vault(), reader.connection().await?);
    let messages = keys::to_device(connection, vault, session, since, latest, limit).await?;
    if messages.events.is_empty() {
        cache.set_no_messages(reader.version, &session.user, &session.device);
    }
    Ok(messages)
}

/// Whose keys changed after `since`, with whom the person began to share a room, and with whom no room is left.
///
/// # Errors
///
/// [`Error::Database`].
pub(super) async fn device_lists(
    reader: &mut Reader<'_>,
    since: Since,
) -> Result<DeviceLists, Error> {
    let user = &reader.session.user;
    if let Since::After(after) = since
        && reader.homeserver.cache().is_unchanged(user, after)
    {
        return Ok(DeviceLists::new());
    }
    keys::device_lists(reader.connection().await?, user, since).await
}

/// The app's keys that others may still claim.
///
/// # Errors
///
/// [`Error::Database`].
pub(super) async fn device_keys(reader: &mut Reader<'_>) -> Result<DeviceKeys, Error> {
    let (homeserver, session) = (reader.homeserver, reader.session);
    let cache = homeserver.cache();
    if let Some(keys) = cache.keys(&session.user, &session.device) {
        return Ok(keys);
    }
    let connection = reader.connection().await?;
    let one_time = keys::one_time_key_counts(connection, session).await?;
    let fallback = keys::unused_fallback_types(connection, session).await?;
    let keys = DeviceKeys { one_time, fallback };
    cache.set_keys(reader.version, &session.user, &session.device, &keys);
    Ok(keys)
}
