//! For tests of stores: databases of former versions, which the current version migrates.
#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a panic is how tests fail")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use tempfile::TempDir;

/// A database that was migrated.
#[derive(Debug)]
pub struct MigratedDatabase {
    path: PathBuf,
    _dir: TempDir,
}

impl MigratedDatabase {
    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The databases of former versions, each migrated by `open`, which opens a file as the daemon does.
///
/// `dumps` has what `sqlite3 FILE .dump` prints of a database of each version that was ever on `main`: `N.sql`, if it has N
/// migrations. `new` makes a database of the current version with sample rows.
///
/// It panics if the current version has no dump (the message says how to make it), if a migration has changed since, or if
/// the tables of a migrated database are not those of a new one.
pub async fn migrated(
    dumps: &Path,
    new: impl AsyncFn(&Path),
    open: impl AsyncFn(&Path),
) -> Vec<MigratedDatabase> {
    sqlx::any::install_default_drivers();
    let dir = tempfile::tempdir().unwrap();
    let current = dir.path().join("current.sqlite");
    new(&current).await;
    let (version, tables) = schema(&current).await;
    let newest = dumps.join(format!("{version}.sql"));
    if !newest.exists() {
        let (kept, newest) = (dir.keep().join("current.sqlite"), newest.display());
        panic!("{newest} is missing: sqlite3 {} .dump > {newest}", kept.display());
    }
    let mut databases = Vec::new();
    for dump in fs::read_dir(dumps).unwrap() {
        let (dump, dir) = (dump.unwrap().path(), tempfile::tempdir().unwrap());
        let path = dir.path().join("db.sqlite");
        restore(&fs::read_to_string(&dump).unwrap(), &path).await;
        open(&path).await;
        assert_eq!(schema(&path).await, (version, tables.clone()), "{}", dump.display());
        databases.push(MigratedDatabase { path, _dir: dir });
    }
    databases
}

async fn connect(path: &Path) -> AnyConnection {
    AnyConnection::connect(&format!("sqlite://{}?mode=rwc", path.display())).await.unwrap()
}

async fn restore(dump: &str, path: &Path) {
    let mut connection = connect(path).await;
    sqlx::raw_sql(AssertSqlSafe(dump)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The number of migrations, and the statements that make the tables and indexes.
async fn schema(path: &Path) -> (i64, Vec<String>) {
    let mut connection = connect(path).await;
    let version = sqlx::query("SELECT MAX(version) AS version FROM _sqlx_migrations");
    let version = version.fetch_one(&mut connection).await.unwrap().get("version");
    let tables = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name";
    let tables = sqlx::query(tables).fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    (version, tables.iter().map(|table| table.get("sql")).collect())
}
