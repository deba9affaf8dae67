//! A database of an earlier version is migrated on a copy.
//!
//! Fails if anything of it is lost or changed when the migration, the checks or the disk fail.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use sqlx::{AnyConnection, Connection as _, Row as _};
use store::{Database, DatabaseError, Migration, Opened, Schema};
use testkit::small_disk::SmallDisk;

use crate::{MIGRATIONS, SCHEMA, open, read, set};

/// The database of the first version, with numbers in a table of their own.
const FORMER: [Migration; 3] = [
    MIGRATIONS[0],
    MIGRATIONS[1],
    (
        "numbers",
        "CREATE TABLE owners (id BIGINT NOT NULL PRIMARY KEY); \
         CREATE TABLE numbers (number BIGINT NOT NULL PRIMARY KEY, text TEXT NOT NULL, \
         owner BIGINT NOT NULL REFERENCES owners (id) ON DELETE CASCADE)",
    ),
];

/// It, and a fourth migration.
fn migrations(last: &'static str) -> &'static [Migration] {
    Box::leak(FORMER.into_iter().chain([("last", last)]).collect())
}

/// One file with 200 rows, and its bytes.
async fn former(folder: &Path) -> (Database, PathBuf, Vec<u8>) {
    let file = folder.join("db.sqlite");
    let database = Database::Sqlite(file.clone());
    let schema = Schema { migrations: &FORMER, ..SCHEMA };
    let opened = Opened::open(&database, &schema).await.unwrap();
    for statement in [
        "INSERT INTO state (id, revision) VALUES (1, 0)",
        "INSERT INTO owners (id) VALUES (1)",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) \
         INSERT INTO numbers SELECT i, hex(zeroblob(400)), 1 FROM n",
    ] {
        sqlx::query(statement).execute(opened.pool()).await.unwrap();
    }
    opened.pool().close().await;
    let bytes = fs::read(&file).unwrap();
    (database, file, bytes)
}

async fn migrate(database: &Database, last: &'static str) -> Result<Opened, DatabaseError> {
    Opened::open(database, &Schema { migrations: migrations(last), ..SCHEMA }).await
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn count(file: &Path) -> i64 {
    let mut connection =
        AnyConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    let count = sqlx::query("SELECT COUNT(*) AS count FROM numbers");
    let count = count.fetch_one(&mut connection).await.unwrap().get("count");
    connection.close().await.unwrap();
    count
}

#[tokio::test]
async fn the_copy_takes_the_place_and_the_former_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (database, file, bytes) = former(dir.path()).await;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();

    let last = "ALTER TABLE numbers ADD COLUMN more BIGINT NOT NULL DEFAULT 7";
    let opened = migrate(&Database::Sqlite(link), last).await.unwrap();

    let sum = sqlx::query("SELECT SUM(more) AS sum FROM numbers").fetch_one(opened.pool()).await;
    assert_eq!(sum.unwrap().get::<i64, _>("sum"), 1400);
    opened.pool().close().await;
    assert_eq!(names(dir.path()), ["db.sqlite", "db.sqlite.before-4", "link"]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    let before = dir.path().join("db.sqlite.before-4");
    assert_eq!(fs::read(&before).unwrap(), bytes);

    let store = migrate(&database, last).await.unwrap().store().await.unwrap();
    assert!(before.exists(), "it stays for a day");
    store.checkpoint().await.unwrap();
    assert!(!before.exists(), "what is deleted now is in it");
}

#[tokio::test]
async fn a_file_that_was_not_closed_is_migrated_whole() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(dir.path().join("db.sqlite"));
    let store = open(&database).await;
    set(&store, 5, store::RevisionUpdate::Keep).await.unwrap();
    let copies = tempfile::tempdir().unwrap();
    // As a kill leaves it: what was written last is in the log alone.
    for name in ["db.sqlite", "db.sqlite-wal"] {
        fs::copy(dir.path().join(name), copies.path().join(name)).unwrap();
    }
    let database = Database::Sqlite(copies.path().join("db.sqlite"));
    let migrations: Vec<_> = MIGRATIONS.into_iter().chain([FORMER[2]]).collect();
    let schema = Schema { migrations: migrations.leak(), ..SCHEMA };

    let opened = Opened::open(&database, &schema).await.unwrap();

    assert_eq!(read(&opened.store().await.unwrap()).await, (5, 0));
}

#[tokio::test]
async fn a_migration_that_fails_or_loses_rows_changes_nothing() {
    for (last, lost) in [
        ("ALTER TABLE numbers ADD COLUMN more BIGINT; INSERT INTO nowhere VALUES (1)", false),
        // What was meant to rebuild the table of owners: the rows that refer to it go, too.
        (
            "CREATE TABLE new (id BIGINT NOT NULL PRIMARY KEY); INSERT INTO new SELECT id FROM owners; \
             DROP TABLE owners; ALTER TABLE new RENAME TO owners",
            true,
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (database, file, bytes) = former(dir.path()).await;

        let error = migrate(&database, last).await.unwrap_err();

        if lost {
            assert!(
                matches!(&error, DatabaseError::Lost(table) if table == "numbers"),
                "{error:?}"
            );
        } else {
            assert!(matches!(error, DatabaseError::Migrate(_)), "{error:?}");
        }
        assert_eq!(fs::read(&file).unwrap(), bytes);
        assert_eq!(names(dir.path()), ["db.sqlite"]);
    }
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (database, file, bytes) = former(dir.path()).await;
    let mut changed = FORMER;
    changed[2].1 = "CREATE TABLE numbers (number BIGINT NOT NULL)";

    let schema = Schema { migrations: changed.to_vec().leak(), ..SCHEMA };

    let refused = Opened::open(&database, &schema).await;

    assert!(matches!(refused, Err(DatabaseError::Migrate(_))), "{refused:?}");
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (database, _, _) = former(dir.path()).await;
    fs::create_dir(dir.path().join(".copy-killed")).unwrap();
    fs::write(dir.path().join(".copy-killed/db.sqlite"), "half a copy").unwrap();

    migrate(&database, "SELECT 1").await.unwrap().pool().close().await;

    assert_eq!(names(dir.path()), ["db.sqlite", "db.sqlite.before-4"]);
}

#[tokio::test]
async fn a_damaged_file_is_not_migrated() {
    let dir = tempfile::tempdir().unwrap();
    let (database, file, mut bytes) = former(dir.path()).await;
    let pages = bytes.len() / 4096;
    bytes[4096 * (pages - 2)..4096 * (pages - 1)].fill(0xA5);
    fs::write(&file, &bytes).unwrap();

    let refused = migrate(&database, "SELECT 1").await;

    assert!(matches!(refused, Err(DatabaseError::Damaged)), "{refused:?}");
    assert_eq!(fs::read(&file).unwrap(), bytes);
    assert_eq!(names(dir.path()), ["db.sqlite"]);
}

#[tokio::test]
#[ignore = "needs: root"]
async fn a_full_disk_keeps_the_former_file() {
    let name = "rehearse::a_full_disk_keeps_the_former_file";
    let Some(disk) = SmallDisk::of_test(name, "1m") else { return };
    let (database, file, bytes) = former(disk.path()).await;
    disk.fill(bytes.len() as u64 / 2);

    let error = migrate(&database, "SELECT 1").await.unwrap_err();

    assert!(matches!(error, DatabaseError::Copy(_)), "{error:?}");
    assert!(error.to_string().contains("make as much room on its disk"));
    assert_eq!(fs::read(&file).unwrap(), bytes);
    disk.empty();
    migrate(&database, "SELECT 1").await.unwrap().pool().close().await;
    assert_eq!(count(&file).await, 200);
}
