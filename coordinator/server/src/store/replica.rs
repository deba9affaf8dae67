//! A coordinator among several on one database, and the order of changes that they follow.

use ::store::{DatabaseError, column::sql, notices};
use coordinator_core::{model::NodeId, time::Millis};
use sqlx::{AnyConnection, query};

/// The channel of the notices.
pub(crate) const CHANNEL: &str = "maru_coordinator";
/// The notice of a change.
pub(crate) const CHANGED: &str = "change";
/// The notice that nodes came or went.
pub(crate) const MOVED: &str = "presence";

/// Number of changes after which the oldest of the order are deleted, and number that are kept.
const PRUNE_EVERY: i64 = 1024;
const KEPT: i64 = 16 * 1024;

/// A coordinator that serves the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Random, of one process.
    pub id: String,
    /// Process and machine.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest of the relays that it tells devices.
    pub relays: String,
    /// When it started.
    pub started: Millis,
    /// Time until its lease ends, in milliseconds; negative after that.
    pub left: Millis,
}

/// Who keeps the lease, and its length in milliseconds.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The coordinator.
    pub replica: Replica,
    /// Length from each renewal.
    pub length: Millis,
}

/// Adds a change to the order, and wakes the other coordinators once it is committed.
pub(super) async fn tell_change(
    connection: &mut AnyConnection,
    revision: i64,
    node: Option<NodeId>,
) -> Result<(), DatabaseError> {
    let insert = query("INSERT INTO changes (revision, node) VALUES ($1, $2)");
    insert.bind(revision).bind(node.map(sql)).execute(&mut *connection).await?;
    if revision % PRUNE_EVERY == 0 {
        let prune = query("DELETE FROM changes WHERE revision <= $1").bind(revision - KEPT);
        prune.execute(&mut *connection).await?;
    }
    notices::notify(connection, CHANNEL, CHANGED).await
}
