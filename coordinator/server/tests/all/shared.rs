//! Several coordinators on one PostgreSQL database.
//!
//! Fails if a device at one of them does not hear what was changed at the other or who is connected there, if they differ in
//! the Noise key, if a coordinator serves that must not (with another key, other relays, an older version, alone beside
//! others), or if one that the database left goes on. Blind to clocks that differ.

use std::{
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use control_protocol::key::MachinePrivate;
use coordinator::store::{self, Database, DatabaseError, DatabaseLock, LockError, StoreError};
use coordinator_api::MIGRATIONS;
use coordinator_core::time;
use hyper::Method;
use serde_json::{Value, json};
use sqlx::Connection as _;
use testkit::{eventually, postgres::Postgres};
use tokio::time::timeout;

use crate::{
    device::{ClientMap, Device, server_key},
    harness::{Coordinator, OPEN, PATIENCE, ask_admin},
    process::{Process, Root},
};

/// The relays, which all have in common.
pub(crate) const RELAYS: &str = r#"{ "Regions": { "900": { "RegionID": 900, "RegionCode": "r", "RegionName": "R",
    "Nodes": [{ "Name": "900a", "RegionID": 900, "HostName": "relay.test" }] } } }"#;
/// The settings of each.
pub(crate) const SETTINGS: &str = "listen = \"127.0.0.1:0\"\nserver_url = \"http://coordinator.test:8443\"\n\
    database_url_file = \"database-url\"\nderp_map_file = \"derp.json\"\nderp_map_only = true\n\
    [shared]\nkey_file = \"shared.key\"\n";

fn key() -> String {
    "5a".repeat(32)
}

async fn two(database: &Postgres) -> [Coordinator; 2] {
    [
        Coordinator::sharing(&database.url(), &key()).await,
        Coordinator::sharing(&database.url(), &key()).await,
    ]
}

async fn execute(url: &str, statement: &'static str) {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(url).await.unwrap();
    sqlx::query(statement).execute(&mut connection).await.unwrap();
}

fn signal(name: &str, processes: &[String]) {
    let sent = Command::new("kill").args(["-s", name]).args(processes).status();
    assert!(sent.unwrap().success(), "{name}");
}

/// Signals the server and every process that it has started.
fn signal_server(database: &Postgres, name: &str) {
    let url = database.url();
    let (_, folder) = url.split_once("host=").unwrap();
    let running = std::fs::read_to_string(Path::new(folder).join("data/postmaster.pid")).unwrap();
    let server = running.lines().next().unwrap().to_owned();
    let children = Command::new("ps").args(["-o", "pid=", "--ppid", &server]).output().unwrap();
    let children = String::from_utf8(children.stdout).unwrap();
    let mut all: Vec<_> = children.split_whitespace().map(str::to_owned).collect();
    all.push(server);
    signal(name, &all);
}

/// What a coordinator that must not start says.
async fn is_refused(root: &Root) -> String {
    Process::start(root).ends().await.join("\n")
}

#[tokio::test]
#[ignore = "needs: postgres"]
async fn devices_of_two_coordinators_are_one_network() {
    let database = Postgres::start();
    let [one, other] = two(&database).await;
    let key = one.key(json!({ "user": "alice", "reusable": true, "pre_approved": true })).await;
    one.ok(Method::PUT, "/policy", json!({ "policy": OPEN })).await;
    let (laptop, phone) = (Device::new("laptop"), Device::new("phone"));
    // The key is good at both, and so is the Noise key, which the device has from either.
    let mut of_laptop = laptop.join(&one, &key).await;
    let mut of_phone = phone.join(&other, &key).await;

    let mut told = of_laptop.stream().await;
    told.until(|map| map.peer("phone").is_some()).await;
    let mut stream = of_phone.stream().await;
    stream.until(|map| map.peer("laptop").is_some_and(|it| it.online == Some(true))).await;
    told.until(|map| map.peer("phone").is_some_and(|it| it.online == Some(true))).await;

    let endpoint = "192.0.2.7:41641".parse().unwrap();
    let update = of_phone.map_request();
    of_phone
        .update(control_protocol::map::MapRequest { endpoints: vec![endpoint], ..update })
        .await;
    told.until(|map| map.peer("phone").is_some_and(|it| it.endpoints.contains(&endpoint))).await;

    // Of two at the other coordinator one goes, and the other stays.
    let tablet = Device::new("tablet");
    let mut of_tablet = tablet.join(&other, &key).await;
    let is_online =
        |map: &ClientMap, name| map.peer(name).is_some_and(|it| it.online == Some(true));
    let at_tablet = of_tablet.stream().await;
    told.until(|map| is_online(map, "tablet")).await;
    drop((at_tablet, of_tablet));
    told.until(|map| {
        assert!(is_online(map, "phone"), "it went as well");
        !is_online(map, "tablet")
    })
    .await;

    other.ok(Method::PUT, "/policy", json!({ "policy": "{ \"acls\": [] }" })).await;
    told.until(|map| map.peer("phone").is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: root, postgres"]
async fn a_device_of_a_killed_coordinator_stays_connected_if_it_goes_to_the_other() {
    let database = Postgres::start();
    let roots = [(); 2].map(|()| Root::sharing(&database.url(), &key()));
    let mut processes = [Process::start(&roots[0]), Process::start(&roots[1])];
    let addresses = [processes[0].serves().await, processes[1].serves().await];
    let ask = async |root: &Root, method, path, body| {
        let (status, answer) = ask_admin(root.path(), method, path, body).await.unwrap();
        assert!(status.is_success(), "{path}: {answer}");
        answer
    };
    ask(&roots[0], Method::POST, "/users", json!({ "name": "alice" })).await;
    ask(&roots[0], Method::PUT, "/policy", json!({ "policy": OPEN })).await;
    let wanted = json!({ "user": "alice", "reusable": true, "pre_approved": true });
    let key = ask(&roots[0], Method::POST, "/keys", wanted).await;
    let key = key["key"].as_str().unwrap().to_owned();
    let (laptop, phone, left) = (Device::new("laptop"), Device::new("phone"), Device::new("left"));
    let mut channels = Vec::new();
    for (device, address) in
        [(&laptop, addresses[0]), (&phone, addresses[1]), (&left, addresses[1])]
    {
        let mut channel = device.connect(address).await;
        assert!(channel.register(&device.with_key(&key)).await.machine_authorized);
        channels.push(channel);
    }
    let [of_laptop, of_phone, of_left] = &mut channels[..] else { unreachable!() };
    let (_phone, _left) = (of_phone.stream().await, of_left.stream().await);
    let mut told = of_laptop.stream().await;
    let is_online =
        |map: &ClientMap, name: &str| map.peer(name).is_some_and(|peer| peer.online == Some(true));
    told.until(|map| is_online(map, "phone") && is_online(map, "left")).await;

    let [first, second] = processes;
    second.kill().await;
    let mut again = phone.connect(addresses[0]).await;
    let _stream = again.stream().await;

    // The phone was never reported as gone; the other is, when its coordinator's lease has ended.
    told.until(|map| {
        assert!(is_online(map, "phone"), "it went");
        !is_online(map, "left")
    })
    .await;
    let devices = ask(&roots[0], Method::GET, "/devices", Value::Null).await;
    let left = devices.as_array().unwrap().iter().find(|it| it["name"] == "left").unwrap();
    assert!(left["last_seen"].is_string(), "{left}");
    let all = ask(&roots[0], Method::GET, "/coordinators", Value::Null).await;
    let serving = all.as_array().unwrap().iter().filter(|it| it["serving"] == true).count();
    assert_eq!(serving, 1, "{all}");
    first.kill().await;
}

#[tokio::test]
#[ignore = "needs: postgres"]
async fn who_does_not_fit_is_refused_and_told_why() {
    let database = Postgres::start();
    let [one, _other] = two(&database).await;
    let url = database.url();

    let other_key = Root::sharing(&url, &"a5".repeat(32));
    assert!(is_refused(&other_key).await.contains("is not the file that sealed it"));
    let no_key = Root::sharing(&url, "5a5a");
    assert!(is_refused(&no_key).await.contains("64 hexadecimal digits"));
    let relays = Root::sharing(&url, &key());
    std::fs::write(relays.path().join("derp.json"), RELAYS.replace("relay.test", "else.test"))
        .unwrap();
    assert!(is_refused(&relays).await.contains("of other relays (process "));
    let alone = store::lock(&Database::Postgres(url.clone())).await.unwrap_err();
    assert!(matches!(alone, LockError::Held(_)), "{alone:?}");

    // Nothing was changed by any of them.
    assert_eq!(
        one.ok(Method::GET, "/coordinators", Value::Null).await.as_array().unwrap().len(),
        2
    );
}

#[tokio::test]
#[ignore = "needs: postgres"]
async fn an_older_coordinator_keeps_the_database_from_being_migrated() {
    let database = Postgres::start();
    let place = Database::Postgres(database.url());
    let older = ::store::Schema {
        table: "network",
        lock: 1_835_102_837,
        migrations: &MIGRATIONS[..MIGRATIONS.len() - 1],
    };
    let mut hold = DatabaseLock::join(&place, &older).await.unwrap();
    ::store::Opened::open(&place, &older).await.unwrap();
    hold.let_others_in().await.unwrap();

    let mut newer = store::join(&place).await.unwrap();
    let refused =
        store::Store::open_shared(&place, "maru.home.arpa", &mut newer).await.unwrap_err();
    let StoreError::Database(DatabaseError::Older(name)) = &refused else { panic!("{refused:?}") };
    assert!(name.contains(&std::process::id().to_string()), "{name}");

    // The newer one is faster once the server was restarted: the older one must not come back.
    drop(newer);
    database.restart();
    let mut newer = store::join(&place).await.unwrap();
    store::Store::open_shared(&place, "maru.home.arpa", &mut newer).await.unwrap();
    let lost = timeout(PATIENCE, hold.lost()).await.unwrap();
    assert!(matches!(lost, LockError::Migrated), "{lost:?}");
}

#[tokio::test]
#[ignore = "needs: postgres"]
async fn a_database_that_went_back_is_neither_told_nor_changed() {
    let database = Postgres::start();
    let [one, _other] = two(&database).await;
    one.ok(Method::POST, "/users", json!({ "name": "alice" })).await;
    one.ok(Method::POST, "/users", json!({ "name": "bob" })).await;

    execute(&database.url(), "UPDATE network SET revision = revision - 1").await;
    execute(&database.url(), "DELETE FROM users WHERE name = 'bob'").await;

    let (status, _) = one.admin(Method::POST, "/users", json!({ "name": "carol" })).await;
    assert!(status.is_server_error(), "{status}");
    let users = one.ok(Method::GET, "/users", Value::Null).await;
    assert_eq!(users.as_array().unwrap().len(), 2, "{users}");
}

/// As after another server took over without the last change, and others went on from there.
#[tokio::test]
#[ignore = "needs: postgres"]
async fn another_change_with_the_number_of_one_that_was_told_is_taken_over() {
    let database = Postgres::start();
    let one = Coordinator::sharing(&database.url(), &key()).await;
    one.ok(Method::POST, "/users", json!({ "name": "alice" })).await;
    one.ok(Method::POST, "/users", json!({ "name": "bob" })).await;

    for lost in [
        "UPDATE network SET revision = revision - 1",
        "DELETE FROM changes WHERE revision > (SELECT revision FROM network)",
        "DELETE FROM users WHERE name = 'bob'",
    ] {
        execute(&database.url(), lost).await;
    }
    let (status, _) = one.admin(Method::POST, "/users", json!({ "name": "carol" })).await;
    assert!(status.is_server_error(), "{status}");
    let other = Coordinator::sharing(&database.url(), &key()).await;
    other.ok(Method::POST, "/users", json!({ "name": "dora" })).await;

    let names = async || {
        let users = one.ok(Method::GET, "/users", Value::Null).await;
        users.as_array().unwrap().iter().map(|it| it["name"].clone()).collect::<Vec<_>>()
    };
    eventually("it has what the other wrote", async || match names().await {
        names if names == ["alice", "dora"] => Ok(()),
        names => Err(names),
    })
    .await;
}

#[tokio::test]
#[ignore = "needs: postgres"]
async fn the_networks_noise_key_is_neither_replaced_nor_made_anew() {
    let database = Postgres::start();
    let with_key = |digits: &str| {
        let root = Root::sharing(&database.url(), &key());
        let state = root.path().join("var/lib/maru/coordinator");
        std::fs::create_dir_all(&state).unwrap();
        let text = format!("privkey:{}", digits.repeat(32));
        std::fs::write(state.join("noise.key"), &text).unwrap();
        (root, text.parse::<MachinePrivate>().unwrap())
    };
    let (root, own) = with_key("11");
    let mut process = Process::start(&root);
    let told = server_key(process.serves().await).await;
    assert_eq!(told, own.public(), "devices of a coordinator that was alone stay");

    let (other, _) = with_key("22");
    assert!(is_refused(&other).await.contains("is another key than the Noise key"));
    process.kill().await;

    let alone = Root::sharing(&database.url(), &key());
    let settings = SETTINGS.split("[shared]").next().unwrap();
    std::fs::write(alone.path().join("etc/maru/coordinator.toml"), settings).unwrap();
    assert!(is_refused(&alone).await.contains("is missing, and the network's Noise key is sealed"));
}

#[tokio::test]
#[ignore = "needs: postgres"]
async fn all_go_by_the_databases_clock() {
    let database = Postgres::start();
    let url = database.url();
    for ahead in [
        "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
         $$ SELECT pg_catalog.clock_timestamp() + make_interval(hours => 1) $$",
        "ALTER ROLE maru SET search_path = public, pg_catalog",
    ] {
        execute(&url, ahead).await;
    }
    let root = Root::sharing(&url, &key());
    let mut process = Process::start(&root);
    process.serves().await;

    let wanted = json!({ "name": "alice" });
    let (_, user) = ask_admin(root.path(), Method::POST, "/users", wanted).await.unwrap();

    let created = time::parse_rfc3339(user["created"].as_str().unwrap()).unwrap();
    let ahead = created - time::from_system(SystemTime::now());
    assert!((3_500_000..=3_700_000).contains(&ahead), "{ahead}");
    process.says("clock is ahead").await;
    process.kill().await;
}

/// As one whose cable to the database was pulled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: root, postgres"]
async fn a_coordinator_that_the_database_does_not_answer_ends() {
    let database = Postgres::start();
    let root = Root::sharing(&database.url(), &key());
    let mut process = Process::start(&root);
    process.serves().await;

    signal_server(&database, "STOP");
    let said = process.ends().await.join("\n");
    signal_server(&database, "CONT");

    assert!(said.contains("did not answer for 10 seconds"), "{said}");
    let mut again = Process::start(&root);
    again.serves().await;
    again.kill().await;
}

/// As a process that stood still, on a machine that slept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: root, postgres"]
async fn a_coordinator_that_stood_still_for_longer_than_its_lease_ends() {
    let database = Postgres::start();
    let roots = [(); 2].map(|()| Root::sharing(&database.url(), &key()));
    let mut processes = [Process::start(&roots[0]), Process::start(&roots[1])];
    for process in &mut processes {
        process.serves().await;
    }
    let [first, second] = processes;

    signal("STOP", &[first.number().to_string()]);
    eventually("its lease has ended", async || {
        let asked = ask_admin(roots[1].path(), Method::GET, "/coordinators", Value::Null).await;
        let all = asked.unwrap().1;
        all.as_array().unwrap().iter().any(|it| it["serving"] == false)
    })
    .await;
    // It measures from when it asked, which was before the database answered.
    tokio::time::sleep(Duration::from_secs(1)).await;
    signal("CONT", &[first.number().to_string()]);

    let said = first.ends().await.join("\n");
    assert!(said.contains("did not answer for 10 seconds"), "{said}");
    second.kill().await;
}
