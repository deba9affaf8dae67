//! Events that relate to another, and threads (specification, client-server API, "Relationships API", "Threading").

use std::sync::Arc;

use axum::extract::{self, FromRequest as _, State};
use ruma::{
    EventId, OwnedEventId, UInt,
    api::{
        Direction as Dir,
        client::{
            relations::{
                get_relating_events, get_relating_events_with_rel_type,
                get_relating_events_with_rel_type_and_event_type,
            },
            threads::get_threads::{self, v1::IncludeThreads},
        },
    },
    events::{TimelineEventType, relation::RelationType},
};
use sqlx::{Row as _, any::AnyRow};
use store::column;
use telmeet_core::{
    filter,
    token::{Clock, Position},
};

use super::{
    history::raw,
    view::{Page, View},
};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Route, Ruma, route},
    session::Session,
};

/// How far relations of relations are followed.
const DEPTH: u32 = 3;
/// Threads of a room by their latest event, which is above no later page's first one.
const THREADS: &str = "SELECT relates_to AS event_id, MAX(position) AS position FROM events WHERE room_id = $1 \
     AND relation = 'm.thread' AND position <= $2 GROUP BY relates_to HAVING MAX(position) <= $3 \
     ORDER BY MAX(position) DESC LIMIT $4";
/// Those in which a person wrote, the first event included.
const PARTICIPATED: &str = "SELECT e.relates_to AS event_id, MAX(e.position) AS position FROM events e \
     WHERE e.room_id = $1 AND e.relation = 'm.thread' AND e.position <= $2 AND (e.relates_to IN (SELECT relates_to \
     FROM events WHERE room_id = $1 AND relation = 'm.thread' AND position <= $2 AND sender = $5) OR EXISTS \
     (SELECT 1 FROM events f WHERE f.event_id = e.relates_to AND f.sender = $5)) GROUP BY e.relates_to \
     HAVING MAX(e.position) <= $3 ORDER BY MAX(e.position) DESC LIMIT $4";

/// The endpoints.
pub(super) fn routes() -> Vec<Route> {
    [
        route::<get_relating_events::v1::Request, _, _>(all),
        route::<get_relating_events_with_rel_type::v1::Request, _, _>(of_relation),
        route::<get_relating_events_with_rel_type_and_event_type::v1::Request, _, _>(of_type),
        route::<get_threads::v1::Request, _, _>(threads),
    ]
    .into_iter()
    .flatten()
    .collect()
}

macro_rules! handler {
    ($name:ident, $endpoint:ident, |$request:ident| ($relation:expr, $kind:expr)) => {
        async fn $name(
            State(hs): State<Arc<Homeserver>>,
            session: Session,
            Ruma($request): Ruma<$endpoint::v1::Request>,
        ) -> Result<Reply<$endpoint::v1::Response>, Error> {
            let query = Query {
                relation: $relation,
                kind: $kind,
                from: $request.from,
                to: $request.to,
                limit: $request.limit,
                direction: $request.dir,
                is_recursive: $request.recurse,
                target: $request.event_id,
            };
            let mut view = View::open(&hs, &session, &$request.room_id).await?;
            let (page, clock) = (query.run(&mut view).await?, view.clock());
            let mut response = $endpoint::v1::Response::new(raw(view.render(&page.events).await?));
            response.next_batch = page.next.map(|next| clock.page_token(next));
            response.prev_batch = query.from;
            response.recursion_depth = query.is_recursive.then(|| DEPTH.into());
            Ok(Reply(response))
        }
    };
}

handler!(all, get_relating_events, |request| (None, None));
handler!(of_relation, get_relating_events_with_rel_type, |request| (Some(request.rel_type), None));
handler!(of_type, get_relating_events_with_rel_type_and_event_type, |request| (
    Some(request.rel_type),
    Some(request.event_type)
));

/// Which relations a client asks for.
struct Query {
    target: OwnedEventId,
    relation: Option<RelationType>,
    kind: Option<TimelineEventType>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<UInt>,
    direction: Dir,
    is_recursive: bool,
}

impl Query {
    async fn run(&self, view: &mut View<'_>) -> Result<Page, Error> {
        view.event(&self.target).await?;
        let (after, upto) = self.places(view.clock());
        let limit = filter::limit(self.limit).max(1);
        let order = if self.direction == Dir::Backward { "DESC" } else { "ASC" };
        let query = format!(
            "WITH RECURSIVE related (event_id, position, relation, kind, depth) AS ( \
             SELECT event_id, position, relation, kind, 1 FROM events WHERE relates_to = $1 AND room_id = $2 \
             UNION ALL SELECT e.event_id, e.position, e.relation, e.kind, r.depth + 1 FROM events e \
             JOIN related r ON e.relates_to = r.event_id WHERE e.room_id = $2 AND r.depth < $3) \
             SELECT event_id, position FROM related WHERE position > $4 AND position <= $5 \
             AND ($6 = '' OR relation = $6) AND ($7 = '' OR kind = $7) ORDER BY position {order} LIMIT $8"
        );
        let depth = if self.is_recursive { DEPTH.into() } else { 1 };
        let room_id = view.room_id().to_string();
        let query = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(self.target.to_string())
            .bind(room_id)
            .bind(column::sql(depth))
            .bind(column::sql(after))
            .bind(column::sql(upto.min(view.upto())))
            .bind(self.relation.as_ref().map(ToString::to_string).unwrap_or_default())
            .bind(self.kind.as_ref().map(ToString::to_string).unwrap_or_default())
            .bind(column::sql(limit as u64));
        let rows = query.fetch_all(view.connection()).await?;
        let (ids, last) = read(&rows)?;
        let next = last.filter(|_| rows.len() == limit);
        let next = next.map(|last| last - u64::from(self.direction == Dir::Backward));
        Ok(Page { events: view.events(&ids).await?, next })
    }

    /// Above and up to which position relations are read.
    fn places(&self, clock: Clock) -> (Position, Position) {
        let read = |token: &Option<String>| token.as_deref().map(|token| clock.read_page(token));
        let (from, to) = (read(&self.from), read(&self.to));
        match self.direction {
            Dir::Backward => (to.unwrap_or_default(), from.unwrap_or(clock.latest)),
            Dir::Forward => (from.unwrap_or_default(), to.unwrap_or(clock.latest)),
        }
    }
}

/// Ids of events, and the position of the last row.
fn read(rows: &[AnyRow]) -> Result<(Vec<OwnedEventId>, Option<Position>), Error> {
    let mut ids = Vec::with_capacity(rows.len());
    let mut last = None;
    for row in rows {
        let id: String = row.try_get("event_id")?;
        // A relation may name what is no event.
        ids.extend(EventId::parse(id).ok());
        last = Some(column::number(row, "position")?);
    }
    Ok((ids, last))
}

/// Adds the parameter `include`, for which the specification has a default and the library has none.
fn with_include(mut request: extract::Request) -> extract::Request {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let has_include = query.split('&').any(|parameter| parameter.starts_with("include="));
    if !has_include && let Ok(uri) = format!("{path}?{query}&include=all").parse() {
        *request.uri_mut() = uri;
    }
    request
}

/// The threads of a room: their first events, the thread with the latest event first.
async fn threads(
    State(hs): State<Arc<Homeserver>>,
    session: Session,
    request: extract::Request,
) -> Result<Reply<get_threads::v1::Response>, Error> {
    let request = Ruma::<get_threads::v1::Request>::from_request(with_include(request), &hs);
    let Ruma(request) = request.await?;
    let mut view = View::open(&hs, &session, &request.room_id).await?;
    let clock = view.clock();
    let from = request.from.as_deref().map_or(clock.latest, |from| clock.read_page(from));
    let limit = filter::limit(request.limit).max(1);
    let has_participated = request.include == IncludeThreads::Participated;
    let query = sqlx::query(if has_participated { PARTICIPATED } else { THREADS })
        .bind(request.room_id.as_str())
        .bind(column::sql(view.upto()))
        .bind(column::sql(from))
        .bind(column::sql(limit as u64));
    let query = if has_participated { query.bind(session.user.as_str()) } else { query };
    let rows = query.fetch_all(view.connection()).await?;
    let (ids, last) = read(&rows)?;
    let roots = view.events(&ids).await?;
    let mut response = get_threads::v1::Response::new(raw(view.render(&roots).await?));
    let next = last.filter(|_| rows.len() == limit);
    response.next_batch = next.map(|last| clock.page_token(last.saturating_sub(1)));
    Ok(Reply(response))
}
