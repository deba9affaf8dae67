//! Queries on API keys.

use std::collections::HashMap;

use ::store::{DatabaseError, column};
use coordinator_core::api_key::{ApiKey, ApiKeyHash};
use sqlx::AnyConnection;

use super::rows;

pub(super) async fn all(
    connection: &mut AnyConnection,
) -> Result<HashMap<ApiKeyHash, ApiKey>, DatabaseError> {
    let rows = sqlx::query("SELECT * FROM api_keys").fetch_all(connection).await?;
    rows.iter().map(rows::api_key).collect()
}

pub(super) async fn by_id(
    connection: &mut AnyConnection,
    id: u64,
) -> Result<Option<ApiKey>, DatabaseError> {
    let row = sqlx::query("SELECT * FROM api_keys WHERE id = $1")
        .bind(column::sql(id))
        .fetch_optional(connection)
        .await?;
    row.map(|row| rows::api_key(&row).map(|(_, key)| key)).transpose()
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    key: &ApiKey,
    hash: &ApiKeyHash,
) -> Result<(), DatabaseError> {
    rows::ApiKeyRow::of(key, hash).insert(connection).await
}

pub(super) async fn delete(connection: &mut AnyConnection, id: u64) -> Result<(), DatabaseError> {
    sqlx::query("DELETE FROM api_keys WHERE id = $1")
        .bind(column::sql(id))
        .execute(connection)
        .await?;
    Ok(())
}
