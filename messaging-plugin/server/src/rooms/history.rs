//! The history of a room (specification, client-server API, "Syncing").

use std::sync::Arc;

use axum::extract::State;
use ruma::{
    api::{
        Direction as Dir,
        client::{context::get_context, message::get_message_events, room::get_room_event},
    },
    serde::Raw,
};
use serde_json::value::RawValue;
use telmeet_core::filter;

use super::view::{View, write_state};
use crate::{
    error::Error,
    events::Direction,
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, route},
    session::Session,
};

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    [
        route::<get_message_events::v3::Request, _, _>(messages),
        route::<get_context::v3::Request, _, _>(context),
        route::<get_room_event::v3::Request, _, _>(event),
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
    let places = (0, at.saturating_sub(1));
    let before = view.page(&request.filter, places, limit / 2, Direction::Backward).await?;
    let places = (at, clock.latest);
    let after = view.page(&request.filter, places, limit - limit / 2, Direction::Forward).await?;
    let first = before.events.last().map_or(at, |stored| stored.position);
    let last = after.events.last().map_or(at, |stored| stored.position);

    let mut response = get_context::v3::Response::new();
    response.start = Some(clock.page_token(before.next.unwrap_or(first.saturating_sub(1))));
    response.end = Some(clock.page_token(after.next.unwrap_or(last)));
    response.events_before = raw(view.render(&before.events).await?);
    response.events_after = raw(view.render(&after.events).await?);
    response.event = raw(view.render(std::slice::from_ref(&event)).await?).pop();
    let shown: Vec<_> = before.events.into_iter().chain([event]).chain(after.events).collect();
    response.state = if request.filter.lazy_load_options.is_disabled() {
        raw(state_at(&hs, &mut view, last).await?)
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
