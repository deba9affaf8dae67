//! Which events name a file. A file is deleted when the last one is redacted or deleted.
//!
//! Of encrypted events it is not known what they name, so only a file that its owner named in an event that the server can
//! read is deleted: otherwise somebody could delete the file of another person's encrypted event by naming and redacting it.

use std::collections::BTreeSet;

use ruma::{CanonicalJsonObject, ServerName, UserId};
use sqlx::{AnyConnection, Row as _};
use telmeet_core::{event::Event, json, media::named};

use crate::error::Error;

/// Files of one event that are noted.
const NAMED_MAX: usize = 20;

/// Notes which files an event names.
///
/// # Errors
///
/// [`Error::Database`], [`Error::Core`].
pub async fn add(connection: &mut AnyConnection, event: &Event) -> Result<(), Error> {
    if !event.content.get().contains("mxc://") {
        return Ok(());
    }
    let content: CanonicalJsonObject = json::content(event.content.get().as_bytes())?;
    let server: &ServerName = event.sender.server_name();
    for id in named(&content, server).into_iter().take(NAMED_MAX) {
        let query = "INSERT INTO media_events (media_id, event_id) SELECT media_id, $2 FROM media \
             WHERE media_id = $1 ON CONFLICT DO NOTHING";
        let query = sqlx::query(query).bind(id.clone()).bind(event.event_id.as_str());
        query.execute(&mut *connection).await?;
        let query = "UPDATE media SET is_named = 1 WHERE media_id = $1 AND user_id = $2";
        let query = sqlx::query(query).bind(id).bind(event.sender.as_str());
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Deletes the uploads that only this event named, which is redacted or deleted. Returns the files that no upload has any more,
/// which are deleted after the commit.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn delete_for_event(
    connection: &mut AnyConnection,
    event_id: &str,
) -> Result<Vec<String>, Error> {
    let query = "DELETE FROM media_events WHERE event_id = $1 RETURNING media_id";
    let query = sqlx::query_scalar::<_, String>(query).bind(event_id.to_owned());
    let mut unused = Vec::new();
    for media_id in query.fetch_all(&mut *connection).await? {
        let query = "DELETE FROM media WHERE media_id = $1 AND is_named = 1 \
             AND NOT EXISTS (SELECT 1 FROM media_events WHERE media_id = $1) \
             AND NOT EXISTS (SELECT 1 FROM people WHERE avatar LIKE 'mxc://%/' || $1) RETURNING file";
        let query = sqlx::query(query).bind(media_id);
        let Some(row) = query.fetch_optional(&mut *connection).await? else { continue };
        let Some(file) = row.try_get::<Option<String>, _>("file")? else { continue };
        let others = "SELECT media_id FROM media WHERE file = $1 LIMIT 1";
        let others = sqlx::query(others).bind(file.clone());
        if others.fetch_optional(&mut *connection).await?.is_none() {
            unused.push(file);
        }
    }
    Ok(unused)
}

/// Deletes all uploads of a person. Returns their files, which no other person's uploads share.
///
/// # Errors
///
/// [`Error::Database`].
pub async fn delete_for_person(
    connection: &mut AnyConnection,
    user: &UserId,
) -> Result<Vec<String>, Error> {
    let events = "DELETE FROM media_events WHERE media_id IN (SELECT media_id FROM media WHERE user_id = $1)";
    sqlx::query(events).bind(user.as_str()).execute(&mut *connection).await?;
    let query = "DELETE FROM media WHERE user_id = $1 RETURNING file";
    let query = sqlx::query_scalar::<_, Option<String>>(query).bind(user.as_str());
    let files: BTreeSet<String> =
        query.fetch_all(connection).await?.into_iter().flatten().collect();
    Ok(files.into_iter().collect())
}
