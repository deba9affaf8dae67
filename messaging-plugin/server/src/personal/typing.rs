//! Who is typing (specification, client-server API, "Typing Notifications").

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard, PoisonError},
    time::Instant,
};

use axum::extract::State;
use ruma::{
    OwnedUserId, RoomId, UserId,
    api::client::typing::create_typing_event::v3::{Request, Response, Typing as TypingState},
    events::room::member::MembershipState,
};
use serde_json::{Value, json};
use telmeet_core::typing::Typing;

use super::owner;
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, route},
    session::Session,
};

/// The endpoints.
pub(crate) fn routes() -> Vec<Route> {
    route::<Request, _, _>(set)
}

/// Who is typing. Never held over an await.
pub(crate) fn lock(homeserver: &Homeserver) -> MutexGuard<'_, Typing> {
    homeserver.typing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The `m.typing` event of a room, without those whom the reader ignores, if it changed after the change with the number
/// `seen`. A client that has seen nothing takes it that nobody is typing.
pub(crate) fn news(
    homeserver: &Homeserver,
    room: &RoomId,
    seen: Option<u64>,
    ignored: &BTreeSet<OwnedUserId>,
) -> Option<Value> {
    let typing = lock(homeserver);
    if typing.last_change(room) <= seen.unwrap_or_default() {
        return None;
    }
    let users = typing.users(room, Instant::now()).into_iter();
    let users: Vec<&UserId> = users.filter(|user| !ignored.contains(*user)).collect();
    let is_news = seen.is_some() || !users.is_empty();
    is_news.then(|| json!({ "type": "m.typing", "content": { "user_ids": users } }))
}

async fn set(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<Request>,
) -> Result<Reply<Response>, Error> {
    owner::check(&session, &request.user_id)?;
    let room = homeserver.room(&request.room_id).await?;
    let room = room.filter(|room| room.state.membership(&session.user) == MembershipState::Join);
    let room = room.ok_or_else(|| Error::forbidden("you are not in this room"))?;
    let is_changed = {
        let mut typing = lock(&homeserver);
        let before = typing.last_change(&request.room_id);
        match request.state {
            TypingState::Yes(info) => {
                typing.start(&request.room_id, &session.user, info.timeout, Instant::now());
            }
            TypingState::No => typing.stop(&request.room_id, &session.user),
        }
        typing.last_change(&request.room_id) != before
    };
    if is_changed {
        let members = room.state.members();
        let joined = members.filter(|(_, membership)| *membership == MembershipState::Join);
        let joined: Vec<OwnedUserId> = joined.map(|(user, _)| user).collect();
        homeserver.wake(&joined);
    }
    Ok(Reply(Response::new()))
}
