//! Every test of the homeserver once more, on PostgreSQL: this program runs again, with the URL of a server in its environment.

use std::{path::Path, process::Command};

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};
use store::Database;
use testkit::postgres::Postgres;

/// The variable that names the server.
const SERVER: &str = "MARU_TEST_POSTGRES";

/// The database of a test: a schema of the server that is named after the test's folder, or a file in the folder.
pub(super) async fn database(folder: &Path) -> Database {
    let Ok(server) = std::env::var(SERVER) else {
        return Database::Sqlite(folder.join("rooms.db"));
    };
    let name = folder.file_name().unwrap().as_encoded_bytes();
    let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&server).await.unwrap();
    let create = format!("CREATE SCHEMA IF NOT EXISTS s{name}");
    sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    Database::Postgres(format!("{server}&options[search_path]=s{name}"))
}

#[tokio::test]
#[ignore = "needs: postgres"]
async fn every_test_of_the_homeserver_passes_on_postgres() {
    let server = Postgres::start();
    let mut all = Command::new(std::env::current_exe().unwrap());
    // Each test has several connections, of which the server has a hundred.
    let output = all.arg("--test-threads=4").env(SERVER, server.url()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(&server.url()).await.unwrap();
    let schemas = "SELECT COUNT(*) FROM pg_tables WHERE tablename = 'homeserver'";
    let schemas: i64 = sqlx::query_scalar(schemas).fetch_one(&mut connection).await.unwrap();
    assert!(schemas > 100, "{schemas} of the tests have run there");
}
