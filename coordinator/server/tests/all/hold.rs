//! One coordinator alone works on a database.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use coordinator::{
    serve::{ServeError, Server},
    store::{
        self, Database, DatabaseError, DatabaseLock, LockError, LogRetention, Store, StoreError,
    },
};
use coordinator_api::{Actor, settings::Settings};
use sqlx::Connection as _;
use testkit::{eventually, postgres::Postgres};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::harness::{PATIENCE, configured, relay_was_here, settings};

/// Takes what the first holds, which is this process.
async fn is_refused_by_name(database: &Database) {
    let refused = store::lock(database).await.unwrap_err();

    assert!(matches!(refused, LockError::Held(_)), "{refused:?}");
    let said = refused.to_string();
    assert!(said.contains(&format!("process {} on ", std::process::id())), "{said}");
}

/// Starts the daemon on its own and waits until it serves.
async fn daemon(root: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru-coordinator"));
    command.args(["serve", "--root"]).arg(root).stdin(Stdio::null());
    let daemon = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let socket = root.join("run/maru/coordinator/admin.sock");
    eventually("it serves", async || socket.exists()).await;
    daemon
}

/// A second coordinator on what a running one works on is refused with that one's number; killed, it frees the database.
async fn a_second_coordinator_is_refused(database_url_file: Option<&str>, root: &Path) {
    let other = tempfile::tempdir().unwrap();
    let settings = Settings { database_url_file: database_url_file.map(Into::into), ..settings() };
    let config = configured(settings);
    relay_was_here(root, &config).await;
    relay_was_here(other.path(), &config).await;
    let mut daemon = daemon(root).await;
    if database_url_file.is_none() {
        // Another root, another port: the same database all the same.
        let state = other.path().join("var/lib/maru/coordinator");
        std::fs::create_dir_all(&state).unwrap();
        let file = "var/lib/maru/coordinator/db.sqlite";
        std::os::unix::fs::symlink(root.join(file), other.path().join(file)).unwrap();
    }
    let start =
        async || Server::start(other.path(), config.clone(), CancellationToken::new()).await;

    let refused = start().await.err().expect("it does not start");

    assert!(matches!(refused, ServeError::DatabaseLock(LockError::Held(_))), "{refused:?}");
    assert!(refused.to_string().contains(&format!("process {} on ", daemon.id())), "{refused}");
    daemon.kill().unwrap();
    start().await.expect("a killed coordinator holds nothing");
    daemon.wait().unwrap();
}

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn a_second_coordinator_on_sqlite_is_refused_until_the_first_is_killed() {
    let root = tempfile::tempdir().unwrap();
    let text = "listen = \"127.0.0.1:0\"\nserver_url = \"http://coordinator.test:8443\"\n";
    write(root.path(), "etc/maru/coordinator.toml", text);

    a_second_coordinator_is_refused(None, root.path()).await;
}

#[tokio::test]
#[ignore = "needs: postgres"]
async fn a_second_coordinator_on_postgres_is_refused_until_the_first_is_killed() {
    let (root, server) = (tempfile::tempdir().unwrap(), Postgres::start());
    let urls = root.path().join("database-url");
    std::fs::write(&urls, server.url()).unwrap();
    let text = format!(
        "listen = \"127.0.0.1:0\"\nserver_url = \"http://coordinator.test:8443\"\n\
         database_url_file = {urls:?}\n"
    );
    write(root.path(), "etc/maru/coordinator.toml", &text);

    a_second_coordinator_is_refused(urls.to_str(), root.path()).await;
}

#[tokio::test]
async fn a_database_in_a_file_is_held_until_its_holder_lets_go() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(dir.path().join("db.sqlite"));
    let hold = store::lock(&database).await.unwrap();

    is_refused_by_name(&database).await;

    drop(hold);
    store::lock(&database).await.unwrap();
}

/// As after a restart of the server, or a failover.
#[tokio::test]
#[ignore = "needs: postgres"]
async fn a_hold_that_postgres_lost_is_taken_again_and_nothing_is_changed_meanwhile() {
    let server = Postgres::start();
    let database = Database::Postgres(server.url());
    let mut hold = store::lock(&database).await.unwrap();
    let store =
        Store::open(&database, "maru.home.arpa").await.unwrap().locked_by(&hold).await.unwrap();
    is_refused_by_name(&database).await;
    let mut held = hold.watch();

    end_connections_of_holders(&server.url()).await;
    let back = async {
        held.wait_for(Option::is_none).await.unwrap();
        held.wait_for(Option::is_some).await.unwrap();
    };
    tokio::select! {
        lost = hold.lost() => panic!("{lost}"),
        back = timeout(PATIENCE, back) => back.unwrap(),
    }

    is_refused_by_name(&database).await;
    store.change(Actor::System).await.unwrap().commit().await.unwrap();
    store.close().await;
}

#[tokio::test]
#[ignore = "needs: postgres"]
async fn who_finds_another_coordinator_in_its_place_gives_up() {
    let server = Postgres::start();
    let database = Database::Postgres(server.url());
    let mut hold = store::lock(&database).await.unwrap();
    let store =
        Store::open(&database, "maru.home.arpa").await.unwrap().locked_by(&hold).await.unwrap();
    let other = sqlx::AnyConnection::connect(&server.url());
    let mut other = other.await.unwrap();
    end_connections_of_holders(&server.url()).await;
    let named = "SELECT set_config('application_name', 'process 1 on elsewhere', false)";
    sqlx::query(named).fetch_one(&mut other).await.unwrap();
    let lock = "SELECT 1 AS done FROM pg_advisory_lock(1835102837, hashtext('public'))";
    sqlx::query(lock).fetch_one(&mut other).await.unwrap();

    let lost = timeout(PATIENCE, hold.lost()).await.unwrap();

    assert!(lost.to_string().contains("process 1 on elsewhere"), "{lost}");
    assert!(matches!(
        store.change(Actor::System).await,
        Err(StoreError::Database(DatabaseError::NotHeld))
    ));
    store.close().await;
}

/// A connection that the server is about to end has the lock for a moment, and its name no more.
#[tokio::test]
#[ignore = "needs: postgres"]
async fn who_finds_a_lock_without_a_name_in_its_place_waits_for_it() {
    let server = Postgres::start();
    let database = Database::Postgres(server.url());
    let mut hold = store::lock(&database).await.unwrap();
    let store =
        Store::open(&database, "maru.home.arpa").await.unwrap().locked_by(&hold).await.unwrap();
    let mut held = hold.watch();
    let mut other = sqlx::AnyConnection::connect(&server.url()).await.unwrap();
    end_connections_of_holders(&server.url()).await;
    let lock = "SELECT 1 AS done FROM pg_advisory_lock(1835102837, hashtext('public'))";
    sqlx::query(lock).fetch_one(&mut other).await.unwrap();

    let back = async {
        held.wait_for(Option::is_none).await.unwrap();
        // Some tries while it is locked.
        sleep(Duration::from_millis(500)).await;
        drop(other);
        held.wait_for(Option::is_some).await.unwrap();
    };
    tokio::select! {
        lost = hold.lost() => panic!("{lost}"),
        back = timeout(PATIENCE, back) => back.expect("it has its database again"),
    }

    is_refused_by_name(&database).await;
    store.close().await;
}

/// The first has not noticed yet that it lost its lock: it takes up to seven seconds until it looks.
#[tokio::test]
#[ignore = "needs: postgres"]
async fn who_was_replaced_writes_nothing_more_although_it_does_not_know_yet() {
    let server = Postgres::start();
    let database = Database::Postgres(server.url());
    let open = async |hold: &DatabaseLock| {
        Store::open(&database, "maru.home.arpa").await.unwrap().locked_by(hold).await.unwrap()
    };
    let first = store::lock(&database).await.unwrap();
    let replaced = open(&first).await;
    let mut under_way = replaced.change(Actor::System).await.unwrap();
    under_way.insert_user("alice", 1).await.unwrap();
    end_connections_of_holders(&server.url()).await;

    let second = store::lock(&database).await.unwrap();
    let opening = open(&second);
    tokio::pin!(opening);
    let waits = timeout(Duration::from_millis(500), &mut opening).await;
    assert!(waits.is_err(), "the next epoch begins after the change that was under way");
    under_way.commit().await.unwrap();
    let store = opening.await;

    assert!(first.watch().borrow().is_some(), "it believes that it holds the database");
    assert!(matches!(
        replaced.change(Actor::System).await,
        Err(StoreError::Database(DatabaseError::NotHeld))
    ));
    assert!(matches!(
        replaced.set_last_seen(&[(1, 1)].into()).await,
        Err(StoreError::Database(DatabaseError::NotHeld))
    ));
    let keep = LogRetention { since: 0, rows: 0 };
    assert!(matches!(
        replaced.prune_log(keep).await,
        Err(StoreError::Database(DatabaseError::NotHeld))
    ));
    let users = store.load().await.unwrap().users;
    assert_eq!(users.len(), 1, "what was under way is there");
    store.change(Actor::System).await.unwrap().commit().await.unwrap();
    store.close().await;
    replaced.close().await;
}

/// As on a machine that sleeps, or whose disk is slow, for longer than the coordinator waits for an answer.
#[tokio::test]
#[ignore = "needs: postgres"]
async fn a_hold_whose_connection_stalled_is_taken_again() {
    let server = Postgres::start();
    let database = Database::Postgres(server.url());
    let mut hold = store::lock(&database).await.unwrap();
    let store =
        Store::open(&database, "maru.home.arpa").await.unwrap().locked_by(&hold).await.unwrap();
    let mut held = hold.watch();
    let holder = holder(&server.url()).await;

    signal(holder, "STOP");
    let stalled = async {
        held.wait_for(Option::is_none).await.unwrap();
        assert!(matches!(
            store.change(Actor::System).await,
            Err(StoreError::Database(DatabaseError::NotHeld))
        ));
        // Some tries while it still has the lock.
        sleep(Duration::from_millis(500)).await;
        signal(holder, "CONT");
        held.wait_for(Option::is_some).await.unwrap();
    };
    tokio::select! {
        lost = hold.lost() => panic!("{lost}"),
        back = timeout(PATIENCE, stalled) => back.expect("it has its database again"),
    }

    is_refused_by_name(&database).await;
    store.change(Actor::System).await.unwrap().commit().await.unwrap();
    store.close().await;
}

/// The process of the server that has the lock.
async fn holder(url: &str) -> i32 {
    let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
    let asked = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'";
    sqlx::query_scalar(asked).fetch_one(&mut connection).await.unwrap()
}

fn signal(process: i32, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &process.to_string()]).status();
    assert!(sent.unwrap().success(), "{name}");
}

/// Ends them as the server's end would.
async fn end_connections_of_holders(url: &str) {
    let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
    let end = "SELECT count(pg_terminate_backend(pid)) AS ended FROM pg_locks WHERE locktype = 'advisory'";
    sqlx::query(end).fetch_one(&mut connection).await.unwrap();
}
