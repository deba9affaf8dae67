//! Errors of the database.

use sqlx::migrate::MigrateError;

/// Codes of a full disk: SQLite's `SQLITE_FULL` and `SQLITE_IOERR_SHMSIZE`, and PostgreSQL's `disk_full`.
const FULL: [&str; 3] = ["13", "4874", "53100"];
/// Codes of damage: SQLite's `SQLITE_CORRUPT` with its extended codes, `SQLITE_NOTADB`, `SQLITE_IOERR_SHORT_READ` and
/// `SQLITE_IOERR_CORRUPTFS`, and PostgreSQL's `data_corrupted` and `index_corrupted`.
const DAMAGED: [&str; 9] = ["11", "267", "523", "779", "26", "522", "8458", "XX001", "XX002"];

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
    /// It belongs to a newer version.
    #[error(
        "the database is of a newer Maru and stays as it is: update Maru, or put the former database back, which the \
         newer Maru kept beside it as NAME.before-VERSION"
    )]
    Newer,
    /// It must be migrated, but another process uses it, the named one.
    #[error(
        "the database is of an older Maru, which still uses it ({0}): stop that process, start this one, and update the \
         other before it starts again"
    )]
    Older(String),
    /// It has fewer changes than this process has seen.
    #[error(
        "the database is older than what this process has told: it has {found} changes, and had {told}; it was put back to \
         an earlier state, or another server took over without the last changes; if that is meant, restart this process"
    )]
    WentBack {
        /// The changes that it has now.
        found: i64,
        /// The changes that it had.
        told: i64,
    },
    /// Its migration failed. It was tried on a copy, or in a transaction.
    #[error(
        "cannot migrate the database, which stays as it was: run the former Maru, and report this"
    )]
    Migrate(#[source] MigrateError),
    /// Its migration lost rows of this table.
    #[error(
        "the migration of the database would lose rows of {0}; the database stays as it was: run the former Maru, and \
         report this"
    )]
    Lost(String),
    /// There is no room for the copy on which it is migrated, or its folder cannot be written.
    #[error(
        "cannot make the copy on which the database is migrated; the database stays as it was: make as much room on its \
         disk as it takes, check the owner of its folder, and start again"
    )]
    Copy(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is damaged, or no database.
    #[error(
        "the database is damaged; keep a copy of its files, then restore a backup with `maru restore`, or save what can \
         be read with `sqlite3 FILE .recover`"
    )]
    Damaged,
    /// A query failed; it may succeed later.
    #[error(
        "a query of the database failed; try again, and if it fails again, restore a backup with `maru restore`"
    )]
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

impl DatabaseError {
    /// The copy for a migration failed; damage is that of the original.
    pub(crate) fn copy(error: sqlx::Error) -> Self {
        match Self::of_file(&error) {
            Some(Self::Damaged) => Self::Damaged,
            _ => Self::Copy(Box::new(error)),
        }
    }

    /// The database cannot be opened.
    pub(crate) fn opening(error: sqlx::Error) -> Self {
        Self::of_file(&error).unwrap_or(Self::Open(error))
    }

    /// The same error if the disk or the file is at fault, not the query.
    pub(crate) fn of_file(error: &sqlx::Error) -> Option<Self> {
        if let sqlx::Error::ColumnDecode { .. } = error {
            return Some(Self::Damaged);
        }
        let code = error.as_database_error().and_then(|error| error.code())?;
        match &*code {
            code if FULL.contains(&code) => Some(Self::Full),
            code if DAMAGED.contains(&code) => Some(Self::Damaged),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        Self::of_file(&error).unwrap_or(Self::Query(error))
    }
}
