//! Who is there (specification, client-server API, "Presence"). People see it of those with whom they share a room.
//!
//! A modified client can say of its own person what it wants, as often as it wants. Each waiting sync of those who share a
//! room answers at most once a second because of that.

pub(crate) mod list;

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    OwnedUserId, UInt,
    api::client::{
        filter::Filter,
        presence::{get_presence, set_presence},
    },
    presence::PresenceState,
};
use serde_json::{Value, json};
use telmeet_core::{filter, presence::Status};

use super::owner;
use crate::{
    error::Error,
    homeserver::Homeserver,
    keys,
    matrix::{Reply, Route, Ruma, route},
    session::Session,
    sync::reader::Reader,
};

/// Most people in one sync.
const SHOWN_MAX: usize = 1_000;

/// The endpoints.
pub(crate) fn routes() -> Vec<Route> {
    let get = route::<get_presence::v3::Request, _, _>(get);
    get.into_iter().chain(route::<set_presence::v3::Request, _, _>(set)).collect()
}

/// The `m.presence` events of people who changed after the change with the number `seen`, and with whom the reader shares
/// a room.
///
/// # Errors
///
/// [`Error::Database`].
pub(crate) async fn news(
    reader: &mut Reader<'_>,
    seen: u64,
    wanted: &Filter,
) -> Result<Vec<Value>, Error> {
    let (list, own) = (&reader.homeserver.presence, &reader.session.user);
    let changed = list.changed_after(seen);
    if changed.iter().all(|user| user == own) {
        return Ok(Vec::new());
    }
    let sharing = keys::sharing(reader.connection().await?, own).await?;
    let is_shown = |user: &OwnedUserId| {
        user != own
            && sharing.contains(user)
            && !reader.ignored.contains(user)
            && filter::matches_data(wanted, "m.presence", Some(user))
    };
    let shown = changed.into_iter().filter(is_shown).take(SHOWN_MAX);
    let event = |user: OwnedUserId| {
        let status = list.status(&user)?;
        let mut content = json!({
            "presence": status.state,
            "last_active_ago": ago(&status),
            "currently_active": status.state == PresenceState::Online,
        });
        if let Some(message) = status.message {
            content["status_msg"] = message.into();
        }
        Some(json!({ "type": "m.presence", "sender": user, "content": content }))
    };
    Ok(shown.filter_map(event).collect())
}

fn ago(status: &Status) -> UInt {
    UInt::try_from(status.active_ago.as_millis()).unwrap_or(UInt::MAX)
}

/// The presence of the person, or of somebody with whom the person shares a room. Anybody else is answered as somebody who
/// does not exist.
async fn get(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_presence::v3::Request>,
) -> Result<Reply<get_presence::v3::Response>, Error> {
    let (reader, user) = (&session.user, &request.user_id);
    let mut connection = homeserver.pool().acquire().await?;
    if reader != user && !keys::sharing(&mut connection, reader).await?.contains(user) {
        return Err(Error::forbidden("you share no room with this person"));
    }
    let mut response = get_presence::v3::Response::new(PresenceState::Offline);
    if let Some(status) = homeserver.presence.status(user) {
        response.last_active_ago = Some(status.active_ago);
        response.currently_active = Some(status.state == PresenceState::Online);
        response.presence = status.state;
        response.status_msg = status.message;
    }
    Ok(Reply(response))
}

async fn set(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<set_presence::v3::Request>,
) -> Result<Reply<set_presence::v3::Response>, Error> {
    owner::check(&session, &request.user_id)?;
    let says = (&request.presence, request.status_msg.filter(|message| !message.is_empty()));
    homeserver.presence.set(&session.user, &session.device, says)?;
    Ok(Reply(set_presence::v3::Response::new()))
}
