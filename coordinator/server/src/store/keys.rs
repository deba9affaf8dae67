//! Queries on pre-auth keys.

use ::store::{DatabaseError, column};
use coordinator_core::{
    key::{KeyHash, PreAuthKey},
    time::Millis,
};
use sqlx::AnyConnection;

use super::rows;

pub(super) async fn all(connection: &mut AnyConnection) -> Result<Vec<PreAuthKey>, DatabaseError> {
    let rows = sqlx::query("SELECT * FROM preauth_keys ORDER BY id").fetch_all(connection).await?;
    rows.iter().map(rows::key).collect()
}

pub(super) async fn by_hash(
    connection: &mut AnyConnection,
    hash: &KeyHash,
) -> Result<Option<PreAuthKey>, DatabaseError> {
    let row = sqlx::query("SELECT * FROM preauth_keys WHERE hash = $1")
        .bind(hash.0.to_vec())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::key).transpose()
}

pub(super) async fn by_id(
    connection: &mut AnyConnection,
    id: u64,
) -> Result<Option<PreAuthKey>, DatabaseError> {
    let row = sqlx::query("SELECT * FROM preauth_keys WHERE id = $1")
        .bind(column::sql(id))
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::key).transpose()
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    key: &PreAuthKey,
    hash: &KeyHash,
) -> Result<(), DatabaseError> {
    rows::KeyRow::of(key, hash)?.insert(connection).await
}

/// Uses a key once; false if it cannot be used any more, whoever was faster.
pub(super) async fn consume(
    connection: &mut AnyConnection,
    id: u64,
    now: Millis,
) -> Result<bool, DatabaseError> {
    let row = sqlx::query(
        "UPDATE preauth_keys SET uses = uses + 1 \
         WHERE id = $1 AND expires > $2 AND (reusable = 1 OR uses = 0) RETURNING id",
    )
    .bind(column::sql(id))
    .bind(now)
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

pub(super) async fn expire(
    connection: &mut AnyConnection,
    id: u64,
    now: Millis,
) -> Result<(), DatabaseError> {
    sqlx::query("UPDATE preauth_keys SET expires = $2 WHERE id = $1 AND expires > $2")
        .bind(column::sql(id))
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes a key. The caller has seen that no device waits that used it.
pub(super) async fn delete(connection: &mut AnyConnection, id: u64) -> Result<(), DatabaseError> {
    sqlx::query("DELETE FROM preauth_keys WHERE id = $1")
        .bind(column::sql(id))
        .execute(connection)
        .await?;
    Ok(())
}
