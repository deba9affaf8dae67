//! Why the database cannot be used.

use sqlx::migrate::MigrateError;

/// The database failed, or does not fit.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL is not one that Maru takes.
    #[error("the database URL must begin with postgres:// or postgresql://")]
    Url,
    /// It could not be reached or opened.
    #[error(
        "cannot open the database; look whether it runs, where `database_url_file` points, and who may write there"
    )]
    Open(#[source] sqlx::Error),
    /// Its tables could not be brought up to date, or belong to a newer version.
    #[error("cannot bring the database up to date")]
    Migrate(#[source] MigrateError),
    /// A query failed; the same request may succeed later.
    #[error("database query failed")]
    Query(#[from] sqlx::Error),
    /// A row holds what no version of Maru wrote.
    #[error("the database holds an unreadable {0}")]
    Row(&'static str),
    /// Somebody else changed the row between reading and writing: read again.
    #[error("changed by somebody else meanwhile")]
    Conflict,
    /// The database was restarted, and may be another process's by now.
    #[error(
        "the database no longer belongs to this process, which tries to take it again; try again in a moment"
    )]
    NotHeld,
}
