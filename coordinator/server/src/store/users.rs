//! Queries on people.

use ::store::{DatabaseError, column};
use coordinator_core::model::{User, UserId};
use sqlx::AnyConnection;

use super::rows;

pub(super) async fn all(connection: &mut AnyConnection) -> Result<Vec<User>, DatabaseError> {
    let rows = sqlx::query("SELECT * FROM users ORDER BY id").fetch_all(connection).await?;
    rows.iter().map(rows::user).collect()
}

pub(super) async fn by_name(
    connection: &mut AnyConnection,
    name: &str,
) -> Result<Option<User>, DatabaseError> {
    let row = sqlx::query("SELECT * FROM users WHERE name = $1")
        .bind(name.to_owned())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::user).transpose()
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    user: &User,
) -> Result<(), DatabaseError> {
    rows::UserRow::of(user).insert(connection).await
}

pub(super) async fn rename(
    connection: &mut AnyConnection,
    id: UserId,
    name: &str,
) -> Result<(), DatabaseError> {
    sqlx::query("UPDATE users SET name = $2 WHERE id = $1")
        .bind(column::sql(id))
        .bind(name.to_owned())
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes a user and its keys. The caller has seen that no device is its.
pub(super) async fn delete(
    connection: &mut AnyConnection,
    id: UserId,
) -> Result<(), DatabaseError> {
    for query in ["DELETE FROM preauth_keys WHERE user_id = $1", "DELETE FROM users WHERE id = $1"]
    {
        sqlx::query(query).bind(column::sql(id)).execute(&mut *connection).await?;
    }
    Ok(())
}
