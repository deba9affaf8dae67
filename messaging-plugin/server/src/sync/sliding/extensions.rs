//! Extensions of sliding sync: account data, receipts, typing (MSC3959, MSC3960, MSC3961).

use ruma::{
    OwnedRoomId,
    api::client::sync::sync_events::v5::{request, response},
    serde::Raw,
};
use telmeet_core::{sliding::Plan, token::Position};

use super::super::reader::{Reader, raw};
use crate::{
    error::Error,
    personal::{receipts, typing},
};

/// Reads the extensions that a request enables. Returns whether there is something new. `typing_seen` is the number of the
/// last change of who is typing that the connection has shown; none if it starts.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Open`], [`Error::Core`].
pub(crate) async fn read(
    reader: &mut Reader<'_>,
    wanted: &request::Extensions,
    plan: &Plan,
    typing_seen: Option<u64>,
    shown: &mut response::Extensions,
) -> Result<bool, Error> {
    if wanted.account_data.enabled == Some(true) {
        shown.account_data = account_data(reader, &wanted.account_data, plan).await?;
    }
    if wanted.receipts.enabled == Some(true) {
        shown.receipts = receipts(reader, &wanted.receipts, plan).await?;
    }
    if wanted.typing.enabled == Some(true) {
        let config = &wanted.typing;
        for room in plan.covered(config.lists.as_deref(), config.rooms.as_deref()) {
            let seen = room.since.and(typing_seen);
            let news = typing::news(reader.homeserver, &room.room_id, seen, &reader.ignored);
            if let Some(news) = news {
                shown.typing.rooms.insert(room.room_id.clone(), raw(&news)?);
            }
        }
    }
    Ok(!shown.is_empty())
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
    plan: &Plan,
) -> Result<response::Receipts, Error> {
    let mut shown = response::Receipts::default();
    let user = &reader.session.user;
    for room in plan.covered(config.lists.as_deref(), config.rooms.as_deref()) {
        let range = (room.since.unwrap_or_default(), reader.latest());
        let changes = receipts::changes(&mut reader.connection, &room.room_id, user, range).await?;
        if let Some(changes) = changes {
            shown.rooms.insert(room.room_id.clone(), raw(&changes)?);
        }
    }
    Ok(shown)
}

fn is_after(position: Position, since: Option<Position>) -> bool {
    since.is_none_or(|since| position > since)
}
