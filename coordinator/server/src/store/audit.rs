//! The audit log. Entries are written in the transaction of the change that they describe.

use ::store::{DatabaseError, column, row};
use coordinator_api::{Actor, LogEntry};
use coordinator_core::time::{Millis, to_rfc3339};
use sqlx::{AnyConnection, any::AnyRow, query, query_scalar};

use super::{rows::FromRow, select::Query};

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

/// An entry that the change will write.
#[derive(Clone, Debug)]
pub(super) struct AuditNote {
    pub(super) action: &'static str,
    pub(super) target: String,
    pub(super) details: String,
}

impl AuditNote {
    /// Cuts both texts to one line of limited length.
    pub(super) fn new(action: &'static str, target: &str, details: &str) -> Self {
        Self { action, target: line(target, TARGET_MAX), details: line(details, DETAILS_MAX) }
    }
}

/// Selects a part of the log.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Entries after the one with this number.
    pub after: u64,
    /// Not older than this.
    pub since: Millis,
    /// Only entries of this actor.
    pub actor: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// How much of the log is kept.
#[derive(Clone, Copy, Debug)]
pub struct LogRetention {
    /// The time of the oldest entry that is kept.
    pub since: Millis,
    /// So many entries of the administration, and as many of devices.
    pub rows: u32,
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    actor: &Actor,
    note: AuditNote,
    at: Millis,
) -> Result<(), DatabaseError> {
    let next = query_scalar(
        "UPDATE network SET next_entry = next_entry + 1 WHERE id = 1 RETURNING next_entry - 1",
    );
    let row = AuditRow {
        id: next.fetch_one(&mut *connection).await?,
        at,
        actor: actor.to_string(),
        action: note.action.to_owned(),
        target: note.target,
        details: note.details,
        by_device: i64::from(matches!(actor, Actor::Key { .. } | Actor::Device { .. })),
    };
    row.insert(connection).await
}

/// The entries that `wanted` selects, in their order.
pub(super) fn page(wanted: &LogQuery) -> Query {
    query("SELECT * FROM audit WHERE id > $1 AND at >= $2 AND ($3 = '' OR actor = $3) ORDER BY id LIMIT $4")
        .bind(column::sql(wanted.after))
        .bind(wanted.since)
        .bind(wanted.actor.clone().unwrap_or_default())
        .bind(i64::from(wanted.limit))
}

impl FromRow for LogEntry {
    fn read(row: &AnyRow) -> Result<Self, DatabaseError> {
        let row = AuditRow::read(row)?;
        Ok(Self {
            id: column::unsigned(row.id, "entry of the log")?,
            at: to_rfc3339(row.at),
            actor: row.actor,
            action: row.action,
            target: row.target,
            details: row.details,
        })
    }
}

/// Deletes the entries that are not kept.
pub(super) async fn prune(
    connection: &mut AnyConnection,
    keep: LogRetention,
) -> Result<(), DatabaseError> {
    let old = query("DELETE FROM audit WHERE at < $1").bind(keep.since);
    old.execute(&mut *connection).await?;
    for by_device in [0_i64, 1] {
        let more = "DELETE FROM audit WHERE by_device = $1 AND id <= (SELECT id FROM audit \
            WHERE by_device = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";
        let more = query(more).bind(by_device).bind(i64::from(keep.rows));
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
