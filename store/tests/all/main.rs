//! A database of a daemon that stores one number, on SQLite. The coordinator's tests do the same on PostgreSQL.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

mod rehearse;
mod released;

use std::path::Path;

use sqlx::Row as _;
use store::{
    Database, DatabaseError, DatabaseLock, Migration, Opened, Priority, RevisionUpdate, Schema,
    Store,
};

const MIGRATIONS: [Migration; 2] = [
    ("first", "CREATE TABLE state (id BIGINT NOT NULL PRIMARY KEY, revision BIGINT NOT NULL)"),
    (
        "epoch",
        "ALTER TABLE state ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0; \
         ALTER TABLE state ADD COLUMN number BIGINT NOT NULL DEFAULT 0",
    ),
];
const SCHEMA: Schema = Schema { table: "state", lock: 1, migrations: &MIGRATIONS };

fn database(dir: &Path) -> Database {
    Database::Sqlite(dir.join("db.sqlite"))
}

async fn open(database: &Database) -> Store {
    let opened = Opened::open(database, &SCHEMA).await.unwrap();
    let row = "INSERT INTO state (id, revision) VALUES (1, 0) ON CONFLICT (id) DO NOTHING";
    sqlx::query(row).execute(opened.pool()).await.unwrap();
    opened.store().await.unwrap()
}

async fn set(store: &Store, number: i64, counted: RevisionUpdate) -> Result<(), DatabaseError> {
    let mut write = store.write(Priority::High, counted).await?;
    let query = sqlx::query("UPDATE state SET number = $1 WHERE id = 1").bind(number);
    query.execute(write.connection()).await?;
    write.commit().await
}

/// The number, and how many writes were counted.
async fn read(store: &Store) -> (i64, i64) {
    let row = sqlx::query("SELECT number, revision FROM state WHERE id = 1");
    let row = row.fetch_one(store.pool()).await.unwrap();
    (row.get("number"), row.get("revision"))
}

#[tokio::test]
async fn a_write_is_counted_if_it_asks_for_that() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&database(dir.path())).await;

    set(&store, 5, RevisionUpdate::Increment).await.unwrap();
    set(&store, 6, RevisionUpdate::Keep).await.unwrap();

    assert_eq!(read(&store).await, (6, 1));
    assert_eq!(store.metrics().changes.get(), 1);
}

#[tokio::test]
async fn a_dropped_write_never_happened() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&database(dir.path())).await;

    let mut write = store.write(Priority::Low, RevisionUpdate::Increment).await.unwrap();
    let query = sqlx::query("UPDATE state SET number = 9 WHERE id = 1");
    query.execute(write.connection()).await.unwrap();
    drop(write);
    set(&store, 5, RevisionUpdate::Increment).await.unwrap();

    assert_eq!(read(&store).await, (5, 1));
}

#[tokio::test]
async fn who_was_replaced_writes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let database = database(dir.path());
    let first = DatabaseLock::take(&database, &SCHEMA).await.unwrap();
    let replaced = open(&database).await.locked_by(&first).await.unwrap();
    set(&replaced, 1, RevisionUpdate::Increment).await.unwrap();
    drop(first);

    let second = DatabaseLock::take(&database, &SCHEMA).await.unwrap();
    let store = open(&database).await.locked_by(&second).await.unwrap();

    for counted in [RevisionUpdate::Increment, RevisionUpdate::Keep] {
        let refused = set(&replaced, 2, counted).await;
        assert!(matches!(refused, Err(DatabaseError::NotHeld)), "{refused:?}");
    }
    set(&store, 3, RevisionUpdate::Increment).await.unwrap();
    assert_eq!(read(&store).await, (3, 2));
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let database = database(dir.path());
    open(&database).await.close().await;

    let older = Schema { migrations: &MIGRATIONS[..1], ..SCHEMA };
    let refused = Opened::open(&database, &older).await;

    assert!(matches!(refused, Err(DatabaseError::Newer)), "{refused:?}");
}
