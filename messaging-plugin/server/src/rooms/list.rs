//! The state and the members of a room, and the rooms of a person (specification, client-server API, "Getting events for
//! a room").

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State, http::Method};
use ruma::{
    RoomId,
    api::client::{
        membership::{get_member_events, joined_members, joined_rooms},
        state::{
            get_state_event_for_key::{self, v3::StateEventFormat},
            get_state_events,
        },
    },
    events::{StateEventType, room::member::MembershipState},
};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use telmeet_core::{event::Event, state};

use super::{
    history::raw,
    view::{self, View, write_state},
};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{self, Reply, Route, Ruma, route},
    session::Session,
};

/// Paths of the state event with an empty key.
const STATE_WITHOUT_KEY: [&str; 4] = [
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/r0/rooms/{room_id}/state/{event_type}/",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}",
    "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/",
];

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    [
        route::<get_state_events::v3::Request, _, _>(all_state),
        state_routes::<get_state_event_for_key::v3::Request, _, _>(Method::GET, state_event),
        route::<get_member_events::v3::Request, _, _>(members),
        route::<joined_members::v3::Request, _, _>(joined),
        route::<joined_rooms::v3::Request, _, _>(rooms),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The routes of a state event: with a key, and without one, with and without a slash at the end.
pub(super) fn state_routes<R, H, T>(method: Method, handler: H) -> Vec<Route>
where
    R: ruma::api::Metadata,
    R::PathBuilder: matrix::Paths,
    H: axum::handler::Handler<T, Arc<Homeserver>>,
    T: 'static,
{
    let plain = STATE_WITHOUT_KEY
        .iter()
        .flat_map(|path| matrix::raw(method.clone(), path, handler.clone()));
    let plain: Vec<Route> = plain.collect();
    route::<R, _, _>(handler).into_iter().chain(plain).collect()
}

/// The whole state.
async fn all_state(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_state_events::v3::Request>,
) -> Result<Reply<get_state_events::v3::Response>, Error> {
    let state = View::open(&hs, &session, &request.room_id).await?.state().await?;
    let events = raw(write_state(&hs, state.iter())?);
    Ok(Reply(get_state_events::v3::Response::new(events)))
}

/// One state event, or its content.
async fn state_event(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_state_event_for_key::v3::Request>,
) -> Result<Reply<get_state_event_for_key::v3::Response>, Error> {
    let state = View::open(&hs, &session, &request.room_id).await?.state().await?;
    let missing = || Error::NotFound("the room has no such state");
    let event = state.get(&request.event_type, &request.state_key).ok_or_else(missing)?;
    let body: Box<RawValue> = if request.format == StateEventFormat::Event {
        write_state(&hs, [event])?.pop().ok_or_else(missing)?
    } else {
        RawValue::to_owned(&event.content)
    };
    Ok(Reply(get_state_event_for_key::v3::Response::new(body)))
}

/// The member events, now or at a place in the history.
async fn members(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_member_events::v3::Request>,
) -> Result<Reply<get_member_events::v3::Response>, Error> {
    let mut view = View::open(&hs, &session, &request.room_id).await?;
    let state = match request.at.as_deref().map(|at| view.clock().read_page(at)) {
        Some(position) => view.state_at(position).await.map(Arc::new)?,
        None => view.state().await?,
    };
    let is_wanted = |event: &&Arc<Event>| {
        let membership = state::membership(event);
        request.membership.as_ref().is_none_or(|wanted| *wanted == membership)
            && request.not_membership.as_ref().is_none_or(|unwanted| *unwanted != membership)
    };
    let members = state.of_type(&StateEventType::RoomMember).map(|(_, event)| event);
    let chunk = raw(write_state(&hs, members.filter(is_wanted))?);
    Ok(Reply(get_member_events::v3::Response::new(chunk)))
}

/// The name and avatar of who is in a room. Both are there if they are not known, which `ruma`'s are not.
#[derive(Debug, Serialize)]
struct RoomMember {
    display_name: Option<String>,
    avatar_url: Option<String>,
}

/// Who is in a room.
async fn joined(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<joined_members::v3::Request>,
) -> Result<Json<Value>, Error> {
    let room = view::joined(&hs, &session.user, &request.room_id).await?;
    let members = room.state.of_type(&StateEventType::RoomMember);
    let joined: BTreeMap<&str, RoomMember> = members
        .filter(|(_, event)| state::membership(event) == MembershipState::Join)
        .map(|(user, event)| (user, room_member(event)))
        .collect();
    Ok(Json(json!({ "joined": joined })))
}

fn room_member(event: &Event) -> RoomMember {
    let content: Value = serde_json::from_str(event.content.get()).unwrap_or_default();
    let text = |field: &str| content.get(field)?.as_str().map(str::to_owned);
    RoomMember { display_name: text("displayname"), avatar_url: text("avatar_url") }
}

/// The rooms that a person is in.
async fn rooms(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(_): Ruma<joined_rooms::v3::Request>,
) -> Result<Reply<joined_rooms::v3::Response>, Error> {
    let query = "SELECT room_id FROM memberships WHERE user_id = $1 AND membership = 'join' ORDER BY position";
    let query = sqlx::query_scalar::<_, String>(query).bind(session.user.as_str());
    let rooms = query.fetch_all(hs.pool()).await?;
    let rooms = rooms.iter().filter_map(|room| RoomId::parse(room).ok()).collect();
    Ok(Reply(joined_rooms::v3::Response::new(rooms)))
}
