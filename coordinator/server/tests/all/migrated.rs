//! Databases of every released version, which the current version migrates.
//!
//! Fails if a user, a device, a waiting device, a name or the policy is not there afterwards. Blind to what a former version wrote
//! otherwise than the current one does: the rows are today's, in the columns of then.

use std::path::Path;

use coordinator::store::{Database, Store};
use coordinator_api::{Actor, MIGRATIONS};
use coordinator_core::model::{NewPending, Owner, Record, Registrant};
use sqlx::{AssertSqlSafe, Row as _};

use crate::store::{NOW, new_key, new_node, open};

/// A database of the current version with a row of everything that the first version knew.
async fn sample(database: &Database) {
    let store = open(database).await;
    let mut change = store.change(Actor::System).await.unwrap();
    let alice = change.insert_user("alice", NOW).await.unwrap();
    let laptop = change.insert_node(new_node(1, Owner::User(alice.id)), NOW).await.unwrap();
    change.set_record(&Record { name: "chat".to_owned(), node: laptop.id }).await.unwrap();
    let (key, _) = new_key(&mut change, true, NOW + 1).await;
    let device = Registrant { version: 0, ..new_node(2, Owner::User(alice.id)).device };
    let waiting = NewPending { device, source: String::new(), key: Some(key), replaces: None };
    change.insert_pending(waiting, NOW).await.unwrap();
    change.commit().await.unwrap();
    store.close().await;
}

/// Makes a database with the first `count` migrations, and gives it the rows of the database at `current`.
async fn released(count: usize, current: &Path, database: &Database) {
    let schema = ::store::Schema { table: "network", lock: 1, migrations: &MIGRATIONS[..count] };
    let opened = ::store::Opened::open(database, &schema).await.unwrap();
    let mut connection = opened.pool().acquire().await.unwrap();
    let attach = format!("ATTACH '{}' AS now", current.display());
    sqlx::query(AssertSqlSafe(attach)).execute(&mut *connection).await.unwrap();
    for table in ["network", "users", "preauth_keys", "nodes", "pending", "records"] {
        let columns = format!("SELECT name FROM pragma_table_info('{table}', 'main')");
        let columns =
            sqlx::query(AssertSqlSafe(columns)).fetch_all(&mut *connection).await.unwrap();
        let columns: Vec<String> = columns.iter().map(|row| row.get("name")).collect();
        let columns = columns.join(", ");
        let rows =
            format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}");
        let copied = sqlx::query(AssertSqlSafe(rows)).execute(&mut *connection).await.unwrap();
        assert_eq!(copied.rows_affected(), 1, "{table}");
    }
    drop(connection);
    opened.pool().close().await;
}

async fn read(store: &Store) -> String {
    format!("{:#?}", store.load().await.unwrap())
}

#[tokio::test]
async fn every_released_version_is_migrated_with_all_that_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let current = dir.path().join("current.sqlite");
    sample(&Database::Sqlite(current.clone())).await;
    let store = open(&Database::Sqlite(current.clone())).await;
    let expected = read(&store).await;
    store.close().await;
    for words in ["alice", "laptop", "chat"] {
        assert!(expected.contains(words), "{expected}");
    }
    for count in 1..=MIGRATIONS.len() {
        let database = Database::Sqlite(dir.path().join(format!("{count}.sqlite")));
        released(count, &current, &database).await;

        let store = open(&database).await;

        assert_eq!(read(&store).await, expected, "{count} migrations");
        store.close().await;
    }
}
