//! The audit log: who changed what, and when. Entries are written in the transaction of the change that they tell of.

use ::store::{DatabaseError, column, row};
use coordinator_api::{Actor, LogEntry};
use coordinator_core::time::{Millis, to_rfc3339};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

/// Longest target, in characters: a hostname is a device's own choice.
const TARGET_MAX: usize = 128;
/// Longest details, in characters.
const DETAILS_MAX: usize = 512;

row! {
    /// An entry.
    AuditRow in "audit" {
        id: i64,
        at: i64,
        actor: String,
        action: String,
        target: String,
        details: String,
        by_device: i64,
    }
}

/// What was done, in the change that did it.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) action: &'static str,
    pub(super) target: String,
    pub(super) details: String,
}

impl Noted {
    /// Takes a line's worth of text of each.
    pub(super) fn new(action: &'static str, target: &str, details: &str) -> Self {
        Self { action, target: line(target, TARGET_MAX), details: line(details, DETAILS_MAX) }
    }
}

/// Some of the log.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Later entries than this one.
    pub after: u64,
    /// Not older than this.
    pub since: Millis,
    /// Of this actor alone.
    pub actor: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// How much of the log is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Nothing older than this.
    pub since: Millis,
    /// So many entries of the administration, and as many of devices.
    pub rows: u32,
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    actor: &Actor,
    noted: Noted,
    at: Millis,
) -> Result<(), DatabaseError> {
    let row = sqlx::query(
        "UPDATE network SET next_entry = next_entry + 1 WHERE id = 1 RETURNING next_entry - 1 AS id",
    )
    .fetch_one(&mut *connection)
    .await?;
    let row = AuditRow {
        id: row.try_get("id")?,
        at,
        actor: actor.to_string(),
        action: noted.action.to_owned(),
        target: noted.target,
        details: noted.details,
        by_device: i64::from(matches!(actor, Actor::Key { .. } | Actor::Device { .. })),
    };
    row.insert(connection).await
}

/// Entries in their order.
pub(super) async fn page(
    connection: &mut AnyConnection,
    query: &LogQuery,
) -> Result<Vec<LogEntry>, DatabaseError> {
    let rows = sqlx::query(
        "SELECT * FROM audit WHERE id > $1 AND at >= $2 AND ($3 = '' OR actor = $3) ORDER BY id LIMIT $4",
    )
    .bind(column::sql(query.after))
    .bind(query.since)
    .bind(query.actor.clone().unwrap_or_default())
    .bind(i64::from(query.limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(entry).collect()
}

fn entry(row: &AnyRow) -> Result<LogEntry, DatabaseError> {
    let row = AuditRow::read(row)?;
    Ok(LogEntry {
        id: u64::try_from(row.id).map_err(|_| DatabaseError::Row("entry of the log"))?,
        at: to_rfc3339(row.at),
        actor: row.actor,
        action: row.action,
        target: row.target,
        details: row.details,
    })
}

/// Removes what is not kept.
pub(super) async fn prune(connection: &mut AnyConnection, keep: Keep) -> Result<(), DatabaseError> {
    let old = sqlx::query("DELETE FROM audit WHERE at < $1").bind(keep.since);
    old.execute(&mut *connection).await?;
    for by_device in [0_i64, 1] {
        let more = "DELETE FROM audit WHERE by_device = $1 AND id <= (SELECT id FROM audit \
            WHERE by_device = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";
        let more = sqlx::query(more).bind(by_device).bind(i64::from(keep.rows));
        more.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Text on one line, cut where it is too long.
fn line(text: &str, max: usize) -> String {
    let mut line = common::foreign::short(text, max);
    if text.chars().nth(max).is_some() {
        line.push('…');
    }
    line
}
