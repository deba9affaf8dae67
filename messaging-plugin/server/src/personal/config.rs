//! Endpoints of account data and of tags, which are account data of rooms (specification, client-server API, "Client
//! Config", "Room Tagging").

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use futures_util::FutureExt as _;
use ruma::{
    OwnedRoomId, RoomId, UserId,
    api::{
        client::{
            config::{
                get_global_account_data, get_room_account_data, set_global_account_data,
                set_room_account_data,
            },
            tag::{create_tag, delete_tag, get_tags},
        },
        error::ErrorKind,
    },
    events::tag::{TagEventContent, Tags},
    serde::Raw,
};
use serde_json::value::{RawValue, to_raw_value};
use sqlx::AnyConnection;

use super::{account_data, owner, push_rules};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, route},
    session::Session,
    vault::Vault,
};

/// Most tags of a room.
const TAGS_MAX: usize = 100;
/// Longest tag, in bytes (specification, client-server API, "Room Tagging").
const TAG_MAX: usize = 255;
/// The type of tags.
const TAG: &str = "m.tag";

const NOT_FOUND: Error = Error::NotFound("there is no such account data");

/// The endpoints.
pub(crate) fn routes() -> Vec<Route> {
    [
        route::<get_global_account_data::v3::Request, _, _>(get_global),
        route::<set_global_account_data::v3::Request, _, _>(set_global),
        route::<get_room_account_data::v3::Request, _, _>(get_of_room),
        route::<set_room_account_data::v3::Request, _, _>(set_of_room),
        route::<get_tags::v3::Request, _, _>(tags),
        route::<create_tag::v3::Request, _, _>(add_tag),
        route::<delete_tag::v3::Request, _, _>(remove_tag),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn get_global(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_global_account_data::v3::Request>,
) -> Result<Reply<get_global_account_data::v3::Response>, Error> {
    owner::check(&session, &request.user_id)?;
    let kind = request.event_type.to_string();
    let (mut connection, vault) = (homeserver.pool().acquire().await?, homeserver.vault());
    let content = if kind == push_rules::KIND {
        push_rules::content(&push_rules::read(&mut connection, vault, &session.user).await?)?
    } else {
        account_data::get(&mut connection, vault, &session.user, None, &kind)
            .await?
            .ok_or(NOT_FOUND)?
    };
    Ok(Reply(get_global_account_data::v3::Response::new(Raw::from_json(content))))
}

async fn set_global(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<set_global_account_data::v3::Request>,
) -> Result<Reply<set_global_account_data::v3::Response>, Error> {
    owner::check(&session, &request.user_id)?;
    let kind = request.event_type.to_string();
    set(&homeserver, session, None, kind, request.data.into_json()).await?;
    Ok(Reply(set_global_account_data::v3::Response::new()))
}

async fn get_of_room(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_room_account_data::v3::Request>,
) -> Result<Reply<get_room_account_data::v3::Response>, Error> {
    owner::check(&session, &request.user_id)?;
    let kind = request.event_type.to_string();
    let (mut connection, vault) = (homeserver.pool().acquire().await?, homeserver.vault());
    let content =
        account_data::get(&mut connection, vault, &session.user, Some(&request.room_id), &kind)
            .await?;
    let content = content.ok_or(NOT_FOUND)?;
    Ok(Reply(get_room_account_data::v3::Response::new(Raw::from_json(content))))
}

async fn set_of_room(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<set_room_account_data::v3::Request>,
) -> Result<Reply<set_room_account_data::v3::Response>, Error> {
    owner::check(&session, &request.user_id)?;
    let kind = request.event_type.to_string();
    set(&homeserver, session, Some(request.room_id), kind, request.data.into_json()).await?;
    Ok(Reply(set_room_account_data::v3::Response::new()))
}

async fn tags(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_tags::v3::Request>,
) -> Result<Reply<get_tags::v3::Response>, Error> {
    owner::check(&session, &request.user_id)?;
    let mut connection = homeserver.pool().acquire().await?;
    let tags =
        read_tags(&mut connection, homeserver.vault(), &session.user, &request.room_id).await?;
    Ok(Reply(get_tags::v3::Response::new(tags)))
}

async fn add_tag(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<create_tag::v3::Request>,
) -> Result<Reply<create_tag::v3::Response>, Error> {
    owner::check(&session, &request.user_id)?;
    if request.tag.len() > TAG_MAX {
        return Err(telmeet_core::Error::TooLarge { what: "the tag", max: "255 bytes" }.into());
    }
    change_tags(&homeserver, session, request.room_id, move |tags| {
        tags.insert(request.tag.into(), request.tag_info);
    })
    .await?;
    Ok(Reply(create_tag::v3::Response::new()))
}

async fn remove_tag(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<delete_tag::v3::Request>,
) -> Result<Reply<delete_tag::v3::Response>, Error> {
    owner::check(&session, &request.user_id)?;
    change_tags(&homeserver, session, request.room_id, move |tags| {
        tags.remove(&request.tag.into());
    })
    .await?;
    Ok(Reply(delete_tag::v3::Response::new()))
}

/// Stores what a client may store itself.
async fn set(
    homeserver: &Homeserver,
    session: Session,
    room: Option<OwnedRoomId>,
    kind: String,
    content: Box<RawValue>,
) -> Result<(), Error> {
    if [push_rules::KIND, "m.fully_read"].contains(&kind.as_str()) {
        let reason = "this type of account data has an endpoint of its own".to_owned();
        return Err(Error::Refused(StatusCode::METHOD_NOT_ALLOWED, ErrorKind::BadJson, reason));
    }
    homeserver
        .write(move |transaction| {
            async move {
                if let Some(room) = &room {
                    check_room(transaction.connection(), &session.user, room).await?;
                }
                account_data::set(transaction, &session.user, room.as_deref(), &kind, &content)
                    .await
            }
            .boxed()
        })
        .await
}

/// Checks that the person was ever in the room, or was invited, so that not every text becomes an entry.
async fn check_room(
    connection: &mut AnyConnection,
    user: &UserId,
    room: &RoomId,
) -> Result<(), Error> {
    let query = "SELECT position FROM memberships WHERE user_id = $1 AND room_id = $2";
    let query = sqlx::query_scalar::<_, i64>(query).bind(user.as_str()).bind(room.as_str());
    query
        .fetch_optional(connection)
        .await?
        .map(|_| ())
        .ok_or(Error::NotFound("there is no such room"))
}

async fn read_tags(
    connection: &mut AnyConnection,
    vault: &Vault,
    user: &UserId,
    room: &RoomId,
) -> Result<Tags, Error> {
    let content = account_data::get(connection, vault, user, Some(room), TAG).await?;
    // A client may have stored something else under this type.
    let content =
        content.and_then(|content| serde_json::from_str::<TagEventContent>(content.get()).ok());
    Ok(content.map(|content| content.tags).unwrap_or_default())
}

async fn change_tags(
    homeserver: &Homeserver,
    session: Session,
    room: OwnedRoomId,
    change: impl FnOnce(&mut Tags) + Send + 'static,
) -> Result<(), Error> {
    homeserver
        .write(move |transaction| {
            async move {
                check_room(transaction.connection(), &session.user, &room).await?;
                let vault = transaction.vault();
                let mut tags =
                    read_tags(transaction.connection(), &vault, &session.user, &room).await?;
                change(&mut tags);
                if tags.len() > TAGS_MAX {
                    return Err(telmeet_core::Error::TooLarge {
                        what: "the room's tags",
                        max: "100",
                    }
                    .into());
                }
                let content = to_raw_value(&TagEventContent::new(tags));
                let content =
                    content.map_err(|_| Error::bad_json("the tags cannot be written as JSON"))?;
                account_data::set(transaction, &session.user, Some(&room), TAG, &content).await
            }
            .boxed()
        })
        .await
}
