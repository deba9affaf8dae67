//! What a person was notified of (specification, client-server API, "Listing Notifications"): what the present push rules
//! say of the events of the person's rooms.

use std::{collections::HashMap, sync::Arc};

use axum::extract::State;
use ruma::{
    OwnedRoomId,
    api::client::push::get_notifications::v3::{Notification, Request, Response},
    events::room::member::MembershipState,
    push::Action,
};
use telmeet_core::{
    filter,
    token::Position,
    unread::{self, Receipts, Thread},
    visibility::Access,
};

use super::{reader::Reader, room_positions::PersonRoom, unread::name};
use crate::{
    error::Error,
    events,
    homeserver::{Homeserver, Room},
    matrix::{Reply, Route, Ruma, route},
    personal::receipts,
    session::Session,
};

/// Most events that are looked at for one page, which may then be empty although there are more.
const LOOKED_AT_MAX: usize = events::READ_MAX;

/// The endpoint.
pub(crate) fn routes() -> Vec<Route> {
    route::<Request, _, _>(list)
}

/// A room that the person is in.
struct NotificationRoom {
    room: Arc<Room>,
    access: Arc<Access>,
    receipts: Receipts,
    joined_at: Position,
}

async fn list(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<Request>,
) -> Result<Reply<Response>, Error> {
    let limit = filter::limit(request.limit);
    let is_wanted = |action: &Action| match request.only.as_deref() {
        Some("highlight") => action.is_highlight(),
        Some(_) | None => action.should_notify(),
    };
    let (mut reader, rooms) = Reader::start(&homeserver, &session, None).await?;
    let clock = reader.clock;
    let mut upto = request.from.as_deref().map_or(clock.latest, |token| clock.read_page(token));
    let (vault, user, connection) = (homeserver.vault(), &session.user, reader.connection().await?);
    let events = events::of_others(connection, vault, user, upto, LOOKED_AT_MAX).await?;
    let is_last = events.len() < LOOKED_AT_MAX;
    let rules = reader.rules().await?;
    let mut places = HashMap::new();
    let mut response = Response::new(Vec::new());
    for stored in events {
        if response.notifications.len() >= limit {
            response.next_token = Some(clock.page_token(upto));
            return Ok(Reply(response));
        }
        upto = stored.position.saturating_sub(1);
        let event = Arc::clone(&stored.event);
        if stored.redacted_by.is_some() || reader.ignored.contains(&event.sender) {
            continue;
        }
        let Some(place) = place(&mut reader, &rooms, &mut places, &event.room_id).await? else {
            continue;
        };
        if stored.position <= place.joined_at || !place.access.may_read(stored.sequence) {
            continue;
        }
        let name = name(&place.room.state, user);
        let actions = unread::actions(&rules, &event, &place.room.state, user, &name)?;
        if !actions.iter().any(is_wanted) {
            continue;
        }
        let read = place.receipts.read_up_to(&Thread::of(&event));
        let is_read = read.is_some_and(|read| stored.position <= read);
        let (room, time) = (event.room_id.clone(), event.time);
        let rendered = reader.render(&[stored], &place.access).await?;
        response.notifications.extend(
            rendered.into_iter().map(|event| {
                Notification::new(actions.to_vec(), event, is_read, room.clone(), time)
            }),
        );
    }
    response.next_token = (!is_last).then(|| clock.page_token(upto));
    Ok(Reply(response))
}

/// What is known of a room, read once.
async fn place<'a>(
    reader: &mut Reader<'_>,
    rooms: &[PersonRoom],
    places: &'a mut HashMap<OwnedRoomId, NotificationRoom>,
    id: &OwnedRoomId,
) -> Result<Option<&'a NotificationRoom>, Error> {
    if !places.contains_key(id) {
        let joined =
            |room: &&PersonRoom| room.room_id == *id && room.membership == MembershipState::Join;
        let Some(joined) = rooms.iter().find(joined) else { return Ok(None) };
        let Some(room) = reader.room(id).await? else { return Ok(None) };
        let (user, latest) = (&reader.session.user, reader.latest());
        let access = reader.access(id).await?;
        let connection = reader.connection().await?;
        let receipts = receipts::read_up_to(connection, id, user, latest).await?;
        let joined_at = joined.joined_at;
        places.insert(id.clone(), NotificationRoom { room, access, receipts, joined_at });
    }
    Ok(places.get(id))
}
