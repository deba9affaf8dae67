//! What a daemon brings to its database.

/// The name of a migration and its statements. A migration is frozen once it was released.
pub type Migration = (&'static str, &'static str);

/// The tables of a daemon, and how its process is told from others on the same server.
///
/// A column is BIGINT, TEXT or BLOB (BYTEA in PostgreSQL), so that one set of queries serves both engines.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The table of one row, whose `id` is 1, which each write transaction writes first. It has the columns `revision`,
    /// which counts those of them that are counted, and `epoch`, which counts the processes that held the
    /// database; both BIGINT.
    pub table: &'static str,
    /// First number of PostgreSQL's advisory lock, the same in every version of the daemon; the second number is of the
    /// PostgreSQL schema.
    pub lock: i32,
    /// What brings the tables of SQLite up to date, in order.
    pub sqlite: &'static [Migration],
    /// The same for PostgreSQL.
    pub postgres: &'static [Migration],
}
