//! Search in what clients did not encrypt (specification, client-server API, "Server Side Search"). Encrypted messages
//! are searched by the clients.

use std::{cmp::Reverse, collections::BTreeSet, slice, sync::Arc};

use axum::{Json, extract::State};
use ruma::{
    OwnedEventId, OwnedRoomId, UInt,
    api::client::{
        filter::RoomEventFilter,
        search::search_events::{
            self,
            v3::{Criteria, ResultRoomEvents, SearchKeys, SearchResult},
        },
    },
    events::StateEventType,
};
use serde_json::{Value, json};
use telmeet_core::{event::Event, filter, token::Position};

use super::{
    history::raw,
    member,
    view::{View, is_joined},
};
use crate::{
    error::Error,
    events::Direction,
    homeserver::{Homeserver, Room},
    matrix::{Route, Ruma, route},
    session::Session,
};

/// Longest text to search for, in bytes.
const TERM_MAX: usize = 1_000;
/// Most rooms that are searched, those with the latest ids first.
const ROOMS_MAX: usize = 50;
/// Most events of a room that are searched, the latest ones.
const EVENTS_MAX: usize = 1_000;
/// Most events that are shown before, and after, one that was found.
const CONTEXT_MAX: usize = 20;

/// Most bytes of events on one page of results, those of one result more at most.
const FOUND_MAX: usize = 4 << 20;

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    route::<search_events::v3::Request, _, _>(search)
}

async fn search(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<search_events::v3::Request>,
) -> Result<Json<Value>, Error> {
    let mut categories = json!({});
    if let Some(criteria) = &request.search_categories.room_events {
        let token = request.next_batch.as_deref();
        let found = find(&hs, &session, criteria, token).await?;
        let mut found = serde_json::to_value(found).unwrap_or_default();
        // `ruma` leaves out an empty list.
        found.as_object_mut().map(|found| found.entry("results").or_insert_with(|| json!([])));
        categories["room_events"] = found;
    }
    Ok(Json(json!({ "search_categories": categories })))
}

/// An event that was found.
struct Hit {
    position: Position,
    room: OwnedRoomId,
    event: OwnedEventId,
}

/// The latest events that have all words of the text: those of the first page, or of the one that begins at a token.
async fn find(
    hs: &Homeserver,
    session: &Session,
    criteria: &Criteria,
    token: Option<&str>,
) -> Result<ResultRoomEvents, Error> {
    filter::check_events(&criteria.filter)?;
    if criteria.search_term.len() > TERM_MAX {
        return Err(Error::invalid("the text to search for has at most 1,000 bytes"));
    }
    let words: BTreeSet<String> =
        criteria.search_term.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let clock = hs.clock();
    let mut hits = Vec::new();
    for room in rooms(hs, session, criteria).await? {
        let mut view = View::open(hs, session, &room).await?;
        let range = (0, view.upto());
        let page = view.page(&criteria.filter, range, EVENTS_MAX, Direction::Backward).await?;
        let found = page.events.iter().filter(|stored| matches(&stored.event, criteria, &words));
        hits.extend(found.map(|stored| Hit {
            position: stored.position,
            room: room.clone(),
            event: stored.event.event_id.clone(),
        }));
    }
    // Every word is in every result, so one is as relevant as another.
    hits.sort_by_key(|hit| Reverse(hit.position));
    let mut results = ResultRoomEvents::new();
    results.count = UInt::try_from(hits.len()).ok();
    results.highlights = words.into_iter().collect();
    if let Some(token) = token {
        let upto = clock.read_page(token);
        hits.retain(|hit| hit.position <= upto);
    }
    let limit = filter::limit(criteria.filter.limit);
    if let Some(last) = limit.checked_sub(1).and_then(|last| hits.get(last)) {
        results.next_batch = Some(clock.page_token(last.position.saturating_sub(1)));
    }
    let mut bytes = 0;
    for hit in hits.iter().take(limit) {
        match result(hs, session, criteria, hit).await {
            Ok((result, size)) => {
                results.results.push(result);
                bytes += size;
            }
            // It was deleted, or the person left, meanwhile.
            Err(Error::NotFound(_) | Error::Core(_)) => {}
            Err(error) => return Err(error),
        }
        if bytes > FOUND_MAX {
            results.next_batch = Some(clock.page_token(hit.position.saturating_sub(1)));
            break;
        }
    }
    Ok(results)
}

/// An event that was found, with those around it, and the bytes of their contents.
async fn result(
    hs: &Homeserver,
    session: &Session,
    criteria: &Criteria,
    hit: &Hit,
) -> Result<(SearchResult, usize), Error> {
    let mut view = View::open(hs, session, &hit.room).await?;
    let stored = view.event(&hit.event).await?;
    let wanted = &criteria.event_context;
    let limit = |limit| filter::limit(Some(limit)).min(CONTEXT_MAX);
    let limits = (limit(wanted.before_limit), limit(wanted.after_limit));
    let around = view.around(&RoomEventFilter::default(), stored.position, limits).await?;
    let clock = view.clock();
    let mut result = SearchResult::new();
    result.rank = Some(1.0);
    result.context.start = Some(clock.page_token(around.start));
    result.context.end = Some(clock.page_token(around.end));
    result.context.events_before = raw(view.render(&around.before).await?);
    result.context.events_after = raw(view.render(&around.after).await?);
    result.result = raw(view.render(slice::from_ref(&stored)).await?).pop();
    let shown = around.before.iter().chain([&stored]).chain(&around.after);
    if wanted.include_profile {
        let state = view.state().await?;
        for stored in shown.clone() {
            let sender = &stored.event.sender;
            let member = state.get(&StateEventType::RoomMember, sender.as_str());
            let profile = member.and_then(|it| serde_json::from_str(it.content.get()).ok());
            result.context.profile_info.extend(profile.map(|profile| (sender.clone(), profile)));
        }
    }
    Ok((result, shown.map(|stored| stored.event.content.get().len()).sum()))
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
