//! Sessions are added, each if it is better than what is stored, and deleted.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use futures_util::FutureExt as _;
use ruma::{
    RoomId, UInt, UserId,
    api::client::backup::{
        KeyBackupData, add_backup_keys, add_backup_keys_for_room, add_backup_keys_for_session,
        delete_backup_keys, delete_backup_keys_for_room, delete_backup_keys_for_session,
    },
    serde::Raw,
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use store::column;
use telmeet_core::keys::backup::{ID_MAX, SESSIONS_MAX};

use super::version::{Version, count};
use crate::{
    error::Error,
    homeserver::Homeserver,
    matrix::{Reply, Ruma},
    session::Session,
};

/// A session with the ids under which it is stored.
struct Upload {
    room: String,
    id: String,
    session: telmeet_core::keys::backup::Session,
}

impl Upload {
    fn parse(room: &RoomId, id: &str, session: &Raw<KeyBackupData>) -> Result<Self, Error> {
        if id.is_empty() || id.len() > ID_MAX {
            return Err(Error::invalid("the id of a session has 1 to 255 bytes"));
        }
        let bytes = session.json().get().as_bytes();
        let session = telmeet_core::keys::backup::Session::parse(bytes)?;
        Ok(Self { room: room.to_string(), id: id.to_owned(), session })
    }

    fn parse_all(
        room: &RoomId,
        sessions: &BTreeMap<String, Raw<KeyBackupData>>,
    ) -> Result<Vec<Self>, Error> {
        sessions.iter().map(|(id, session)| Self::parse(room, id, session)).collect()
    }
}

pub(super) async fn add(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<add_backup_keys::v3::Request>,
) -> Result<Reply<add_backup_keys::v3::Response>, Error> {
    let mut uploads = Vec::new();
    for (room, backup) in &request.rooms {
        uploads.extend(Upload::parse_all(room, &backup.sessions)?);
    }
    let (etag, count) = store(&homeserver, session, request.version, uploads).await?;
    Ok(Reply(add_backup_keys::v3::Response::new(etag, count)))
}

pub(super) async fn add_room(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<add_backup_keys_for_room::v3::Request>,
) -> Result<Reply<add_backup_keys_for_room::v3::Response>, Error> {
    let uploads = Upload::parse_all(&request.room_id, &request.sessions)?;
    let (etag, count) = store(&homeserver, session, request.version, uploads).await?;
    Ok(Reply(add_backup_keys_for_room::v3::Response::new(etag, count)))
}

pub(super) async fn add_session(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<add_backup_keys_for_session::v3::Request>,
) -> Result<Reply<add_backup_keys_for_session::v3::Response>, Error> {
    let upload = Upload::parse(&request.room_id, &request.session_id, &request.session_data)?;
    let (etag, count) = store(&homeserver, session, request.version, vec![upload]).await?;
    Ok(Reply(add_backup_keys_for_session::v3::Response::new(etag, count)))
}

async fn store(
    homeserver: &Homeserver,
    session: Session,
    version: String,
    uploads: Vec<Upload>,
) -> Result<(String, UInt), Error> {
    let written = homeserver.write(move |transaction| {
        async move {
            let (connection, user) = (transaction.connection(), &session.user);
            let version = Version::current(connection, user, &version).await?;
            let mut is_changed = false;
            for upload in uploads {
                is_changed |= put(connection, user, version.number, upload).await?;
            }
            let stored = count(connection, user, version.number).await?;
            if u64::from(stored) > SESSIONS_MAX as u64 {
                return Err(Error::invalid(format!("a backup has at most {SESSIONS_MAX} keys")));
            }
            version.finish(connection, user, is_changed).await
        }
        .boxed()
    });
    written.await
}

/// Stores a session unless a better one is there. Returns whether it was stored.
async fn put(
    connection: &mut AnyConnection,
    user: &UserId,
    version: i64,
    upload: Upload,
) -> Result<bool, Error> {
    let query = "SELECT first_message_index, forwarded_count, is_verified, session_data FROM backed_up_keys \
         WHERE user_id = $1 AND version = $2 AND room_id = $3 AND session_id = $4";
    let query = sqlx::query(query)
        .bind(user.as_str())
        .bind(version)
        .bind(upload.room.clone())
        .bind(upload.id.clone());
    let stored = query.fetch_optional(&mut *connection).await?;
    let stored = stored.as_ref().map(read).transpose()?;
    if stored.is_some_and(|stored| !upload.session.is_better_than(&stored)) {
        return Ok(false);
    }
    let query = "INSERT INTO backed_up_keys (user_id, version, room_id, session_id, first_message_index, \
         forwarded_count, is_verified, session_data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE SET \
         first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count, \
         is_verified = excluded.is_verified, session_data = excluded.session_data";
    sqlx::query(query)
        .bind(user.as_str())
        .bind(version)
        .bind(upload.room)
        .bind(upload.id)
        .bind(column::sql(upload.session.first_message_index))
        .bind(column::sql(upload.session.forwarded_count))
        .bind(i64::from(upload.session.is_verified))
        .bind(upload.session.data)
        .execute(connection)
        .await?;
    Ok(true)
}

/// Reads a stored session.
pub(super) fn read(row: &AnyRow) -> Result<telmeet_core::keys::backup::Session, Error> {
    Ok(telmeet_core::keys::backup::Session {
        first_message_index: column::number(row, "first_message_index")?,
        forwarded_count: column::number(row, "forwarded_count")?,
        is_verified: row.try_get::<i64, _>("is_verified")? != 0,
        data: row.try_get("session_data")?,
    })
}

pub(super) async fn delete(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<delete_backup_keys::v3::Request>,
) -> Result<Reply<delete_backup_keys::v3::Response>, Error> {
    let (etag, count) = remove(&homeserver, session, request.version, "", "").await?;
    Ok(Reply(delete_backup_keys::v3::Response::new(etag, count)))
}

pub(super) async fn delete_room(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<delete_backup_keys_for_room::v3::Request>,
) -> Result<Reply<delete_backup_keys_for_room::v3::Response>, Error> {
    let room = request.room_id.as_str();
    let (etag, count) = remove(&homeserver, session, request.version, room, "").await?;
    Ok(Reply(delete_backup_keys_for_room::v3::Response::new(etag, count)))
}

pub(super) async fn delete_session(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<delete_backup_keys_for_session::v3::Request>,
) -> Result<Reply<delete_backup_keys_for_session::v3::Response>, Error> {
    let (room, id) = (request.room_id.as_str(), &*request.session_id);
    let (etag, count) = remove(&homeserver, session, request.version, room, id).await?;
    Ok(Reply(delete_backup_keys_for_session::v3::Response::new(etag, count)))
}

/// Deletes sessions; an empty `room` or `id` means all.
async fn remove(
    homeserver: &Homeserver,
    session: Session,
    version: String,
    room: &str,
    id: &str,
) -> Result<(String, UInt), Error> {
    let (room, id) = (room.to_owned(), id.to_owned());
    let written = homeserver.write(move |transaction| {
        async move {
            let (connection, user) = (transaction.connection(), &session.user);
            let version = Version::named(connection, user, &version).await?;
            let query = "DELETE FROM backed_up_keys WHERE user_id = $1 AND version = $2 \
                 AND ($3 = '' OR room_id = $3) AND ($4 = '' OR session_id = $4)";
            let query =
                sqlx::query(query).bind(user.as_str()).bind(version.number).bind(room).bind(id);
            let is_changed = query.execute(&mut *connection).await?.rows_affected() > 0;
            version.finish(connection, user, is_changed).await
        }
        .boxed()
    });
    written.await
}
