//! Sessions are read: one, or those of a room or of all rooms, which are written while they are read, since a backup may be
//! larger than what fits into memory.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use ruma::{
    OwnedUserId,
    api::client::backup::{get_backup_keys, get_backup_keys_for_room, get_backup_keys_for_session},
    serde::Raw,
};
use sqlx::{Row as _, any::AnyRow};

use super::{sessions::read, version::Version};
use crate::{
    error::Error,
    homeserver::Homeserver,
    keys::rows::damaged,
    matrix::{Reply, Ruma},
    session::Session,
};

/// Sessions of one read.
const PAGE: i64 = 100;

/// Sessions that are written to a client.
struct Download {
    homeserver: Arc<Homeserver>,
    user: OwnedUserId,
    version: i64,
    /// The only room, or none for all.
    room: Option<String>,
    /// Room and id of the last session that was written.
    last: Option<(String, String)>,
    is_finished: bool,
}

impl Download {
    /// The next piece of the JSON text; none at its end.
    async fn next(mut self) -> Result<Option<(String, Self)>, Error> {
        if self.is_finished {
            return Ok(None);
        }
        let rows = self.page().await?;
        let mut text = String::new();
        if self.last.is_none() {
            text.push_str(if self.room.is_some() { "{\"sessions\":{" } else { "{\"rooms\":{" });
        }
        for row in &rows {
            self.write(row, &mut text)?;
        }
        if rows.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
            self.is_finished = true;
            let closes_room = self.room.is_none() && self.last.is_some();
            text.push_str(if closes_room { "}}}}" } else { "}}" });
        }
        Ok(Some((text, self)))
    }

    fn write(&mut self, row: &AnyRow, text: &mut String) -> Result<(), Error> {
        let (room, id): (String, String) = (row.try_get("room_id")?, row.try_get("session_id")?);
        let quote = |name: &str| serde_json::to_string(name).map_err(|_| damaged("session_id"));
        match &self.last {
            Some((last, _)) if *last == room => text.push(','),
            last if self.room.is_none() => {
                text.push_str(if last.is_some() { "}}," } else { "" });
                text.push_str(&format!("{}:{{\"sessions\":{{", quote(&room)?));
            }
            _ => {}
        }
        let session = read(row)?.to_json().map_err(|_| damaged("session_data"))?;
        text.push_str(&format!("{}:{session}", quote(&id)?));
        self.last = Some((room, id));
        Ok(())
    }

    async fn page(&self) -> Result<Vec<AnyRow>, Error> {
        let query = "SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data \
             FROM backed_up_keys WHERE user_id = $1 AND version = $2 AND ($3 = '' OR room_id = $3) \
             AND (room_id > $4 OR (room_id = $4 AND session_id > $5)) ORDER BY room_id, session_id LIMIT $6";
        let (room, id) = self.last.clone().unwrap_or_default();
        let query = sqlx::query(query)
            .bind(self.user.as_str())
            .bind(self.version)
            .bind(self.room.clone().unwrap_or_default())
            .bind(room)
            .bind(id)
            .bind(PAGE);
        Ok(query.fetch_all(self.homeserver.pool()).await?)
    }
}

async fn download(
    homeserver: Arc<Homeserver>,
    session: Session,
    version: &str,
    room: Option<String>,
) -> Result<Response, Error> {
    let mut connection = homeserver.pool().acquire().await?;
    let version = Version::named(&mut connection, &session.user, version).await?.number;
    drop(connection);
    let user = session.user;
    let download = Download { homeserver, user, version, room, last: None, is_finished: false };
    let body = Body::from_stream(stream::try_unfold(download, Download::next));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

pub(super) async fn all(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_backup_keys::v3::Request>,
) -> Result<Response, Error> {
    download(homeserver, session, &request.version, None).await
}

pub(super) async fn room(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_backup_keys_for_room::v3::Request>,
) -> Result<Response, Error> {
    download(homeserver, session, &request.version, Some(request.room_id.to_string())).await
}

pub(super) async fn session(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_backup_keys_for_session::v3::Request>,
) -> Result<Reply<get_backup_keys_for_session::v3::Response>, Error> {
    let mut connection = homeserver.pool().acquire().await?;
    let version = Version::named(&mut connection, &session.user, &request.version).await?;
    let query = "SELECT first_message_index, forwarded_count, is_verified, session_data FROM backed_up_keys \
         WHERE user_id = $1 AND version = $2 AND room_id = $3 AND session_id = $4";
    let query = sqlx::query(query)
        .bind(session.user.as_str())
        .bind(version.number)
        .bind(request.room_id.as_str())
        .bind(request.session_id.clone());
    let row = query.fetch_optional(&mut *connection).await?;
    let row = row.ok_or(Error::NotFound("the backup has no such session"))?;
    let text = read(&row)?.to_json().map_err(|_| damaged("session_data"))?;
    let data = Raw::from_json_string(text).map_err(|_| damaged("session_data"))?;
    Ok(Reply(get_backup_keys_for_session::v3::Response::new(data)))
}
