//! Uploads: at once, or with an id that is given out before.

use std::{io, sync::Arc, time::Duration};

use axum::{Json, body::Body, extract::State, http::StatusCode};
use chassis::body::{self, BodyError};
use futures_util::FutureExt as _;
use hyper::body::Body as _;
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedMxcUri, OwnedUserId, UInt, UserId,
    api::{
        client::{
            authenticated_media::get_media_config,
            media::{create_content, create_content_async, create_mxc_uri},
        },
        error::ErrorKind,
    },
};
use serde_json::{Value, json};
use sqlx::Row as _;
use store::{DatabaseError, column};
use telmeet_core::media::{content_type, file_name};

use super::{
    file::Finished,
    row::{self, Content, Stored},
};
use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    matrix::{Reply, RumaStream},
    random,
    session::Session,
};

/// How long an upload may take.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// How long an id waits for its file.
const UNUSED: Duration = Duration::from_secs(24 * 60 * 60);
/// Ids of one person that wait for their files.
const UNUSED_MAX: u64 = 50;

pub(super) async fn config(
    State(homeserver): State<Arc<Homeserver>>,
    _: Session,
) -> Reply<get_media_config::v1::Response> {
    let upload = UInt::new_saturating(homeserver.media.limits().upload);
    Reply(get_media_config::v1::Response::new(upload))
}

pub(super) async fn upload(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    RumaStream(request, body): RumaStream<create_content::v3::Request>,
) -> Result<Reply<create_content::v3::Response>, Error> {
    let file = receive(&homeserver, &session.user, body).await?;
    let media_id = random::id()?;
    let uri = uri(&homeserver, &media_id);
    let content = describe(request.content_type.as_deref(), request.filename.as_deref(), &file);
    store(&homeserver, session.user, media_id, content, file).await?;
    Ok(Reply(create_content::v3::Response::new(uri)))
}

pub(super) async fn create(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
) -> Result<Reply<create_mxc_uri::v1::Response>, Error> {
    let media_id = random::id()?;
    let mut response = create_mxc_uri::v1::Response::new(uri(&homeserver, &media_id));
    let written = homeserver.write(move |transaction| {
        async move { reserve(transaction, &session.user, &media_id).await }.boxed()
    });
    response.unused_expires_at = Some(written.await?);
    Ok(Reply(response))
}

/// Reserves an id and returns when it expires. Ids of the person that have expired are deleted.
async fn reserve(
    transaction: &mut Transaction,
    user: &UserId,
    media_id: &str,
) -> Result<MilliSecondsSinceUnixEpoch, Error> {
    let unused = UInt::try_from(UNUSED.as_millis()).unwrap_or_default();
    let now = transaction.now().get();
    let connection = transaction.connection();
    let expired = "DELETE FROM media WHERE user_id = $1 AND file IS NULL AND created_at <= $2";
    let expired = sqlx::query(expired)
        .bind(user.as_str())
        .bind(column::sql(now.saturating_sub(unused).into()));
    expired.execute(&mut *connection).await?;
    let query = "SELECT COUNT(*) AS count FROM media WHERE user_id = $1 AND file IS NULL";
    let row = sqlx::query(query).bind(user.as_str()).fetch_one(&mut *connection).await?;
    if column::number(&row, "count")? >= UNUSED_MAX {
        return Err(Error::Limited { retry_after: Duration::from_secs(60) });
    }
    row::insert(connection, user, media_id, column::sql(now.into())).await?;
    Ok(MilliSecondsSinceUnixEpoch(now.saturating_add(unused)))
}

/// Whoever did not reserve the id learns nothing of it.
pub(super) async fn put(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    RumaStream(request, body): RumaStream<create_content_async::v3::Request>,
) -> Result<Json<Value>, Error> {
    let media_id = request.media_id;
    let is_own = request.server_name.as_str() == homeserver.network;
    check_reserved(&homeserver, &session.user, &media_id, is_own).await?;
    let file = receive(&homeserver, &session.user, body).await?;
    let content = describe(request.content_type.as_deref(), request.filename.as_deref(), &file);
    store(&homeserver, session.user, media_id, content, file).await?;
    homeserver.media.notify();
    Ok(Json(json!({})))
}

async fn check_reserved(
    homeserver: &Homeserver,
    user: &UserId,
    media_id: &str,
    is_own: bool,
) -> Result<(), Error> {
    let query = "SELECT file FROM media WHERE media_id = $1 AND user_id = $2";
    let query = sqlx::query(query).bind(media_id.to_owned()).bind(user.as_str());
    let row = query.fetch_optional(homeserver.pool()).await?.filter(|_| is_own);
    let row = row.ok_or(Error::NotFound("there is no such file"))?;
    match row.try_get::<Option<String>, _>("file")? {
        Some(_) => Err(cannot_overwrite()),
        None => Ok(()),
    }
}

fn cannot_overwrite() -> Error {
    let text = "this id has a file already".to_owned();
    Error::Refused(StatusCode::CONFLICT, ErrorKind::CannotOverwriteMedia, text)
}

fn uri(homeserver: &Homeserver, media_id: &str) -> OwnedMxcUri {
    format!("mxc://{}/{media_id}", homeserver.network).into()
}

fn describe(kind: Option<&str>, name: Option<&str>, file: &Finished) -> Content {
    Content::new(content_type(kind).to_owned(), name.and_then(file_name), file)
}

/// Writes a body to a new file. If anything fails, nothing is left.
async fn receive(homeserver: &Homeserver, user: &UserId, body: Body) -> Result<Finished, Error> {
    let limits = homeserver.media.limits();
    let _permit = homeserver.media.begin(user)?;
    let announced = body.size_hint().lower();
    if announced > limits.upload {
        return Err(BodyError::TooLarge.into());
    }
    let mut connection = homeserver.pool().acquire().await?;
    row::check_quota(&mut connection, user, announced, limits).await?;
    drop(connection);
    let mut file = homeserver.media.create(homeserver.vault()).await?;
    let mut body = body::with_deadline(body, TIMEOUT);
    while let Some(frame) = body::frame(&mut body).await {
        let frame = frame.map_err(|error| BodyError::of(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        if file.size().saturating_add(data.len() as u64) > limits.upload {
            return Err(BodyError::TooLarge.into());
        }
        file.write(&data).await?;
    }
    let file = file.finish().await?;
    homeserver.media.sync().await?;
    Ok(file)
}

/// Stores a file under a new id or one that was reserved. A client that disconnects does not stop it, as it does not stop
/// the transaction: the file would be missing.
async fn store(
    homeserver: &Arc<Homeserver>,
    user: OwnedUserId,
    media_id: String,
    content: Content,
    file: Finished,
) -> Result<(), Error> {
    let homeserver = Arc::clone(homeserver);
    let task = tokio::spawn(async move {
        let limits = homeserver.media.limits();
        let written = homeserver.write(move |transaction| {
            async move {
                let (vault, now) = (transaction.vault(), transaction.now().get());
                let connection = transaction.connection();
                row::insert(connection, &user, &media_id, column::sql(now.into())).await?;
                row::set_file(connection, &vault, &user, (&media_id, content), limits).await
            }
            .boxed()
        });
        match written.await {
            Ok(Stored::New) => Ok(file.keep()?),
            Ok(Stored::Same) => Ok(()),
            // Of two uploads with the same id the first one counts.
            Ok(Stored::Taken) => Err(cannot_overwrite()),
            Err(error) => {
                // It is not known whether the database has it, unless there was no room.
                if matches!(&error, Error::Database(error) if !matches!(error, DatabaseError::Full))
                {
                    file.leave();
                }
                Err(error)
            }
        }
    });
    task.await.map_err(io::Error::other)?
}
