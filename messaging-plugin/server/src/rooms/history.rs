//! The history of a room (specification, client-server API, "Syncing").

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    api::{
        Direction as Dir,
        client::{
            context::get_context,
            message::get_message_events,
            room::{get_event_by_timestamp, get_room_event},
        },
    },
    serde::Raw,
};
use serde_json::value::RawValue;
use telmeet_core::filter;

use super::view::{View, write_state};
use crate::{
    error::Error,
    events::{self, Direction},
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, route},
    session::Session,
};

/// Most events near to a time that are looked at, of which the person may not read some.
const NEAR_MAX: usize = 200;

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    [
        route::<get_message_events::v3::Request, _, _>(messages),
        route::<get_context::v3::Request, _, _>(context),
        route::<get_room_event::v3::Request, _, _>(event),
        route::<get_event_by_timestamp::v1::Request, _, _>(near_time),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// JSON that was written here, as the type that `ruma` declares for it.
pub(super) fn raw<T>(events: Vec<Box<RawValue>>) -> Vec<Raw<T>> {
    events.into_iter().map(Raw::from_json).collect()
}

/// A page of the history.
async fn messages(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_message_events::v3::Request>,
) -> Result<Reply<get_message_events::v3::Response>, Error> {
    filter::check_events(&request.filter)?;
    let mut view = View::open(&hs, &session, &request.room_id).await?;
    let clock = view.clock();
    let read = |token: &Option<String>| token.as_deref().map(|token| clock.read_page(token));
    let (from, to) = (read(&request.from), read(&request.to));
    let (direction, places, start) = match request.dir {
        Dir::Backward => {
            let from = from.unwrap_or(clock.latest);
            (Direction::Backward, (to.unwrap_or_default(), from), from)
        }
        Dir::Forward => {
            let from = from.unwrap_or_default();
            (Direction::Forward, (from, to.unwrap_or(clock.latest)), from)
        }
    };
    let limit = filter::limit(Some(request.limit));
    let page = view.page(&request.filter, places, limit, direction).await?;
    let mut response = get_message_events::v3::Response::new();
    response.start = clock.page_token(start);
    response.end = page.next.map(|next| clock.page_token(next));
    response.chunk = raw(view.render(&page.events).await?);
    response.state = raw(view.senders(&request.filter.lazy_load_options, &page.events).await?);
    Ok(Reply(response))
}

/// An event with those around it.
async fn context(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_context::v3::Request>,
) -> Result<Reply<get_context::v3::Response>, Error> {
    filter::check_events(&request.filter)?;
    let mut view = View::open(&hs, &session, &request.room_id).await?;
    let event = view.event(&request.event_id).await?;
    let (clock, at) = (view.clock(), event.position);
    let limit = filter::limit(Some(request.limit));
    let around = view.around(&request.filter, at, (limit / 2, limit - limit / 2)).await?;

    let mut response = get_context::v3::Response::new();
    response.start = Some(clock.page_token(around.start));
    response.end = Some(clock.page_token(around.end));
    response.events_before = raw(view.render(&around.before).await?);
    response.events_after = raw(view.render(&around.after).await?);
    response.event = raw(view.render(std::slice::from_ref(&event)).await?).pop();
    let shown: Vec<_> = around.before.into_iter().chain([event]).chain(around.after).collect();
    response.state = if request.filter.lazy_load_options.is_disabled() {
        raw(state_at(&hs, &mut view, around.last).await?)
    } else {
        raw(view.senders(&request.filter.lazy_load_options, &shown).await?)
    };
    Ok(Reply(response))
}

/// The state at an event, or nothing for who is only invited.
async fn state_at(
    hs: &Homeserver,
    view: &mut View<'_>,
    position: u64,
) -> Result<Vec<Box<RawValue>>, Error> {
    match view.state_at(position).await {
        Ok(state) => write_state(hs, state.iter()),
        Err(Error::Core(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The event nearest to a time, from then on or before.
async fn near_time(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_event_by_timestamp::v1::Request>,
) -> Result<Reply<get_event_by_timestamp::v1::Response>, Error> {
    let direction = match request.dir {
        Dir::Backward => Direction::Backward,
        Dir::Forward => Direction::Forward,
    };
    let mut view = View::open(&hs, &session, &request.room_id).await?;
    let (vault, room) = (hs.vault(), &request.room_id);
    let connection = view.connection();
    let near = events::near_time(connection, vault, room, request.ts, NEAR_MAX, direction).await?;
    let found = near.into_iter().find(|stored| view.may_read(stored));
    let event = found.ok_or(Error::NotFound("there is no such event, or you may not read it"))?;
    let (id, time) = (event.event.event_id.clone(), event.event.time);
    Ok(Reply(get_event_by_timestamp::v1::Response::new(id, time)))
}

/// One event.
async fn event(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_room_event::v3::Request>,
) -> Result<Reply<get_room_event::v3::Response>, Error> {
    let unknown = || Error::NotFound("there is no such event, or you may not read it");
    let view = View::open(&hs, &session, &request.room_id).await;
    if matches!(view, Err(Error::Core(_))) {
        return Err(unknown());
    }
    let mut view = view?;
    let event = view.event(&request.event_id).await?;
    let event = view.render(&[event]).await?.pop().ok_or_else(unknown)?;
    Ok(Reply(get_room_event::v3::Response::new(Raw::from_json(event))))
}
