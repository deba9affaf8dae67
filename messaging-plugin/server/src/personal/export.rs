//! What the homeserver has of a person, for that person: one JSON object in each line. `maru rooms export` asks for it.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Method, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use chassis::browser;
use futures_util::stream;
use ruma::OwnedUserId;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use store::column;
use telmeet_api::rooms;
use telmeet_core::{
    client_event::{self, Additions, Format},
    token::Position,
};

use super::account_data;
use crate::{
    error::Error,
    events,
    homeserver::Homeserver,
    matrix::{Route, raw},
    session::Visitor,
    sign_in::people,
};

/// Events that are read at once.
const PAGE: usize = events::READ_MAX;

/// The endpoint.
pub(super) fn routes() -> Vec<Route> {
    raw(Method::GET, rooms::EXPORT.declaration.path, export)
}

/// An export in progress. It holds no connection while the client reads.
struct Export {
    homeserver: Arc<Homeserver>,
    user: OwnedUserId,
    /// What comes before the events; empty once it was sent.
    first: String,
    /// After the event at this position the next page begins; `None` at the end.
    after: Option<Position>,
}

/// Exports for the person whose node asks, who needs no app. A website could have it made, but not read it; it is refused
/// anyway.
async fn export(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, Error> {
    if browser::sent(&headers) {
        return Err(Error::forbidden("requests from websites are refused"));
    }
    let mut connection = homeserver.pool().acquire().await?;
    let user = people::find(&mut connection, visitor.person()?).await?;
    let user = user.ok_or(Error::NotFound("there is nothing of this person"))?;
    let first = lines(&personal(&homeserver, &mut connection, &user).await?);
    drop(connection);
    let export = Export { homeserver, user, first, after: Some(0) };
    let body = Body::from_stream(stream::try_unfold(export, Export::next));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

impl Export {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Ok(Some((first.into(), self)));
        }
        let Some(after) = self.after else { return Ok(None) };
        let (homeserver, user) = (&self.homeserver, &self.user);
        let mut connection = homeserver.pool().acquire().await?;
        let page =
            events::of_sender(&mut connection, homeserver.vault(), user, after, PAGE).await?;
        drop(connection);
        self.after = page.last().filter(|_| page.len() == PAGE).map(|last| last.position);
        let mut written = Vec::with_capacity(page.len());
        for stored in &page {
            let additions = Additions::default();
            let event = client_event::write(
                &stored.event,
                Format::Full,
                &additions,
                None,
                homeserver.now(),
            )?;
            written.push(json!({ "kind": "event", "event": event }));
        }
        // An empty chunk would end the stream of some clients.
        let text = lines(&written);
        Ok((!text.is_empty()).then(|| (text.into(), self)))
    }
}

/// Everything but the events.
async fn personal(
    homeserver: &Homeserver,
    connection: &mut AnyConnection,
    user: &OwnedUserId,
) -> Result<Vec<Value>, Error> {
    let mut written = Vec::new();
    for (kind, query, columns) in TABLES {
        let query = sqlx::query(query).bind(user.as_str());
        for row in query.fetch_all(&mut *connection).await? {
            written.push(object(kind, &row, columns)?);
        }
    }
    let range = (0, homeserver.clock().latest);
    let vault = homeserver.vault();
    for data in account_data::changes(connection, vault, user, range).await? {
        let account_data::AccountData { room, kind, content, .. } = data;
        written.push(json!({
            "kind": "account_data", "room_id": room, "type": kind, "content": content,
        }));
    }
    Ok(written)
}

/// A kind of line, the query for its rows, and its columns: texts, and numbers with an `#`.
type Table = (&'static str, &'static str, &'static [&'static str]);

const TABLES: [Table; 4] = [
    (
        "person",
        "SELECT user_id, login, display_name, avatar, created_at FROM people WHERE user_id = $1",
        &["user_id", "login", "display_name", "avatar", "#created_at"],
    ),
    (
        "device",
        "SELECT device_id, display_name, created_at, seen_at FROM devices WHERE user_id = $1 ORDER BY device_id",
        &["device_id", "display_name", "#created_at", "#seen_at"],
    ),
    (
        "room",
        "SELECT room_id, membership FROM memberships WHERE user_id = $1 ORDER BY room_id",
        &["room_id", "membership"],
    ),
    (
        "upload",
        "SELECT media_id, content_type, size, created_at FROM media WHERE user_id = $1 ORDER BY media_id",
        &["media_id", "content_type", "#size", "#created_at"],
    ),
];

fn object(kind: &str, row: &AnyRow, columns: &[&'static str]) -> Result<Value, Error> {
    let mut object = json!({ "kind": kind });
    for name in columns {
        object[name.trim_start_matches('#')] = match name.strip_prefix('#') {
            Some(name) => column::number(row, name)?.into(),
            None => row.try_get::<Option<String>, _>(*name)?.into(),
        };
    }
    Ok(object)
}

fn lines(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("{object}\n")).collect()
}
