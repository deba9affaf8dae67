//! The manifest of a backup.

use serde::{Deserialize, Serialize};

/// Version of what a backup holds and where.
pub(super) const VERSION: u32 = 1;

/// The manifest of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`VERSION`] of whoever wrote it.
    pub(super) version: u32,
    /// The program's version.
    pub(super) maru: String,
    /// How many migrations its database has seen.
    pub(super) schema: usize,
    /// When it was made, in UTC.
    pub(super) created: String,
    /// The network's domain.
    pub(super) network: String,
    /// Where the data is.
    pub(super) database: Database,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Database {
    /// In the backup.
    Sqlite,
    /// On a server, which has backups of its own.
    Postgres,
}
