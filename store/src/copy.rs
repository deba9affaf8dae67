//! Copies a database consistently while it is in use.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use sqlx::{AnyConnection, Connection as _};

use crate::{
    database::{Database, file_url},
    error::DatabaseError,
};

/// Prefix of the temporary folder for a copy.
pub(crate) const PREFIX: &str = ".copy-";
/// Tries to lock a folder, and the pause between two.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// The database cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It is a PostgreSQL database.
    #[error("the database is on a PostgreSQL server: copy it with `pg_dump`")]
    Postgres,
    /// The file does not exist.
    #[error("there is no database at {}: the daemon has not run yet", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The copy cannot be written.
    #[error("cannot write the copy; check the free disk space")]
    Io(#[from] io::Error),
}

/// Writes a snapshot of the database into `out`.
///
/// The snapshot is made beside the database first, in a temporary folder. If the process is killed, the next copy removes
/// that folder. After an error, the content of `out` is incomplete.
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
    wait.map_err(DatabaseError::from)?;
    let copied = sqlx::query("VACUUM INTO $1").bind(target).execute(&mut connection).await;
    copied.map_err(DatabaseError::from)?;
    connection.close().await.map_err(DatabaseError::from)?;
    io::copy(&mut File::open(&copy)?, out)?;
    Ok(())
}

/// Removes the folders of killed processes, unless another copy runs. The returned lock protects the new folder.
fn begin(folder: &Path) -> io::Result<File> {
    let lock = File::open(folder)?;
    if lock.try_lock().is_ok() {
        remove_left(folder)?;
    }
    lock_shared(&lock, TRIES)?;
    Ok(lock)
}

/// Locks it in so many tries: a daemon that somebody took over may hold the lock of its folder for ever.
fn lock_shared(lock: &File, tries: u32) -> io::Result<()> {
    for _ in 0..tries {
        match lock.try_lock_shared() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "another process keeps the folder locked"))
}

/// The right to be the only one that copies in this folder. What killed processes left there is removed.
pub(crate) fn alone(folder: &Path) -> io::Result<File> {
    let lock = File::open(folder)?;
    lock.lock()?;
    remove_left(folder)?;
    Ok(lock)
}

fn remove_left(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_one = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if is_one && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
            tracing::info!(folder = %entry.path().display(), "removed an incomplete copy");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_the_folder_locked_ends_the_copy_and_does_not_stop_it_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let (held, other) =
            (File::open(folder.path()).unwrap(), File::open(folder.path()).unwrap());
        held.lock().unwrap();

        assert_eq!(lock_shared(&other, 2).unwrap_err().kind(), io::ErrorKind::TimedOut);

        held.unlock().unwrap();
        lock_shared(&other, 1).unwrap();
        held.try_lock_shared().unwrap();
    }
}
