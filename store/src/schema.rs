//! The tables of a daemon.

/// The name of a migration and its statements. A released migration is never changed.
pub type Migration = (&'static str, &'static str);

/// The tables of a daemon, and its lock.
///
/// A column is BIGINT, TEXT or BLOB, so that one set of migrations and queries serves both engines: in PostgreSQL BLOB is
/// replaced by BYTEA.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The table with one row, with `id` 1, that each write transaction updates first. It has the columns `revision`, the
    /// number of changes, and `epoch`, the number of locks so far; both BIGINT.
    pub table: &'static str,
    /// First key of PostgreSQL's advisory lock, which never changes; the second key is derived from the PostgreSQL schema.
    pub lock: i32,
    /// Migrations, in order.
    pub migrations: &'static [Migration],
}
