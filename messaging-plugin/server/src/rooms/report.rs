//! Reports of events, rooms and people (specification, client-server API, "Reporting Content"). They are for the admin, who
//! reads them in the log: ids alone, since no reason and no text is logged.

use std::sync::Arc;

use axum::extract::State;
use ruma::api::client::{
    reporting::report_user,
    room::{report_content, report_room},
};

use super::view::{self, View};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, route},
    session::Session,
};

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    [
        route::<report_content::v3::Request, _, _>(event),
        route::<report_room::v3::Request, _, _>(room),
        route::<report_user::v3::Request, _, _>(user),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn event(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<report_content::v3::Request>,
) -> Result<Reply<report_content::v3::Response>, Error> {
    let mut view = View::open(&hs, &session, &request.room_id).await?;
    let event = view.event(&request.event_id).await?.event;
    tracing::warn!(by = %session.user, of = %event.sender, room = %request.room_id, event = %event.event_id, "an event is reported");
    Ok(Reply(report_content::v3::Response::new()))
}

async fn room(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<report_room::v3::Request>,
) -> Result<Reply<report_room::v3::Response>, Error> {
    view::joined(&hs, &session.user, &request.room_id).await?;
    tracing::warn!(by = %session.user, room = %request.room_id, "a room is reported");
    Ok(Reply(report_room::v3::Response::new()))
}

/// Whether there is such a person is not told (specification, "POST /users/{userId}/report").
async fn user(
    session: Session,
    Ruma(request): Ruma<report_user::v3::Request>,
) -> Reply<report_user::v3::Response> {
    tracing::warn!(by = %session.user, of = %request.user_id, "a person is reported");
    Reply(report_user::v3::Response::new())
}
