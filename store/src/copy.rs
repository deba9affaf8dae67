//! A consistent copy of the database in a file, made while others use it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sqlx::{AnyConnection, Connection as _};

use crate::{
    database::{Database, file_url},
    error::DatabaseError,
};

/// How the folder begins in which a copy is made.
const PREFIX: &str = ".copy-";

/// The database cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It is a PostgreSQL server's.
    #[error("the database is a PostgreSQL server's: copy it with `pg_dump`")]
    Postgres,
    /// There is none yet.
    #[error("there is no database at {}: nothing ran here yet", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The copy cannot be written.
    #[error("cannot write the copy; look how much space is left")]
    Io(#[from] io::Error),
}

/// Writes the database as it is at one moment into `out`. Changes that others make meanwhile are not in it.
///
/// The copy is made beside the database first, in a folder that is removed at the end. Who is killed meanwhile leaves that
/// folder behind; the next one removes it.
///
/// # Errors
///
/// See [`CopyError`]. What `out` holds then is of no use.
pub async fn copy(database: &Database, out: &mut File) -> Result<(), CopyError> {
    let Database::Sqlite(path) = database else { return Err(CopyError::Postgres) };
    if !path.exists() {
        return Err(CopyError::Missing(path.clone()));
    }
    let beside = path.parent().unwrap_or(Path::new("."));
    let _copying = begin(beside)?;
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(beside)?;
    let copy = folder.path().join("db.sqlite");
    let target = copy.to_str().ok_or(DatabaseError::Row("path: it is not UTF-8"))?.to_owned();
    sqlx::any::install_default_drivers();
    let url = file_url(path, "rw")?;
    let mut connection = AnyConnection::connect(&url).await.map_err(DatabaseError::Open)?;
    let wait = sqlx::query("PRAGMA busy_timeout = 10000").execute(&mut connection).await;
    wait.map_err(DatabaseError::Query)?;
    let copied = sqlx::query("VACUUM INTO $1").bind(target).execute(&mut connection).await;
    copied.map_err(DatabaseError::Query)?;
    connection.close().await.map_err(DatabaseError::Query)?;
    io::copy(&mut File::open(&copy)?, out)?;
    Ok(())
}

/// Removes what killed ones left, unless somebody copies right now. While the returned lock is held, nobody else does that.
fn begin(folder: &Path) -> io::Result<File> {
    let lock = File::open(folder)?;
    if lock.try_lock().is_ok() {
        remove_left(folder)?;
    }
    lock.lock_shared()?;
    Ok(lock)
}

fn remove_left(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if is_one && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
            tracing::info!(folder = %entry.path().display(), "removed a copy that was not finished");
        }
    }
    Ok(())
}
