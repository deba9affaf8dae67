//! The databases of this crate's tests: a SQLite file each, or, in the run of [`all_tests_pass_on_postgresql`], a schema each
//! of a PostgreSQL server.

use std::{env, path::Path, process::Command};

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use store::Database;
use testkit::postgres::Postgres;

/// Names the server.
const SERVER: &str = "MARU_TEST_POSTGRES";
/// In the names of tests that read SQLite's file.
const OF_FILES: [&str; 3] = ["nothing_of_it_is_readable", "no_file_has", "in_the_file"];

/// The database of a test that has this folder.
pub(crate) async fn database(folder: &Path) -> Database {
    let Ok(server) = env::var(SERVER) else {
        return Database::Sqlite(folder.join("conversations.sqlite"));
    };
    let name = folder.file_name().unwrap().as_encoded_bytes();
    let schema: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&server).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS t{schema}"));
    sqlx::query(create).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    Database::Postgres(format!("{server}&options[search_path]=t{schema}"))
}

#[tokio::test]
#[ignore = "needs: postgres"]
async fn all_tests_pass_on_postgresql() {
    let server = Postgres::start();
    let mut tests = Command::new(env::current_exe().unwrap());
    sqlx::any::install_default_drivers();
    tests.args(OF_FILES.iter().flat_map(|name| ["--skip", name])).env(SERVER, server.url());

    let out = tests.output().unwrap();

    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}");
    let mut connection = AnyConnection::connect(&server.url()).await.unwrap();
    let tables =
        "SELECT COUNT(*) AS count FROM information_schema.tables WHERE table_name = 'messages'";
    let tables = sqlx::query(tables).fetch_one(&mut connection).await.unwrap();
    assert!(tables.get::<i64, _>("count") > 8, "they used the server: {said}");
    connection.close().await.unwrap();
}
