//! The rooms of a space (specification, client-server API, "Spaces").

use std::{collections::BTreeSet, sync::Arc};

use axum::extract::State;
use ruma::{
    OwnedRoomId, RoomId, UInt,
    api::client::space::{SpaceHierarchyRoomsChunk, get_hierarchy},
    events::{StateEventType, space::child::HierarchySpaceChildEvent},
    room::RoomType,
    serde::Raw,
};
use serde_json::{Value, json};
use telmeet_core::{event::Event, state::RoomState};

use super::{
    summary::{self, Previewer},
    view::hidden,
};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, route},
    session::Session,
};

/// Most rooms of an answer.
const LIMIT_MAX: usize = 50;
/// Most rooms that are visited.
const VISITED_MAX: usize = 1_000;
/// Most rooms that one space shows.
const CHILDREN_MAX: usize = 1_000;
/// Deepest space.
const DEPTH_MAX: u64 = 10;

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    route::<get_hierarchy::v1::Request, _, _>(hierarchy)
}

/// The space and what is in it, each space before what is in it. A token is the number of rooms before it.
async fn hierarchy(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_hierarchy::v1::Request>,
) -> Result<Reply<get_hierarchy::v1::Response>, Error> {
    let number = |number: UInt| usize::try_from(u64::from(number)).unwrap_or(usize::MAX);
    let limit = request.limit.map_or(LIMIT_MAX, number).clamp(1, LIMIT_MAX);
    let skipped: usize = request.from.and_then(|from| from.parse().ok()).unwrap_or_default();
    let depth = request.max_depth.map_or(DEPTH_MAX, u64::from).min(DEPTH_MAX);
    let previewer = Previewer::read(&hs, &session.user).await?;
    let mut walk = Walk::new(request.room_id, request.suggested_only, depth);
    let mut response = get_hierarchy::v1::Response::default();
    let mut count = 0_usize;
    while let Some((id, depth)) = walk.next() {
        let room = hs.room(&id).await?.filter(|room| previewer.may_preview(&room.state));
        let Some(room) = room else {
            if count == 0 {
                return Err(hidden());
            }
            continue;
        };
        if count == skipped.saturating_add(limit) {
            response.next_batch = Some(count.to_string());
            break;
        }
        let children = walk.enter(&room.state, depth);
        if count >= skipped {
            let summary = summary::of(&id, &room.state);
            response.rooms.push(SpaceHierarchyRoomsChunk::new(summary, children));
        }
        count += 1;
    }
    Ok(Reply(response))
}

/// The rooms that are still to be visited.
struct Walk {
    waiting: Vec<(OwnedRoomId, u64)>,
    visited: BTreeSet<OwnedRoomId>,
    is_suggested_only: bool,
    depth: u64,
}

impl Walk {
    fn new(root: OwnedRoomId, is_suggested_only: bool, depth: u64) -> Self {
        let visited = BTreeSet::new();
        Self { waiting: vec![(root, 0)], visited, is_suggested_only, depth }
    }

    /// The next room, with its depth.
    fn next(&mut self) -> Option<(OwnedRoomId, u64)> {
        while let Some((room, depth)) = self.waiting.pop() {
            if self.visited.len() >= VISITED_MAX {
                return None;
            }
            if self.visited.insert(room.clone()) {
                return Some((room, depth));
            }
        }
        None
    }

    /// Continues with the rooms of a space. Returns the events that name them.
    fn enter(&mut self, state: &RoomState, depth: u64) -> Vec<Raw<HierarchySpaceChildEvent>> {
        if state.room_type() != Some(RoomType::Space) {
            return Vec::new();
        }
        let mut children = children(state, self.is_suggested_only);
        children.sort_by(|(one, _), (other, _)| one.cmp(other));
        if depth < self.depth {
            let rooms = children.iter().rev().map(|(child, _)| child.state_key.clone());
            self.waiting.extend(rooms.map(|room| (room, depth + 1)));
        }
        children.into_iter().map(|(_, raw)| raw).collect()
    }
}

/// The rooms that a space names, each with the event. One without servers was taken out.
fn children(
    state: &RoomState,
    is_suggested_only: bool,
) -> Vec<(HierarchySpaceChildEvent, Raw<HierarchySpaceChildEvent>)> {
    state
        .of_type(&StateEventType::SpaceChild)
        .filter_map(|(room, event)| child(room, event))
        .filter(|(child, _)| child.content.suggested || !is_suggested_only)
        .take(CHILDREN_MAX)
        .collect()
}

fn child(
    room: &str,
    event: &Event,
) -> Option<(HierarchySpaceChildEvent, Raw<HierarchySpaceChildEvent>)> {
    RoomId::parse(room).ok()?;
    let content: Value = serde_json::from_str(event.content.get()).ok()?;
    let stripped = json!({
        "type": "m.space.child",
        "state_key": room,
        "content": content,
        "sender": event.sender,
        "origin_server_ts": event.time,
    });
    let child: HierarchySpaceChildEvent = serde_json::from_value(stripped.clone()).ok()?;
    if child.content.via.is_empty() {
        return None;
    }
    Some((child, Raw::new(&stripped).ok()?.cast_unchecked()))
}
