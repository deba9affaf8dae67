//! Aliases: names that lead to rooms (specification, client-server API, "Room aliases").

use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State, http::StatusCode};
use futures_util::FutureExt as _;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId,
    UserId,
    api::{
        client::{
            alias::{create_alias, delete_alias, get_alias},
            room::aliases as room_aliases,
        },
        error::ErrorKind,
    },
    events::{StateEventType, TimelineEventType},
};
use sqlx::{AnyConnection, Row as _};
use telmeet_core::{
    create::{HOME_ALIAS, room_alias},
    event::Draft,
    json,
};

use super::view::{self, hidden, is_joined};
use crate::{
    error::Error,
    homeserver::{Homeserver, Room, Transaction},
    matrix::{Reply, Route, Ruma, route},
    session::{NoWebsite, Session},
};

/// Most aliases of a room.
const OF_ROOM_MAX: i64 = 100;
/// Most aliases that a person gave and that still exist.
const OF_PERSON_MAX: i64 = 1_000;

const UNKNOWN: Error = Error::NotFound("no room has this alias");

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    [
        route::<get_alias::v3::Request, _, _>(get),
        route::<create_alias::v3::Request, _, _>(put),
        route::<delete_alias::v3::Request, _, _>(delete),
        route::<room_aliases::v3::Request, _, _>(of_room),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The room of an alias.
///
/// # Errors
///
/// [`Error::Database`].
pub(super) async fn resolve(
    connection: &mut AnyConnection,
    alias: &RoomAliasId,
) -> Result<Option<OwnedRoomId>, Error> {
    let query = "SELECT room_id FROM aliases WHERE alias = $1";
    let query = sqlx::query_scalar::<_, String>(query).bind(alias.as_str());
    let room = query.fetch_optional(connection).await?;
    Ok(room.and_then(|room| RoomId::parse(room).ok()))
}

/// The room of an alias.
///
/// # Errors
///
/// [`Error::NotFound`] if there is none.
pub(super) async fn find(hs: &Homeserver, alias: &RoomAliasId) -> Result<OwnedRoomId, Error> {
    resolve(&mut *hs.pool().acquire().await?, alias).await?.ok_or(UNKNOWN)
}

/// Gives an alias to a room. Returns whether no room had it.
///
/// # Errors
///
/// [`Error::Core`] if the room or the person has too many.
pub(super) async fn insert(
    tx: &mut Transaction,
    alias: &RoomAliasId,
    room: &RoomId,
    creator: &UserId,
) -> Result<bool, Error> {
    let counts = [
        ("SELECT COUNT(*) FROM aliases WHERE room_id = $1", room.as_str(), OF_ROOM_MAX),
        ("SELECT COUNT(*) FROM aliases WHERE creator = $1", creator.as_str(), OF_PERSON_MAX),
    ];
    for (query, owner, max) in counts {
        let query = sqlx::query_scalar::<_, i64>(query).bind(owner.to_owned());
        if query.fetch_one(tx.connection()).await? >= max {
            return Err(Error::forbidden(format!("there are {max} aliases already")));
        }
    }
    let query =
        "INSERT INTO aliases (alias, room_id, creator) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let query = sqlx::query(query).bind(alias.as_str()).bind(room.as_str()).bind(creator.as_str());
    Ok(query.execute(tx.connection()).await?.rows_affected() > 0)
}

/// Checks that the aliases which a room newly calls its own lead to it.
///
/// # Errors
///
/// `M_BAD_ALIAS` if one does not; [`Error::Core`] if one is no alias, or there are too many.
pub(super) async fn check_canonical(
    tx: &mut Transaction,
    room: &Room,
    room_id: &RoomId,
    content: &CanonicalJsonObject,
) -> Result<(), Error> {
    let current = match room.state.get(&StateEventType::RoomCanonicalAlias, "") {
        Some(event) => json::content(event.content.get().as_bytes())?,
        None => CanonicalJsonObject::new(),
    };
    let new = names(content).difference(&names(&current)).copied().collect();
    check(tx, room_id, new).await
}

/// The aliases in the content of `m.room.canonical_alias`.
pub(super) fn names(content: &CanonicalJsonObject) -> BTreeSet<&str> {
    let main = content.get("alias").and_then(CanonicalJsonValue::as_str);
    let others = content.get("alt_aliases").and_then(CanonicalJsonValue::as_array);
    let others = others.into_iter().flatten().filter_map(CanonicalJsonValue::as_str);
    main.into_iter().filter(|main| !main.is_empty()).chain(others).collect()
}

/// Checks that these aliases lead to a room.
///
/// # Errors
///
/// As [`check_canonical`].
pub(super) async fn check(
    tx: &mut Transaction,
    room: &RoomId,
    names: BTreeSet<&str>,
) -> Result<(), Error> {
    if names.len() as u64 > OF_ROOM_MAX as u64 {
        return Err(Error::invalid("a room has at most 100 aliases"));
    }
    for name in names {
        let alias = RoomAliasId::parse(name);
        let alias = alias.map_err(|_| Error::invalid("this is not an alias of a room"))?;
        if resolve(tx.connection(), &alias).await?.as_deref() != Some(room) {
            let reason = format!("{alias} does not lead to this room");
            return Err(Error::bad_request(ErrorKind::BadAlias, reason));
        }
    }
    Ok(())
}

async fn get(
    State(hs): State<Arc<Homeserver>>,
    _: NoWebsite,
    Ruma(request): Ruma<get_alias::v3::Request>,
) -> Result<Reply<get_alias::v3::Response>, Error> {
    let room = find(&hs, &request.room_alias).await?;
    let servers = vec![request.room_alias.server_name().to_owned()];
    Ok(Reply(get_alias::v3::Response::new(room, servers)))
}

async fn put(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<create_alias::v3::Request>,
) -> Result<Reply<create_alias::v3::Response>, Error> {
    let (alias, room_id) = (request.room_alias, request.room_id);
    if alias.server_name().as_str() != hs.network {
        return Err(Error::invalid("an alias ends with the name of this network"));
    }
    room_alias(alias.alias(), alias.server_name())?;
    hs.write(move |tx| {
        async move {
            let room = tx.room(&room_id).await?.ok_or_else(hidden)?;
            if !is_joined(&room, &session.user) {
                return Err(hidden());
            }
            if insert(tx, &alias, &room_id, &session.user).await? {
                return Ok(());
            }
            let reason = "a room has this alias already".to_owned();
            Err(Error::Refused(StatusCode::CONFLICT, ErrorKind::Unknown, reason))
        }
        .boxed()
    })
    .await?;
    Ok(Reply(create_alias::v3::Response::new()))
}

async fn delete(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<delete_alias::v3::Request>,
) -> Result<Reply<delete_alias::v3::Response>, Error> {
    let alias = request.room_alias;
    if alias.alias() == HOME_ALIAS {
        return Err(Error::forbidden("new people of the network find this room by its alias"));
    }
    hs.write(move |tx| async move { remove(tx, &alias, &session.user).await }.boxed()).await?;
    Ok(Reply(delete_alias::v3::Response::new()))
}

/// Removes an alias: by who gave it, or by a member who may choose the room's main alias.
async fn remove(tx: &mut Transaction, alias: &RoomAliasId, user: &UserId) -> Result<(), Error> {
    let query = "SELECT room_id, creator FROM aliases WHERE alias = $1";
    let row = sqlx::query(query).bind(alias.as_str()).fetch_optional(tx.connection()).await?;
    let row = row.ok_or(UNKNOWN)?;
    let (room_id, creator): (String, String) = (row.try_get("room_id")?, row.try_get("creator")?);
    let room_id = RoomId::parse(room_id).map_err(|_| UNKNOWN)?;
    let room = tx.room(&room_id).await?.ok_or(UNKNOWN)?;
    let may_choose = is_joined(&room, user)
        && room.state.power_levels().user_can_send_state(user, StateEventType::RoomCanonicalAlias);
    if creator != user.as_str() && !may_choose {
        return Err(Error::forbidden("this alias was given by somebody else"));
    }
    let query = sqlx::query("DELETE FROM aliases WHERE alias = $1").bind(alias.as_str());
    query.execute(tx.connection()).await?;
    if may_choose { forget(tx, &room, room_id, alias, user).await } else { Ok(()) }
}

/// Removes an alias from those that a room calls its own.
async fn forget(
    tx: &mut Transaction,
    room: &Room,
    room_id: OwnedRoomId,
    alias: &RoomAliasId,
    user: &UserId,
) -> Result<(), Error> {
    let Some(event) = room.state.get(&StateEventType::RoomCanonicalAlias, "") else {
        return Ok(());
    };
    let mut content = json::content(event.content.get().as_bytes())?;
    if !names(&content).contains(alias.as_str()) {
        return Ok(());
    }
    let is_removed = |value: &CanonicalJsonValue| value.as_str() == Some(alias.as_str());
    if content.get("alias").is_some_and(is_removed) {
        content.remove("alias");
    }
    if let Some(CanonicalJsonValue::Array(others)) = content.get_mut("alt_aliases") {
        others.retain(|other| !is_removed(other));
    }
    let draft = Draft {
        room_id,
        sender: user.to_owned(),
        kind: TimelineEventType::RoomCanonicalAlias,
        state_key: Some(String::new()),
        content,
        time: tx.now(),
    };
    tx.append(draft, None).await.map(drop)
}

async fn of_room(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<room_aliases::v3::Request>,
) -> Result<Reply<room_aliases::v3::Response>, Error> {
    view::joined(&hs, &session.user, &request.room_id).await?;
    let query = "SELECT alias FROM aliases WHERE room_id = $1 ORDER BY alias";
    let query = sqlx::query_scalar::<_, String>(query).bind(request.room_id.as_str());
    let names = query.fetch_all(hs.pool()).await?;
    let aliases: Vec<OwnedRoomAliasId> =
        names.iter().filter_map(|name| RoomAliasId::parse(name).ok()).collect();
    Ok(Reply(room_aliases::v3::Response::new(aliases)))
}
