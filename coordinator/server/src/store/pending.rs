//! Queries on devices that wait.

use control_protocol::key::NodePublic;
use coordinator_core::{
    model::{NodeId, Pending},
    time::Millis,
};
use sqlx::AnyConnection;

use super::{StoreError, rows};

/// The owner comes with the key, so that there is one place where it is written.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT pending.*, preauth_keys.user_id, preauth_keys.tags FROM pending ",
            "LEFT JOIN preauth_keys ON preauth_keys.id = pending.key_id ",
            $rest
        )
    };
}

pub(super) async fn all(connection: &mut AnyConnection) -> Result<Vec<Pending>, StoreError> {
    let rows = sqlx::query(select!("ORDER BY pending.id")).fetch_all(connection).await?;
    rows.iter().map(rows::pending).collect()
}

pub(super) async fn by_node_key(
    connection: &mut AnyConnection,
    node_key: &NodePublic,
) -> Result<Option<Pending>, StoreError> {
    let row = sqlx::query(select!("WHERE pending.node_key = $1"))
        .bind(node_key.as_bytes().to_vec())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::pending).transpose()
}

pub(super) async fn by_id(
    connection: &mut AnyConnection,
    id: NodeId,
) -> Result<Option<Pending>, StoreError> {
    let row = sqlx::query(select!("WHERE pending.id = $1"))
        .bind(rows::sql(id))
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::pending).transpose()
}

/// How many wait that came without a key, and how many that came with one. Of the former, those that stopped asking
/// before `since` are forgotten first.
pub(super) async fn count(
    connection: &mut AnyConnection,
    since: Millis,
) -> Result<(usize, usize), StoreError> {
    sqlx::query("DELETE FROM pending WHERE key_id IS NULL AND asked < $1")
        .bind(since)
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query("SELECT COUNT(*) AS waiting, COUNT(key_id) AS by_key FROM pending")
        .fetch_one(connection)
        .await?;
    let all = rows::number(&row, "waiting")?;
    let by_key = rows::number(&row, "by_key")?;
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok((count(all.saturating_sub(by_key)), count(by_key)))
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    pending: &Pending,
    key: Option<u64>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO pending \
         (id, ticket, machine_key, node_key, hostinfo, key_id, replaces, ephemeral, created, asked) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(rows::sql(pending.id))
    .bind(pending.ticket.clone())
    .bind(pending.machine.as_bytes().to_vec())
    .bind(pending.node_key.as_bytes().to_vec())
    .bind(rows::hostinfo(&pending.hostinfo)?)
    .bind(key.map(rows::sql))
    .bind(pending.replaces.map(rows::sql))
    .bind(i64::from(pending.ephemeral))
    .bind(pending.created)
    .bind(pending.asked)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn set_asked(
    connection: &mut AnyConnection,
    id: NodeId,
    at: Millis,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE pending SET asked = $2 WHERE id = $1")
        .bind(rows::sql(id))
        .bind(at)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn delete(connection: &mut AnyConnection, id: NodeId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM pending WHERE id = $1")
        .bind(rows::sql(id))
        .execute(connection)
        .await?;
    Ok(())
}
