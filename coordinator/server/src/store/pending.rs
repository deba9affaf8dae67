//! Queries on devices that wait.

use ::store::{DatabaseError, column};
use control_protocol::key::{MachinePublic, NodePublic};
use coordinator_core::{
    model::{NodeId, Pending},
    time::Millis,
};
use sqlx::{AnyConnection, Row as _};

use super::{new::Waiting, rows};

/// Joined with the key, which alone names the owner.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT pending.*, preauth_keys.user_id, preauth_keys.tags FROM pending ",
            "LEFT JOIN preauth_keys ON preauth_keys.id = pending.key_id ",
            $rest
        )
    };
}

pub(super) async fn all(connection: &mut AnyConnection) -> Result<Vec<Pending>, DatabaseError> {
    let rows = sqlx::query(select!("ORDER BY pending.id")).fetch_all(connection).await?;
    rows.iter().map(rows::pending).collect()
}

pub(super) async fn by_node_key(
    connection: &mut AnyConnection,
    node_key: &NodePublic,
) -> Result<Option<Pending>, DatabaseError> {
    let row = sqlx::query(select!("WHERE pending.node_key = $1"))
        .bind(node_key.as_bytes().to_vec())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::pending).transpose()
}

pub(super) async fn by_id(
    connection: &mut AnyConnection,
    id: NodeId,
) -> Result<Option<Pending>, DatabaseError> {
    let row = sqlx::query(select!("WHERE pending.id = $1"))
        .bind(column::sql(id))
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::pending).transpose()
}

pub(super) async fn by_ticket(
    connection: &mut AnyConnection,
    ticket: &str,
) -> Result<Option<Pending>, DatabaseError> {
    let row = sqlx::query(select!("WHERE pending.ticket = $1"))
        .bind(ticket.to_owned())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(rows::pending).transpose()
}

/// Who waits. Of those that came without a key, who stopped asking before `since` is forgotten first.
pub(super) async fn waiting(
    connection: &mut AnyConnection,
    machine: &MachinePublic,
    since: Millis,
) -> Result<Waiting, DatabaseError> {
    sqlx::query("DELETE FROM pending WHERE key_id IS NULL AND asked < $1")
        .bind(since)
        .execute(&mut *connection)
        .await?;
    let rows =
        sqlx::query("SELECT id, machine_key, key_id FROM pending").fetch_all(connection).await?;
    let mut waiting = Waiting::default();
    for row in &rows {
        if row.try_get::<Option<i64>, _>("key_id")?.is_some() {
            waiting.by_key += 1;
            continue;
        }
        waiting.keyless.insert(column::number(row, "id")?);
        let own: Vec<u8> = row.try_get("machine_key")?;
        waiting.of_machine += usize::from(own == machine.as_bytes());
    }
    Ok(waiting)
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    pending: &Pending,
    key: Option<u64>,
) -> Result<(), DatabaseError> {
    rows::PendingRow::of(pending, key)?.insert(connection).await
}

pub(super) async fn set_asked(
    connection: &mut AnyConnection,
    id: NodeId,
    at: Millis,
) -> Result<(), DatabaseError> {
    sqlx::query("UPDATE pending SET asked = $2 WHERE id = $1")
        .bind(column::sql(id))
        .bind(at)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn delete(
    connection: &mut AnyConnection,
    id: NodeId,
) -> Result<(), DatabaseError> {
    sqlx::query("DELETE FROM pending WHERE id = $1")
        .bind(column::sql(id))
        .execute(connection)
        .await?;
    Ok(())
}
