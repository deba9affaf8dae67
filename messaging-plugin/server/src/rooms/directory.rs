//! The network's list of rooms (specification, client-server API, "Published Room Directory").

use std::{cmp::Reverse, sync::Arc};

use axum::{Json, extract::State};
use futures_util::FutureExt as _;
use ruma::{
    OwnedRoomId, RoomId, UInt,
    api::client::{
        directory::{
            get_public_rooms, get_public_rooms_filtered, get_room_visibility, set_room_visibility,
        },
        room::Visibility,
    },
    directory::{Filter, PublicRoomsChunk, RoomTypeFilter},
    events::StateEventType,
    room::RoomSummary,
};
use serde::Serialize;
use serde_json::Value;
use telmeet_core::filter;

use super::{
    summary,
    view::{hidden, is_joined},
};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, route},
    session::{NoWebsite, Session},
};

/// Most rooms of the list. Those that were made later are not shown.
const LISTED_MAX: i64 = 1_000;

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    [
        route::<get_public_rooms::v3::Request, _, _>(all),
        route::<get_public_rooms_filtered::v3::Request, _, _>(filtered),
        route::<get_room_visibility::v3::Request, _, _>(visibility),
        route::<set_room_visibility::v3::Request, _, _>(set_visibility),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn all(
    State(hs): State<Arc<Homeserver>>,
    _: NoWebsite,
    Ruma(request): Ruma<get_public_rooms::v3::Request>,
) -> Result<Json<ListPage>, Error> {
    Ok(Json(page(&hs, &Filter::new(), request.since.as_deref(), request.limit).await?))
}

async fn filtered(
    State(hs): State<Arc<Homeserver>>,
    _: Session,
    Ruma(request): Ruma<get_public_rooms_filtered::v3::Request>,
) -> Result<Json<ListPage>, Error> {
    Ok(Json(page(&hs, &request.filter, request.since.as_deref(), request.limit).await?))
}

/// A part of the list. `ruma`'s has no join rule if that is `public`; servers send it, and clients may expect it.
#[derive(Debug, Serialize)]
struct ListPage {
    chunk: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    total_room_count_estimate: UInt,
}

/// Reads a part of the list, the rooms with most members first. A token is the number of rooms before it.
async fn page(
    hs: &Homeserver,
    wanted: &Filter,
    since: Option<&str>,
    limit: Option<UInt>,
) -> Result<ListPage, Error> {
    let query =
        "SELECT room_id FROM rooms WHERE is_listed = 1 ORDER BY created_at, room_id LIMIT $1";
    let query = sqlx::query_scalar::<_, String>(query).bind(LISTED_MAX);
    let mut rooms = Vec::new();
    for id in query.fetch_all(hs.pool()).await? {
        let Ok(id) = RoomId::parse(id) else { continue };
        let Some(room) = hs.room(&id).await? else { continue };
        let summary = summary::of(&id, &room.state);
        if is_wanted(wanted, &summary) {
            rooms.push(summary);
        }
    }
    rooms.sort_by_key(|room| Reverse(room.num_joined_members));
    let count = UInt::try_from(rooms.len()).unwrap_or(UInt::MAX);
    let skipped = since.and_then(|since| since.parse().ok()).unwrap_or_default();
    let limit = filter::limit(limit).max(1);
    let left = rooms.len().saturating_sub(skipped);
    Ok(ListPage {
        chunk: rooms.into_iter().skip(skipped).take(limit).map(listed).collect(),
        next_batch: (left > limit).then(|| (skipped + limit).to_string()),
        prev_batch: (skipped > 0).then(|| skipped.saturating_sub(limit).to_string()),
        total_room_count_estimate: count,
    })
}

/// A room of the list.
fn listed(room: RoomSummary) -> Value {
    let mut listed = serde_json::to_value(PublicRoomsChunk::from(room)).unwrap_or_default();
    if let Value::Object(fields) = &mut listed {
        fields.entry("join_rule").or_insert_with(|| "public".into());
    }
    listed
}

/// Whether a filter asks for a room.
fn is_wanted(wanted: &Filter, room: &RoomSummary) -> bool {
    let kind = RoomTypeFilter::from(room.room_type.clone());
    if !wanted.room_types.is_empty() && !wanted.room_types.contains(&kind) {
        return false;
    }
    let Some(term) = wanted.generic_search_term.as_ref().map(|term| term.to_lowercase()) else {
        return true;
    };
    let alias = room.canonical_alias.as_ref().map(ToString::to_string);
    let texts = [&room.name, &room.topic, &alias];
    texts.into_iter().flatten().any(|text| text.to_lowercase().contains(&term))
}

async fn visibility(
    State(hs): State<Arc<Homeserver>>,
    _: NoWebsite,
    Ruma(request): Ruma<get_room_visibility::v3::Request>,
) -> Result<Reply<get_room_visibility::v3::Response>, Error> {
    let query = "SELECT is_listed FROM rooms WHERE room_id = $1";
    let query = sqlx::query_scalar::<_, i64>(query).bind(request.room_id.as_str());
    // A room that does not exist is not in the list, as one that is secret.
    let is_listed = query.fetch_optional(hs.pool()).await?.is_some_and(|it| it != 0);
    let visibility = if is_listed { Visibility::Public } else { Visibility::Private };
    Ok(Reply(get_room_visibility::v3::Response::new(visibility)))
}

/// Puts a room on the list or takes it off: by a member who may choose the room's main alias.
async fn set_visibility(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<set_room_visibility::v3::Request>,
) -> Result<Reply<set_room_visibility::v3::Response>, Error> {
    let room_id: OwnedRoomId = request.room_id;
    let is_listed = request.visibility == Visibility::Public;
    hs.write(move |tx| {
        async move {
            let room = tx.room(&room_id).await?.ok_or_else(hidden)?;
            if !is_joined(&room, &session.user) {
                return Err(hidden());
            }
            let kind = StateEventType::RoomCanonicalAlias;
            if !room.state.power_levels().user_can_send_state(&session.user, kind) {
                return Err(Error::forbidden("you may not put this room on the list"));
            }
            let query = "UPDATE rooms SET is_listed = $1 WHERE room_id = $2";
            let query = sqlx::query(query).bind(i64::from(is_listed)).bind(room_id.as_str());
            query.execute(tx.connection()).await?;
            Ok(())
        }
        .boxed()
    })
    .await?;
    Ok(Reply(set_room_visibility::v3::Response::new()))
}
