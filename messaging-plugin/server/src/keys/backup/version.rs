//! Versions of a backup: a person begins a new one with a new recovery key.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use futures_util::FutureExt as _;
use ruma::{
    UInt, UserId,
    api::{
        client::backup::{
            BackupAlgorithm, create_backup_version, delete_backup_version, get_backup_info,
            get_latest_backup_info, update_backup_version,
        },
        error::{ErrorKind, WrongRoomKeysVersionErrorData},
    },
    serde::Raw,
};
use serde_json::{json, value::RawValue};
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use store::column;
use telmeet_core::keys::backup::{Description, VERSIONS_MAX};

use crate::{
    error::Error,
    homeserver::Homeserver,
    keys::rows::damaged,
    matrix::{Reply, Ruma},
    session::Session,
};

/// Apps read from this error that they should offer to set up a backup.
const NO_BACKUP: Error = Error::NotFound("there is no such backup");

/// A version of a person's backup.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) number: i64,
    algorithm: String,
    auth_data: String,
    etag: i64,
}

impl Version {
    const COLUMNS: &str = "SELECT version, algorithm, auth_data, etag FROM key_backups \
         WHERE user_id = $1 AND is_deleted = 0";

    fn read(row: &AnyRow) -> Result<Self, Error> {
        Ok(Self {
            number: row.try_get("version")?,
            algorithm: row.try_get("algorithm")?,
            auth_data: row.try_get("auth_data")?,
            etag: row.try_get("etag")?,
        })
    }

    /// The present version.
    pub(super) async fn latest(
        connection: &mut AnyConnection,
        user: &UserId,
    ) -> Result<Self, Error> {
        let query = format!("{} ORDER BY version DESC LIMIT 1", Self::COLUMNS);
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(user.as_str());
        Self::read(&query.fetch_optional(connection).await?.ok_or(NO_BACKUP)?)
    }

    /// The version that a client names.
    pub(super) async fn named(
        connection: &mut AnyConnection,
        user: &UserId,
        number: &str,
    ) -> Result<Self, Error> {
        let number: i64 = number.parse().map_err(|_| NO_BACKUP)?;
        let query = format!("{} AND version = $2", Self::COLUMNS);
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(user.as_str()).bind(number);
        Self::read(&query.fetch_optional(connection).await?.ok_or(NO_BACKUP)?)
    }

    /// The present version, if it is the one that a client names.
    pub(super) async fn current(
        connection: &mut AnyConnection,
        user: &UserId,
        number: &str,
    ) -> Result<Self, Error> {
        let latest = Self::latest(connection, user).await?;
        if latest.number.to_string() == number {
            return Ok(latest);
        }
        let data = WrongRoomKeysVersionErrorData::new(latest.number.to_string());
        let kind = ErrorKind::WrongRoomKeysVersion(data);
        let text = "the backup has a newer version".to_owned();
        Err(Error::Refused(StatusCode::FORBIDDEN, kind, text))
    }

    /// Notes that the sessions changed, or not, and returns the `etag` and how many there are.
    pub(super) async fn finish(
        self,
        connection: &mut AnyConnection,
        user: &UserId,
        is_changed: bool,
    ) -> Result<(String, UInt), Error> {
        let etag = self.etag + i64::from(is_changed);
        let query = "UPDATE key_backups SET etag = $3 WHERE user_id = $1 AND version = $2";
        let query = sqlx::query(query).bind(user.as_str()).bind(self.number).bind(etag);
        query.execute(&mut *connection).await?;
        Ok((etag.to_string(), count(connection, user, self.number).await?))
    }

    /// `algorithm` and `auth_data` as the client wrote them.
    fn algorithm(&self) -> Result<Raw<BackupAlgorithm>, Error> {
        let auth_data: Box<RawValue> =
            serde_json::from_str(&self.auth_data).map_err(|_| damaged("auth_data"))?;
        let value = json!({ "algorithm": self.algorithm, "auth_data": auth_data });
        Raw::from_json_string(value.to_string()).map_err(|_| damaged("auth_data"))
    }
}

/// How many sessions a version has.
pub(super) async fn count(
    connection: &mut AnyConnection,
    user: &UserId,
    version: i64,
) -> Result<UInt, Error> {
    let query = "SELECT COUNT(*) AS count FROM backed_up_keys WHERE user_id = $1 AND version = $2";
    let query = sqlx::query(query).bind(user.as_str()).bind(version);
    let count = column::number(&query.fetch_one(connection).await?, "count")?;
    Ok(UInt::new_saturating(count))
}

pub(super) async fn create(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<create_backup_version::v3::Request>,
) -> Result<Reply<create_backup_version::v3::Response>, Error> {
    let description = Description::parse(request.algorithm.json().get().as_bytes())?;
    let written = homeserver.write(move |transaction| {
        async move { insert(transaction.connection(), &session.user, description).await }.boxed()
    });
    let number = written.await?;
    Ok(Reply(create_backup_version::v3::Response::new(number.to_string())))
}

/// Begins a version; its number is never that of another. Of older versions the latest are kept.
async fn insert(
    connection: &mut AnyConnection,
    user: &UserId,
    description: Description,
) -> Result<i64, Error> {
    let query = "SELECT COALESCE(MAX(version), 0) + 1 AS next FROM key_backups WHERE user_id = $1";
    let next = sqlx::query(query).bind(user.as_str()).fetch_one(&mut *connection).await?;
    let next: i64 = next.try_get("next")?;
    let query = "INSERT INTO key_backups (user_id, version, algorithm, auth_data, etag, is_deleted) \
         VALUES ($1, $2, $3, $4, 0, 0)";
    sqlx::query(query)
        .bind(user.as_str())
        .bind(next)
        .bind(description.algorithm)
        .bind(description.auth_data)
        .execute(&mut *connection)
        .await?;
    let older = "SELECT version FROM key_backups WHERE user_id = $1 AND is_deleted = 0 \
         ORDER BY version DESC LIMIT 1000 OFFSET $2";
    let older = sqlx::query_scalar::<_, i64>(older)
        .bind(user.as_str())
        .bind(column::sql(VERSIONS_MAX as u64));
    for version in older.fetch_all(&mut *connection).await? {
        remove(&mut *connection, user, version).await?;
    }
    Ok(next)
}

pub(super) async fn latest(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(_): Ruma<get_latest_backup_info::v3::Request>,
) -> Result<Reply<get_latest_backup_info::v3::Response>, Error> {
    let mut connection = homeserver.pool().acquire().await?;
    let version = Version::latest(&mut connection, &session.user).await?;
    let count = count(&mut connection, &session.user, version.number).await?;
    Ok(Reply(get_latest_backup_info::v3::Response::new(
        version.algorithm()?,
        count,
        version.etag.to_string(),
        version.number.to_string(),
    )))
}

pub(super) async fn get(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<get_backup_info::v3::Request>,
) -> Result<Reply<get_backup_info::v3::Response>, Error> {
    let mut connection = homeserver.pool().acquire().await?;
    let version = Version::named(&mut connection, &session.user, &request.version).await?;
    let count = count(&mut connection, &session.user, version.number).await?;
    Ok(Reply(get_backup_info::v3::Response::new(
        version.algorithm()?,
        count,
        version.etag.to_string(),
        version.number.to_string(),
    )))
}

pub(super) async fn update(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<update_backup_version::v3::Request>,
) -> Result<Reply<update_backup_version::v3::Response>, Error> {
    let description = Description::parse(request.algorithm.json().get().as_bytes())?;
    if description.version.as_ref().is_some_and(|version| *version != request.version) {
        return Err(Error::invalid("the body and the path name different versions"));
    }
    let written = homeserver.write(move |transaction| {
        async move {
            let connection = transaction.connection();
            let version = Version::named(connection, &session.user, &request.version).await?;
            if version.algorithm != description.algorithm {
                return Err(Error::invalid("the algorithm of a backup does not change"));
            }
            let query = "UPDATE key_backups SET auth_data = $3 WHERE user_id = $1 AND version = $2";
            let query = sqlx::query(query)
                .bind(session.user.as_str())
                .bind(version.number)
                .bind(description.auth_data);
            query.execute(connection).await?;
            Ok(())
        }
        .boxed()
    });
    written.await?;
    Ok(Reply(update_backup_version::v3::Response::new()))
}

pub(super) async fn delete(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<delete_backup_version::v3::Request>,
) -> Result<Reply<delete_backup_version::v3::Response>, Error> {
    let written = homeserver.write(move |transaction| {
        async move {
            let connection = transaction.connection();
            let version = Version::named(connection, &session.user, &request.version).await?;
            remove(connection, &session.user, version.number).await
        }
        .boxed()
    });
    written.await?;
    Ok(Reply(delete_backup_version::v3::Response::new()))
}

/// Deletes a version with its sessions. Its row stays, so that its number is not used again.
async fn remove(connection: &mut AnyConnection, user: &UserId, version: i64) -> Result<(), Error> {
    for query in [
        "UPDATE key_backups SET is_deleted = 1, auth_data = '{}' WHERE user_id = $1 AND version = $2",
        "DELETE FROM backed_up_keys WHERE user_id = $1 AND version = $2",
    ] {
        let query = sqlx::query(query).bind(user.as_str()).bind(version);
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
