//! Queries on nodes and their extra names.

use std::{collections::BTreeSet, net::Ipv4Addr};

use ::store::{DatabaseError, column};
use control_protocol::key::{MachinePublic, NodePublic};
use coordinator_core::{
    model::{Node, NodeId, Record, UserId},
    time::Millis,
};
use sqlx::{AnyConnection, Row};

use super::rows;

pub(super) async fn all(connection: &mut AnyConnection) -> Result<Vec<Node>, DatabaseError> {
    let rows = sqlx::query("SELECT * FROM nodes ORDER BY id").fetch_all(connection).await?;
    rows.iter().map(rows::node).collect()
}

pub(super) async fn by_id(
    connection: &mut AnyConnection,
    id: NodeId,
) -> Result<Option<Node>, DatabaseError> {
    let row = sqlx::query("SELECT * FROM nodes WHERE id = $1")
        .bind(column::sql(id))
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::node).transpose()
}

pub(super) async fn by_node_key(
    connection: &mut AnyConnection,
    node_key: &NodePublic,
) -> Result<Option<Node>, DatabaseError> {
    let row = sqlx::query("SELECT * FROM nodes WHERE node_key = $1")
        .bind(node_key.as_bytes().to_vec())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::node).transpose()
}

pub(super) async fn of_machine(
    connection: &mut AnyConnection,
    machine: &MachinePublic,
) -> Result<Vec<Node>, DatabaseError> {
    let rows = sqlx::query("SELECT * FROM nodes WHERE machine_key = $1 ORDER BY id")
        .bind(machine.as_bytes().to_vec())
        .fetch_all(connection)
        .await?;
    rows.iter().map(rows::node).collect()
}

/// Names of nodes and extra names, which must differ from each other.
pub(super) async fn names(
    connection: &mut AnyConnection,
) -> Result<BTreeSet<String>, DatabaseError> {
    let rows = sqlx::query("SELECT name FROM nodes UNION SELECT name FROM records")
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
}

pub(super) async fn addresses(
    connection: &mut AnyConnection,
) -> Result<BTreeSet<Ipv4Addr>, DatabaseError> {
    let rows = sqlx::query("SELECT ipv4 FROM nodes").fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            row.try_get::<String, _>("ipv4")?.parse().map_err(|_| DatabaseError::Row("ipv4"))
        })
        .collect()
}

pub(super) async fn count_of_user(
    connection: &mut AnyConnection,
    user: UserId,
) -> Result<u64, DatabaseError> {
    let row = sqlx::query("SELECT COUNT(*) AS devices FROM nodes WHERE user_id = $1")
        .bind(column::sql(user))
        .fetch_one(connection)
        .await?;
    column::number(&row, "devices")
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    node: &Node,
) -> Result<(), DatabaseError> {
    rows::NodeRow::of(node)?.insert(connection).await
}

/// Writes a node over the revision that was read. Its number, stable name, machine key and address never change.
pub(super) async fn update(
    connection: &mut AnyConnection,
    node: &Node,
) -> Result<(), DatabaseError> {
    rows::NodeRow::of(node)?.update(connection).await
}

pub(super) async fn set_last_seen(
    connection: &mut AnyConnection,
    id: NodeId,
    at: Millis,
) -> Result<(), DatabaseError> {
    sqlx::query("UPDATE nodes SET last_seen = $2 WHERE id = $1")
        .bind(column::sql(id))
        .bind(at)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes a node and its extra names.
pub(super) async fn delete(
    connection: &mut AnyConnection,
    id: NodeId,
) -> Result<(), DatabaseError> {
    for query in ["DELETE FROM records WHERE node_id = $1", "DELETE FROM nodes WHERE id = $1"] {
        sqlx::query(query).bind(column::sql(id)).execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn records(connection: &mut AnyConnection) -> Result<Vec<Record>, DatabaseError> {
    let rows = sqlx::query("SELECT name, node_id FROM records ORDER BY name")
        .fetch_all(connection)
        .await?;
    rows.iter().map(rows::record).collect()
}

pub(super) async fn set_record(
    connection: &mut AnyConnection,
    record: &Record,
) -> Result<(), DatabaseError> {
    sqlx::query(
        "INSERT INTO records (name, node_id) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET node_id = excluded.node_id",
    )
    .bind(record.name.clone())
    .bind(column::sql(record.node))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn delete_record(
    connection: &mut AnyConnection,
    name: &str,
) -> Result<bool, DatabaseError> {
    let row = sqlx::query("DELETE FROM records WHERE name = $1 RETURNING name")
        .bind(name.to_owned())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}
