//! Errors of the database.

use sqlx::migrate::MigrateError;

/// The database failed, or its content is invalid.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL has another scheme.
    #[error("the database URL must begin with postgres:// or postgresql://")]
    Url,
    /// It could not be reached or opened.
    #[error(
        "cannot open the database; check that it runs, the URL in `database_url_file`, and its permissions"
    )]
    Open(#[source] sqlx::Error),
    /// Its migration failed, or it belongs to a newer version.
    #[error("cannot migrate the database")]
    Migrate(#[source] MigrateError),
    /// A query failed; it may succeed later.
    #[error("database query failed")]
    Query(#[from] sqlx::Error),
    /// A row has an invalid value.
    #[error("the database has an invalid {0}")]
    Row(&'static str),
    /// The row was changed between reading and writing: read it again.
    #[error("it was changed in the meantime")]
    Conflict,
    /// The lock on the database was lost; another process may have it.
    #[error(
        "this process has lost its lock on the database and tries to take it again; try again in a moment"
    )]
    NotHeld,
}
