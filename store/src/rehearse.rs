//! Migrates an existing SQLite database on a copy, which then takes its place.
//!
//! The copy must pass SQLite's own checks, and no table may lose rows, before it takes the database's name. Until then,
//! whatever fails (a full disk, a migration, a kill) leaves the database as it was. The former file stays beside it as
//! `NAME.before-VERSION`, where VERSION is the number of migrations that the copy has seen. It goes at the first start
//! that comes a day later, or as soon as something is deleted for good (see [`Store::checkpoint`](crate::Store::checkpoint)).

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

use crate::{copy, database::file_url, error::DatabaseError, migrate, schema::Migration};

/// How long the former file stays at least, unless something is deleted for good.
const STAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What stands between the name of the database and the version in the name of the former file.
const BEFORE: &str = ".before-";

/// Migrates the database at `path` if it exists and migrations are pending.
///
/// The caller has the lock on the database, or is its only user.
pub(crate) async fn migrate(path: &Path, migrations: &[Migration]) -> Result<(), DatabaseError> {
    if !path.exists() {
        return Ok(());
    }
    // A link stays; what it leads to is replaced.
    let path =
        if path.is_symlink() { path.canonicalize().map_err(uncopied)? } else { path.to_owned() };
    let mut database = connect(&path).await?;
    let version = migrate::version(&mut database).await;
    database.close().await?;
    let current = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    match version? {
        Some(version) if version < current => {
            // No copy for a backup is made meanwhile, and what killed ones left is removed.
            let _alone = copy::alone(folder(&path)).map_err(uncopied)?;
            let beside = tempfile::Builder::new().prefix(copy::PREFIX).tempdir_in(folder(&path));
            let beside = beside.map_err(uncopied)?;
            let copy = beside.path().join("db.sqlite");
            let mut database = connect(&path).await?;
            let made = make(&mut database, &copy, migrations).await;
            database.close().await?;
            made?;
            take_place(&path, &copy, migrations.len()).map_err(uncopied)
        }
        _ => {
            remove_former(&path, STAY);
            Ok(())
        }
    }
}

/// Removes the files of before migrations that are at least so old. One that cannot be removed is logged.
pub(crate) fn remove_former(path: &Path, age: Duration) {
    let name =
        [path.file_name().unwrap_or_default().as_encoded_bytes(), BEFORE.as_bytes()].concat();
    let Ok(entries) = fs::read_dir(folder(path)) else { return };
    for entry in entries.flatten() {
        let is_former = entry.file_name().as_encoded_bytes().starts_with(&name);
        if is_former && is_older(&entry.path(), age) {
            match overwrite(&entry.path()) {
                Ok(()) => {
                    tracing::info!(file = %entry.path().display(), "removed the former database")
                }
                Err(error) => {
                    tracing::warn!(file = %entry.path().display(), %error, "cannot remove the former database");
                }
            }
        }
    }
}

/// Whether the file got its name so long ago: the kernel notes when a file gets another name.
fn is_older(file: &Path, age: Duration) -> bool {
    let named = fs::symlink_metadata(file).ok().and_then(|file| u64::try_from(file.ctime()).ok());
    let named = named.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    age.is_zero() || named.is_some_and(|named| named.elapsed().is_ok_and(|since| since >= age))
}

/// Overwrites a file, and removes it: keys that were deleted since are in it.
fn overwrite(file: &Path) -> io::Result<()> {
    let mut opened = File::options().write(true).open(file)?;
    let length = opened.metadata()?.len();
    io::copy(&mut io::repeat(0).take(length), &mut opened)?;
    opened.sync_all()?;
    fs::remove_file(file)
}

/// Makes a copy, migrates and checks it.
async fn make(
    database: &mut AnyConnection,
    copy: &Path,
    migrations: &[Migration],
) -> Result<(), DatabaseError> {
    // Keeps everybody else from the file until the connection is closed, and all of the database is in this one file.
    for pragma in ["PRAGMA locking_mode = EXCLUSIVE", "PRAGMA wal_checkpoint(TRUNCATE)"] {
        sqlx::query(pragma).execute(&mut *database).await?;
    }
    let rows = rows(database).await?;
    let target = copy.to_str().ok_or(DatabaseError::Row("path: it is not UTF-8"))?.to_owned();
    let copied = sqlx::query("VACUUM INTO $1").bind(target).execute(&mut *database).await;
    copied.map_err(DatabaseError::copy)?;
    let mut migrated = connect(copy).await?;
    match migrate::run(migrations, "BLOB", &mut migrated).await {
        Err(full @ DatabaseError::Full) => return Err(uncopied(full)),
        migrated => migrated?,
    }
    check(&mut migrated, &rows).await?;
    migrated.close().await.map_err(DatabaseError::copy)
}

async fn connect(path: &Path) -> Result<AnyConnection, DatabaseError> {
    let opened = AnyConnection::connect(&file_url(path, "rw")?).await;
    let mut connection = opened.map_err(DatabaseError::opening)?;
    for pragma in [
        "PRAGMA busy_timeout = 10000",
        "PRAGMA secure_delete = ON",
        // A container has no folder for temporary files.
        "PRAGMA temp_store = MEMORY",
    ] {
        sqlx::query(pragma).execute(&mut connection).await?;
    }
    Ok(connection)
}

/// The number of rows of each table.
async fn rows(database: &mut AnyConnection) -> Result<BTreeMap<String, i64>, DatabaseError> {
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut rows = BTreeMap::new();
    for table in sqlx::query(tables).fetch_all(&mut *database).await? {
        let table: String = table.try_get("name")?;
        let count = AssertSqlSafe(format!("SELECT COUNT(*) AS count FROM \"{table}\""));
        let count = sqlx::query(count).fetch_one(&mut *database).await?.try_get("count")?;
        rows.insert(table, count);
    }
    Ok(rows)
}

/// Checks the copy: each page, each reference, and that no table that is still there has fewer rows than `before`.
async fn check(
    copy: &mut AnyConnection,
    before: &BTreeMap<String, i64>,
) -> Result<(), DatabaseError> {
    let checked = sqlx::query("PRAGMA integrity_check").fetch_one(&mut *copy).await?;
    let broken = sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut *copy).await?;
    if checked.try_get::<String, _>(0)? != "ok" || broken.is_some() {
        return Err(DatabaseError::Damaged);
    }
    let after = rows(copy).await?;
    let fewer = before.iter().find(|(table, rows)| after.get(*table).is_some_and(|now| now < rows));
    fewer.map_or(Ok(()), |(table, _)| Err(DatabaseError::Lost(table.clone())))
}

/// Lets the copy take the place of the database: from one moment to the next, and the former file has another name.
fn take_place(path: &Path, copy: &Path, version: usize) -> io::Result<()> {
    let (former, new) = (fs::metadata(path)?, fs::metadata(copy)?);
    if (former.uid(), former.gid()) != (new.uid(), new.gid()) {
        chown(copy, Some(former.uid()), Some(former.gid()))?;
    }
    fs::set_permissions(copy, fs::Permissions::from_mode(former.mode() & 0o7777))?;
    File::open(copy)?.sync_all()?;
    let mut before = path.as_os_str().to_owned();
    before.push(format!("{BEFORE}{version}"));
    let before = PathBuf::from(before);
    match fs::remove_file(&before) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::hard_link(path, &before)?;
    fs::rename(copy, path)?;
    File::open(folder(path))?.sync_all()?;
    tracing::info!(former = %before.display(), "migrated the database");
    Ok(())
}

fn uncopied(error: impl std::error::Error + Send + Sync + 'static) -> DatabaseError {
    DatabaseError::Copy(Box::new(error))
}

fn folder(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_file_stays_for_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("db.sqlite");
        let former = dir.path().join("db.sqlite.before-2");
        let other = dir.path().join("other.sqlite.before-2");
        for file in [&database, &former, &other] {
            fs::write(file, "content").unwrap();
        }

        remove_former(&database, STAY);
        assert!(former.exists());

        remove_former(&database, Duration::from_nanos(1));
        assert!(!former.exists());
        assert!(database.exists() && other.exists());
    }
}
