//! New rooms (specification, client-server API, "Creation").

use std::{collections::HashMap, sync::Arc};

use axum::extract::State;
use futures_util::FutureExt as _;
use ruma::{
    OwnedRoomId, OwnedUserId, UserId,
    api::{
        client::room::{
            create_room::{self, v3::Request},
            upgrade_room,
        },
        error::ErrorKind,
    },
    events::StateEventType,
};
use telmeet_core::{
    create::{self, Context, HOME_ALIAS, INVITE_MAX},
    json,
};

use super::{aliases, member, view};
use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    matrix::{Reply, Route, Ruma, route},
    personal::profile,
    random,
    session::Session,
};

/// Name of the room that every person enters at the first visit. Its members may change it.
const HOME_NAME: &str = "Home";

/// Most rooms that a person makes.
const MADE_MAX: i64 = 10_000;

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    [
        route::<create_room::v3::Request, _, _>(create_room),
        route::<upgrade_room::v3::Request, _, _>(upgrade),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn create_room(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<create_room::v3::Request>,
) -> Result<Reply<create_room::v3::Response>, Error> {
    let room_id = random::room_id(&hs.network)?;
    let room = room_id.clone();
    hs.write(move |tx| async move { make(tx, &request, room, session.user).await }.boxed()).await?;
    Ok(Reply(create_room::v3::Response::new(room_id)))
}

/// There is one room version, so no room is replaced by one of another.
async fn upgrade(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<upgrade_room::v3::Request>,
) -> Result<Reply<upgrade_room::v3::Response>, Error> {
    view::joined(&hs, &session.user, &request.room_id).await?;
    Err(telmeet_core::Error::UnsupportedRoomVersion.into())
}

/// Brings a person into the room that all persons of the network are in. The first one makes it.
///
/// Nothing happens if the person is banned there.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn enter_home(tx: &mut Transaction, user: &UserId) -> Result<(), Error> {
    let server = user.server_name();
    let alias = create::room_alias(HOME_ALIAS, server)?;
    let Some(home) = aliases::resolve(tx.connection(), &alias).await? else {
        let room = random::room_id(server.as_str())?;
        return make(tx, &create::home(HOME_NAME), room, user.to_owned()).await;
    };
    match member::join(tx, home, user.to_owned(), None).await {
        Err(Error::Core(_)) => Ok(()),
        result => result,
    }
}

/// Makes a room.
async fn make(
    tx: &mut Transaction,
    request: &Request,
    room_id: OwnedRoomId,
    creator: OwnedUserId,
) -> Result<(), Error> {
    check_made_count(tx, &creator).await?;
    let mut people = HashMap::new();
    for user in request.invite.iter().take(INVITE_MAX).chain([&creator]) {
        member::check_room_count(tx.connection(), user, 1).await?;
        member::check_invitations(tx.connection(), &creator, user).await?;
        if let Some(shown) = profile::read(tx.connection(), user).await? {
            people.insert(user.clone(), shown);
        }
    }
    let context = Context { room_id: room_id.clone(), creator: creator.clone(), time: tx.now() };
    let creation = create::create(request, &context, |user| people.get(user).cloned())?;
    if let Some(alias) = &creation.alias
        && !aliases::insert(tx, alias, &room_id, &creator).await?
    {
        return Err(Error::bad_request(ErrorKind::RoomInUse, "another room has this alias"));
    }
    tx.create(&creation).await?;
    let Some(named) = creation.state.get(&StateEventType::RoomCanonicalAlias, "") else {
        return Ok(());
    };
    let content = json::content(named.content.get().as_bytes())?;
    aliases::check(tx, &room_id, aliases::names(&content)).await
}

/// Refuses that a person makes more than [`MADE_MAX`] rooms: they stay, also once everybody left them.
async fn check_made_count(tx: &mut Transaction, user: &UserId) -> Result<(), Error> {
    let query = "SELECT COUNT(*) FROM rooms WHERE creator = $1";
    let query = sqlx::query_scalar::<_, i64>(query).bind(user.as_str());
    if query.fetch_one(tx.connection()).await? < MADE_MAX {
        return Ok(());
    }
    Err(Error::forbidden("a person makes at most 10,000 rooms"))
}
