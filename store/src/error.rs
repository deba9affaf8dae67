//! Errors of the database.

use sqlx::migrate::MigrateError;

/// Codes of a full disk: SQLite's `SQLITE_FULL` and `SQLITE_IOERR_SHMSIZE`, and PostgreSQL's `disk_full`.
const FULL: [&str; 3] = ["13", "4874", "53100"];

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
    Query(#[source] sqlx::Error),
    /// The disk is full, so nothing was changed. It succeeds again once there is room.
    #[error("the disk of the database is full")]
    Full,
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

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        if code.is_some_and(|code| FULL.contains(&&*code)) {
            Self::Full
        } else {
            Self::Query(error)
        }
    }
}
