//! Uploads in the database.

use ruma::UserId;
use sqlx::{AnyConnection, Row as _};
use store::column;

use super::{file::Finished, folder::Limits};
use crate::{error::Error, vault::Vault};

/// Files of the same size of a person that are compared with a new one.
const COMPARED: i64 = 100;

/// An upload.
#[derive(Debug)]
pub(super) struct Media {
    /// The name of the file; none as long as nothing was uploaded.
    pub(super) file: Option<String>,
    pub(super) content_type: String,
    pub(super) name: Option<String>,
    pub(super) size: u64,
}

/// What is stored of an upload.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) content_type: String,
    pub(super) name: Option<String>,
    pub(super) size: u64,
    pub(super) id: String,
    pub(super) digest: [u8; 32],
}

/// Whether an upload uses its new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// It does.
    New,
    /// An older file with the same bytes is used.
    Same,
    /// The id has a file already.
    Taken,
}

impl Content {
    pub(super) fn new(content_type: String, name: Option<String>, file: &Finished) -> Self {
        Self { content_type, name, size: file.size, id: file.id.clone(), digest: file.digest }
    }
}

/// Reads an upload.
pub(super) async fn find(
    connection: &mut AnyConnection,
    vault: &Vault,
    media_id: &str,
) -> Result<Option<Media>, Error> {
    let query = "SELECT file, content_type, name_sealed, size FROM media WHERE media_id = $1";
    let query = sqlx::query(query).bind(media_id.to_owned());
    let Some(row) = query.fetch_optional(connection).await? else { return Ok(None) };
    let name = row.try_get::<Option<Vec<u8>>, _>("name_sealed")?;
    let name = name.map(|sealed| vault.open("media", "name_sealed", media_id.as_bytes(), &sealed));
    Ok(Some(Media {
        file: row.try_get("file")?,
        content_type: row.try_get("content_type")?,
        name: name.transpose()?.and_then(|name| String::from_utf8(name).ok()),
        size: column::number(&row, "size")?,
    }))
}

/// Reserves an id without a file, unless it is reserved.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    user: &UserId,
    media_id: &str,
    now: i64,
) -> Result<(), Error> {
    let query = "INSERT INTO media (media_id, user_id, content_type, size, created_at, is_named) \
         VALUES ($1, $2, '', 0, $3, 0) ON CONFLICT DO NOTHING";
    let query = sqlx::query(query).bind(media_id.to_owned()).bind(user.as_str()).bind(now);
    query.execute(connection).await?;
    Ok(())
}

/// Gives a reserved id its file, or an older one with the same bytes. Quotas are checked here, where uploads are one after
/// the other.
pub(super) async fn set_file(
    connection: &mut AnyConnection,
    vault: &Vault,
    user: &UserId,
    (media_id, content): (&str, Content),
    limits: Limits,
) -> Result<Stored, Error> {
    check_quota(&mut *connection, user, content.size, limits).await?;
    let same = find_same(&mut *connection, vault, user, &content).await?;
    let stored = if same.is_some() { Stored::Same } else { Stored::New };
    let file = same.unwrap_or_else(|| content.id.clone());
    let digest = vault.seal("media", "digest_sealed", media_id.as_bytes(), &content.digest)?;
    let name = content.name.as_ref();
    let name = name
        .map(|name| vault.seal("media", "name_sealed", media_id.as_bytes(), name.as_bytes()))
        .transpose()?;
    let query = "UPDATE media SET file = $2, digest_sealed = $3, content_type = $4, name_sealed = $5, size = $6 \
         WHERE media_id = $1 AND user_id = $7 AND file IS NULL";
    let query = sqlx::query(query)
        .bind(media_id.to_owned())
        .bind(file)
        .bind(digest)
        .bind(content.content_type)
        .bind(name)
        .bind(column::sql(content.size))
        .bind(user.as_str());
    let is_free = query.execute(connection).await?.rows_affected() > 0;
    Ok(if is_free { stored } else { Stored::Taken })
}

/// The file of an upload of the same person with the same bytes.
async fn find_same(
    connection: &mut AnyConnection,
    vault: &Vault,
    user: &UserId,
    content: &Content,
) -> Result<Option<String>, Error> {
    let query = "SELECT media_id, file, digest_sealed FROM media WHERE user_id = $1 AND size = $2 \
         AND file IS NOT NULL ORDER BY created_at DESC LIMIT $3";
    let query =
        sqlx::query(query).bind(user.as_str()).bind(column::sql(content.size)).bind(COMPARED);
    for row in query.fetch_all(connection).await? {
        let media_id: String = row.try_get("media_id")?;
        let sealed: Vec<u8> = row.try_get("digest_sealed")?;
        let digest = vault.open("media", "digest_sealed", media_id.as_bytes(), &sealed)?;
        if digest == content.digest {
            return Ok(row.try_get("file")?);
        }
    }
    Ok(None)
}

/// Checks that an upload of this size fits.
pub(super) async fn check_quota(
    connection: &mut AnyConnection,
    user: &UserId,
    size: u64,
    limits: Limits,
) -> Result<(), Error> {
    let query = "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS total, \
         CAST(COALESCE(SUM(CASE WHEN user_id = $1 THEN size ELSE 0 END), 0) AS BIGINT) AS own FROM media";
    let row = sqlx::query(query).bind(user.as_str()).fetch_one(connection).await?;
    let (total, own) = (column::number(&row, "total")?, column::number(&row, "own")?);
    let fits = |used: u64, limit: u64| used.saturating_add(size) <= limit;
    if !fits(own, limits.person) {
        return Err(Error::full("your files take as much as they may; delete some"));
    }
    if !fits(total, limits.total) {
        return Err(Error::full("the files of this network take as much as they may"));
    }
    Ok(())
}
