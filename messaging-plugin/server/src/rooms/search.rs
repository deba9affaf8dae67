//! Search in what clients did not encrypt (specification, client-server API, "Server Side Search"). Encrypted messages
//! are searched by the clients.

use std::{cmp::Reverse, collections::BTreeSet, sync::Arc};

use axum::extract::State;
use ruma::{
    OwnedRoomId, UInt,
    api::client::search::search_events::{
        self,
        v3::{Criteria, ResultCategories, ResultRoomEvents, SearchKeys, SearchResult},
    },
    serde::Raw,
};
use serde_json::Value;
use telmeet_core::{event::Event, filter};

use super::{
    member,
    view::{View, is_joined},
};
use crate::{
    error::Error,
    events::{Direction, StoredEvent},
    homeserver::{Homeserver, Room},
    matrix::{Reply, Route, Ruma, route},
    session::Session,
};

/// Longest text to search for, in bytes.
const TERM_MAX: usize = 1_000;
/// Most rooms that are searched, those with the latest ids first.
const ROOMS_MAX: usize = 50;
/// Most events of a room that are searched, the latest ones.
const EVENTS_MAX: usize = 1_000;

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    route::<search_events::v3::Request, _, _>(search)
}

async fn search(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<search_events::v3::Request>,
) -> Result<Reply<search_events::v3::Response>, Error> {
    let mut categories = ResultCategories::new();
    if let Some(criteria) = &request.search_categories.room_events {
        categories.room_events = find(&hs, &session, criteria).await?;
    }
    Ok(Reply(search_events::v3::Response::new(categories)))
}

/// The latest events that have all words of the text.
async fn find(
    hs: &Homeserver,
    session: &Session,
    criteria: &Criteria,
) -> Result<ResultRoomEvents, Error> {
    filter::check_events(&criteria.filter)?;
    if criteria.search_term.len() > TERM_MAX {
        return Err(Error::invalid("the text to search for has at most 1,000 bytes"));
    }
    let words: BTreeSet<String> =
        criteria.search_term.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let limit = filter::limit(criteria.filter.limit);
    let mut found = Vec::new();
    for room in rooms(hs, session, criteria).await? {
        let mut view = View::open(hs, session, &room).await?;
        let range = (0, view.upto());
        let page = view.page(&criteria.filter, range, EVENTS_MAX, Direction::Backward).await?;
        let is_match = |stored: &StoredEvent| matches(&stored.event, criteria, &words);
        let events: Vec<StoredEvent> =
            page.events.into_iter().filter(is_match).take(limit).collect();
        let written = view.render(&events).await?;
        found.extend(events.into_iter().map(|stored| stored.position).zip(written));
    }
    // Every word is in every result, so one is as relevant as another.
    found.sort_by_key(|(position, _)| Reverse(*position));
    let mut results = ResultRoomEvents::new();
    results.count = UInt::try_from(found.len()).ok();
    results.highlights = words.into_iter().collect();
    let result = |(_, event)| {
        let mut result = SearchResult::new();
        result.rank = Some(1.0);
        result.result = Some(Raw::from_json(event));
        result
    };
    results.results = found.into_iter().take(limit).map(result).collect();
    Ok(results)
}

/// The person's rooms that are not encrypted and for which the filter asks.
async fn rooms(
    hs: &Homeserver,
    session: &Session,
    criteria: &Criteria,
) -> Result<Vec<OwnedRoomId>, Error> {
    let all = member::joined_rooms(&mut *hs.pool().acquire().await?, &session.user).await?;
    let mut rooms = Vec::new();
    for id in all {
        let is_wanted = criteria.filter.rooms.as_ref().is_none_or(|rooms| rooms.contains(&id))
            && !criteria.filter.not_rooms.contains(&id);
        if !is_wanted {
            continue;
        }
        let room = hs.room(&id).await?;
        let is_searched =
            |room: &Arc<Room>| !room.state.is_encrypted() && is_joined(room, &session.user);
        if room.as_ref().is_some_and(is_searched) {
            rooms.push(id);
        }
        if rooms.len() == ROOMS_MAX {
            break;
        }
    }
    Ok(rooms)
}

/// Whether an event has all words in the fields that are searched.
fn matches(event: &Event, criteria: &Criteria, words: &BTreeSet<String>) -> bool {
    let fields = [
        (SearchKeys::ContentBody, "m.room.message", "body"),
        (SearchKeys::ContentName, "m.room.name", "name"),
        (SearchKeys::ContentTopic, "m.room.topic", "topic"),
    ];
    let kind = event.kind.to_string();
    let field = fields.iter().find(|(_, of_kind, _)| *of_kind == kind);
    let Some((key, _, field)) = field else { return false };
    if words.is_empty() || criteria.keys.as_ref().is_some_and(|keys| !keys.contains(key)) {
        return false;
    }
    let content: Value = serde_json::from_str(event.content.get()).unwrap_or_default();
    let text = content.get(field).and_then(Value::as_str).map(str::to_lowercase);
    text.is_some_and(|text| words.iter().all(|word| text.contains(word)))
}
