//! Extensions of sliding sync: account data, receipts, typing (MSC3959, MSC3960, MSC3961), end-to-end encryption and
//! messages between devices (MSC3884, MSC3885).

use ruma::{
    OwnedRoomId,
    api::client::sync::sync_events::v5::{Request, request, response},
    serde::Raw,
};
use telmeet_core::{
    sliding::Plan,
    token::{Position, Since},
};

use super::super::{
    encryption,
    reader::{Reader, raw},
    room_positions::PersonRoom,
};
use crate::{
    error::Error,
    keys::sync as keys,
    personal::{receipts, typing},
};

/// Reads the extensions that a request enables. Returns whether there is something new.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`], [`Error::Core`].
pub(crate) async fn read(
    reader: &mut Reader<'_>,
    request: &Request,
    (plan, rooms): (&Plan, &[PersonRoom]),
    shown: &mut response::Extensions,
) -> Result<bool, Error> {
    let wanted = &request.extensions;
    if wanted.account_data.enabled == Some(true) {
        shown.account_data = account_data(reader, &wanted.account_data, plan).await?;
    }
    if wanted.receipts.enabled == Some(true) {
        shown.receipts = receipts(reader, &wanted.receipts, (plan, rooms)).await?;
    }
    if wanted.typing.enabled == Some(true) {
        let config = &wanted.typing;
        for room in plan.covered(config.lists.as_deref(), config.rooms.as_deref()) {
            let seen = room.since.and(plan.typing);
            let news = typing::news(reader.homeserver, &room.room_id, seen, &reader.ignored);
            if let Some(news) = news {
                shown.typing.rooms.insert(room.room_id.clone(), raw(&news)?);
            }
        }
    }
    let has_news = !shown.is_empty();
    let has_keys = read_encryption(reader, wanted, plan, shown).await?;
    Ok(has_news || has_keys)
}

/// Messages between devices have tokens of their own: what a lost connection showed is not sent twice.
async fn read_encryption(
    reader: &mut Reader<'_>,
    wanted: &request::Extensions,
    plan: &Plan,
    shown: &mut response::Extensions,
) -> Result<bool, Error> {
    let clock = reader.clock;
    let mut has_news = false;
    if wanted.to_device.enabled == Some(true) {
        let since = clock.read_to_device(wanted.to_device.since.as_deref());
        let limit = wanted.to_device.limit.and_then(|limit| usize::try_from(u64::from(limit)).ok());
        let limit = limit.unwrap_or(keys::MESSAGES_MAX);
        let messages = encryption::to_device(reader, since, limit).await?;
        has_news |= !messages.events.is_empty();
        let mut to_device = response::ToDevice::default();
        to_device.next_batch = clock.to_device_token(messages.upto);
        to_device.events = messages.events.into_iter().map(Raw::from_json).collect();
        shown.to_device = Some(to_device);
    }
    if wanted.e2ee.enabled == Some(true) {
        // A connection that starts may have lost changes.
        let since = plan.since.map_or(Since::Start, Since::After);
        shown.e2ee.device_lists = encryption::device_lists(reader, since).await?;
        has_news |= !shown.e2ee.device_lists.is_empty();
        let device_keys = encryption::device_keys(reader).await?;
        shown.e2ee.device_one_time_keys_count = device_keys.one_time;
        shown.e2ee.device_unused_fallback_key_types = Some(device_keys.fallback);
    }
    Ok(has_news)
}

async fn account_data(
    reader: &mut Reader<'_>,
    config: &request::AccountData,
    plan: &Plan,
) -> Result<response::AccountData, Error> {
    let mut shown = response::AccountData::default();
    let covered: Vec<(OwnedRoomId, Option<Position>)> = plan
        .covered(config.lists.as_deref(), config.rooms.as_deref())
        .map(|room| (room.room_id.clone(), room.since))
        .collect();
    // Rooms that were shown for the first time, or last long ago, need older data than the person does.
    let oldest = covered.iter().map(|(_, since)| *since).chain([plan.since]).min().flatten();
    for data in reader.account_data(oldest).await? {
        match &data.room {
            None if is_after(data.position, plan.since) => {
                shown.global.push(Raw::from_json(data.event()?));
            }
            Some(room)
                if covered
                    .iter()
                    .any(|(id, since)| id == room && is_after(data.position, *since)) =>
            {
                shown.rooms.entry(room.clone()).or_default().push(Raw::from_json(data.event()?));
            }
            _ => {}
        }
    }
    Ok(shown)
}

async fn receipts(
    reader: &mut Reader<'_>,
    config: &request::Receipts,
    (plan, rooms): (&Plan, &[PersonRoom]),
) -> Result<response::Receipts, Error> {
    let mut shown = response::Receipts::default();
    let user = &reader.session.user;
    for room in plan.covered(config.lists.as_deref(), config.rooms.as_deref()) {
        let range = (room.since.unwrap_or_default(), reader.latest());
        let known = rooms.binary_search_by(|known| known.room_id.cmp(&room.room_id)).ok();
        if known.is_none_or(|known| rooms[known].receipts <= range.0) {
            continue;
        }
        let connection = reader.connection().await?;
        let changes = receipts::changes(connection, &room.room_id, user, range).await?;
        if let Some(changes) = changes {
            shown.rooms.insert(room.room_id.clone(), raw(&changes)?);
        }
    }
    Ok(shown)
}

fn is_after(position: Position, since: Option<Position>) -> bool {
    since.is_none_or(|since| position > since)
}
