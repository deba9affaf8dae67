//! How large the coordinator's database is.
//!
//! The audit log grows with what happens, is kept for a year, and is pruned once an hour. So it is counted apart.

use std::{fs, path::Path};

use serde::Serialize;
use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::Failure;

/// The parts of the database, from `dbstat` (<https://www.sqlite.org/dbstat.html>). Indexes are of their table.
const SIZES: &str = "SELECT (SELECT count(*) FROM audit) AS log_entries, \
    coalesce(sum(CASE WHEN is_log THEN 0 ELSE payload END), 0) AS network_bytes, \
    coalesce(sum(CASE WHEN is_log THEN 0 ELSE pgsize END), 0) AS pages_bytes, \
    coalesce(sum(CASE WHEN is_log THEN pgsize ELSE 0 END), 0) AS log_bytes \
    FROM (SELECT payload, pgsize, name IN (SELECT name FROM sqlite_schema WHERE tbl_name = 'audit') AS is_log FROM dbstat)";

/// How large the database is.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct DatabaseSize {
    /// Bytes of all rows and index entries but those of the audit log: what the network is. What was added and never deleted
    /// shows here first.
    pub(super) network_bytes: i64,
    /// Bytes of the pages in which these are. Pages keep room for rows that were deleted, so at first this grows with removals.
    pub(super) pages_bytes: i64,
    /// Entries of the audit log.
    pub(super) log_entries: i64,
    /// Bytes of its pages.
    pub(super) log_bytes: i64,
    /// Bytes of the file and its write-ahead log after a checkpoint, with the audit log and with pages that are free.
    pub(super) file_bytes: u64,
}

/// Measures a database that the coordinator uses meanwhile.
pub(super) async fn measure(file: &Path) -> Result<DatabaseSize, Failure> {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}?mode=rw", file.display());
    let mut connection = AnyConnection::connect(&url).await?;
    sqlx::query("PRAGMA busy_timeout = 10000").execute(&mut connection).await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    let row = sqlx::query(SIZES).fetch_one(&mut connection).await?;
    let sizes = DatabaseSize {
        network_bytes: row.try_get("network_bytes")?,
        pages_bytes: row.try_get("pages_bytes")?,
        log_entries: row.try_get("log_entries")?,
        log_bytes: row.try_get("log_bytes")?,
        file_bytes: file_bytes(file)?,
    };
    connection.close().await?;
    Ok(sizes)
}

fn file_bytes(file: &Path) -> Result<u64, Failure> {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    Ok(fs::metadata(file)?.len() + fs::metadata(log).map_or(0, |log| log.len()))
}
