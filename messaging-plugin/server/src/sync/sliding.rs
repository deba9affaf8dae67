//! Simplified sliding sync (MSC4186), as `org.matrix.simplified_msc3575`.

mod entries;
mod extensions;
mod room;

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    OwnedRoomId, UInt,
    api::client::sync::sync_events::v5::{Request, Response, response},
};
use telmeet_core::sliding::Plan;

use super::{
    devices::DeviceKey, encryption, long_poll::LongPoll, reader::Reader, room_positions::PersonRoom,
};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, route},
    personal::typing,
    random,
    session::Session,
};

/// The endpoint.
pub(crate) fn routes() -> Vec<Route> {
    route::<Request, _, _>(sync)
}

async fn sync(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<Request>,
) -> Result<Reply<Response>, Error> {
    let device = (session.user.clone(), session.device.clone());
    let nonce = resume(&homeserver, &device, &request)?;
    if request.extensions.to_device.enabled == Some(true) {
        let since = request.extensions.to_device.since.as_deref();
        let received = homeserver.clock().read_to_device(since);
        encryption::acknowledge(&homeserver, &session, received).await?;
    }
    homeserver.presence.synced(&device, &request.set_presence);
    let mut poll = LongPoll::start(&homeserver, &device, request.timeout)?;
    loop {
        poll.read();
        let typing_now = typing::lock(&homeserver).latest_change();
        let (mut reader, rooms) = Reader::start(&homeserver, &session, None).await?;
        let entries = entries::read(&mut reader, &rooms).await?;
        let plan = homeserver.syncs.with(&device, |device| {
            let connection = device.connections.get(request.conn_id.as_deref(), nonce)?;
            connection.plan(&request, &entries, reader.latest())
        })?;
        let (response, has_news) = read(&mut reader, &request, &plan, &rooms).await?;
        drop(reader);
        let shown: Vec<OwnedRoomId> = plan.shown.iter().map(|room| room.room_id.clone()).collect();
        let is_first = request.pos.is_none();
        if is_first || has_news || !poll.changed(shown.iter().map(|room| &**room)).await {
            return Ok(Reply(commit(
                &homeserver,
                &device,
                &request,
                (nonce, typing_now),
                plan,
                response,
            )?));
        }
    }
}

/// Finds the connection of a request, or starts it. Returns the number by which it is found again.
fn resume(homeserver: &Homeserver, device: &DeviceKey, request: &Request) -> Result<u64, Error> {
    let (conn_id, pos) = (request.conn_id.as_deref(), request.pos.as_deref());
    let nonce = random::number()?;
    homeserver
        .syncs
        .with(device, |device| Ok(device.connections.resume(conn_id, pos, nonce)?.nonce()))
}

/// Makes the response the connection's last one.
fn commit(
    homeserver: &Homeserver,
    device: &DeviceKey,
    request: &Request,
    (nonce, typing): (u64, u64),
    plan: Plan,
    mut response: Response,
) -> Result<Response, Error> {
    homeserver.syncs.with(device, |device| {
        let connection = device.connections.get(request.conn_id.as_deref(), nonce)?;
        response.pos = connection.commit(plan, typing)?;
        Ok(response)
    })
}

/// Reads what a plan names. Returns whether there is something.
async fn read(
    reader: &mut Reader<'_>,
    request: &Request,
    plan: &Plan,
    rooms: &[PersonRoom],
) -> Result<(Response, bool), Error> {
    let mut response = Response::new(String::new());
    response.txn_id.clone_from(&request.txn_id);
    for (name, count) in &plan.counts {
        let mut list = response::List::default();
        list.count = UInt::new_saturating(*count as u64);
        response.lists.insert(name.clone(), list);
    }
    for planned in &plan.rooms {
        let place = rooms.binary_search_by(|room| room.room_id.cmp(&planned.room_id));
        let Ok(place) = place else { continue };
        let room = &rooms[place];
        if let Some(shown) = room::read(reader, planned, room).await? {
            response.rooms.insert(planned.room_id.clone(), shown);
        }
    }
    let has_news =
        extensions::read(reader, request, (plan, rooms), &mut response.extensions).await?;
    let has_news = has_news || !response.rooms.is_empty();
    Ok((response, has_news))
}
