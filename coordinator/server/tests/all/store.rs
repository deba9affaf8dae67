//! The database, each test on both engines.

use std::sync::Arc;

use control_protocol::{
    key::{MachinePublic, NodePublic},
    map::Hostinfo,
};
use coordinator::store::{
    Change, Database, DatabaseError, LogQuery, LogRetention, Store, StoreError, WaitingDevices,
};
use coordinator_api::Actor;
use coordinator_core::{
    key::{self, KeyHash, PreAuthKey},
    model::{NewNode, NewPending, Owner, Record, Registrant},
};
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use testkit::postgres::Postgres;

pub(crate) const NOW: i64 = 1_000_000;

/// Runs `$test` with two openings of one new database, as two processes would have them.
macro_rules! on_both_engines {
    ($($test:ident => $sqlite:ident, $postgres:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $sqlite() {
            let dir = tempfile::tempdir().unwrap();
            // A name with what means something in URLs.
            let database = Database::Sqlite(dir.path().join("db %41?#.sqlite"));
            $test(open(&database).await, open(&database).await).await;
            assert!(dir.path().join("db %41?#.sqlite").exists());
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        #[ignore = "needs: postgres"]
        async fn $postgres() {
            let server = Postgres::start();
            let database = Database::Postgres(server.url());
            let (one, two) = (open(&database).await, open(&database).await);
            $test(one.clone(), two.clone()).await;
            one.close().await;
            two.close().await;
        }
    )*};
}

on_both_engines! {
    nodes_are_read_as_written => nodes_on_sqlite, nodes_on_postgres;
    a_key_is_used_once => keys_on_sqlite, keys_on_postgres;
    a_dropped_change_never_happened => drop_on_sqlite, drop_on_postgres;
    a_write_over_a_newer_revision_is_refused => revisions_on_sqlite, revisions_on_postgres;
    pending_devices_are_kept_and_strangers_forgotten => pending_on_sqlite, pending_on_postgres;
    the_policy_is_replaced => policy_on_sqlite, policy_on_postgres;
    changes_that_wait_keep_nobody_from_reading => reading_on_sqlite, reading_on_postgres;
    numbers_and_addresses_are_not_given_twice => numbers_on_sqlite, numbers_on_postgres;
    the_log_is_kept_as_far_as_wanted => log_on_sqlite, log_on_postgres;
}

pub(crate) async fn open(database: &Database) -> Store {
    Store::open(database, "maru.home.arpa").await.unwrap()
}

pub(crate) fn new_node(byte: u8, owner: Owner) -> NewNode {
    NewNode {
        id: None,
        owner,
        device: Registrant {
            machine: MachinePublic::from_bytes([byte; 32]),
            node_key: NodePublic::from_bytes([byte; 32]),
            hostinfo: Hostinfo { hostname: "laptop".to_owned(), ..Hostinfo::default() },
            version: 130,
            ..Registrant::default()
        },
        expires: Some(NOW + 5),
        name: None,
        wireguard: None,
    }
}

fn tagged() -> Owner {
    Owner::tags(vec!["tag:home".to_owned()])
}

pub(crate) async fn new_key(change: &mut Change, reusable: bool, expires: i64) -> (u64, KeyHash) {
    let hash = key::hash(key::format(&rand()).reveal()).unwrap();
    let key = PreAuthKey {
        id: 0,
        owner: tagged(),
        reusable,
        ephemeral: true,
        pre_approved: false,
        created: NOW,
        expires,
        uses: 0,
    };
    (change.insert_key(key, &hash).await.unwrap().id, hash)
}

fn rand() -> [u8; 24] {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

async fn nodes_are_read_as_written(store: Store, other: Store) {
    let mut change = store.change(Actor::System).await.unwrap();
    let alice = change.insert_user("alice", NOW).await.unwrap();
    let hers = change.insert_node(new_node(1, Owner::User(alice.id)), NOW).await.unwrap();
    let home = change.insert_node(new_node(2, tagged()), NOW).await.unwrap();
    change.set_record(&Record { name: "chat".to_owned(), node: home.id }).await.unwrap();
    change.commit().await.unwrap();

    let loaded = other.load().await.unwrap();
    assert_eq!(*loaded.nodes, [&hers, &home].map(|node| Arc::new(node.clone())));
    assert_eq!((loaded.users.len(), loaded.records.len(), home.name.as_str()), (1, 1, "laptop-1"));
    assert_eq!(other.node(&hers.keys.node).await.unwrap(), Some(hers.clone()));

    let mut change = other.change(Actor::System).await.unwrap();
    assert!(!change.delete_user(&alice).await.unwrap(), "she has a node");
    change.delete_node(home.id).await.unwrap();
    change.commit().await.unwrap();
    store.set_last_seen(&[(hers.id, NOW + 9)].into()).await.unwrap();
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.nodes.len(), loaded.records.len()), (1, 0));
    assert_eq!(loaded.nodes[0].times.last_seen, Some(NOW + 9));
}

async fn a_key_is_used_once(store: Store, other: Store) {
    let mut change = store.change(Actor::System).await.unwrap();
    let (once, hash) = new_key(&mut change, false, NOW + 1).await;
    let (often, _) = new_key(&mut change, true, NOW + 1).await;
    change.commit().await.unwrap();

    let mut races = Vec::new();
    for number in 0..20 {
        let store = if number % 2 == 0 { store.clone() } else { other.clone() };
        races.push(tokio::spawn(async move {
            let mut change = store.change(Actor::System).await.unwrap();
            let (a, b) = (
                change.consume_key(once, NOW).await.unwrap(),
                change.consume_key(often, NOW).await.unwrap(),
            );
            change.commit().await.unwrap();
            (a, b)
        }));
    }
    let mut used = (0, 0);
    for race in races {
        let (a, b) = race.await.unwrap();
        used = (used.0 + u32::from(a), used.1 + u32::from(b));
    }
    assert_eq!(used, (1, 20));

    let mut change = store.change(Actor::System).await.unwrap();
    assert!(!change.consume_key(often, NOW + 1).await.unwrap(), "it has expired");
    let known = change.key(&hash).await.unwrap().unwrap();
    assert_eq!((known.id, known.uses, known.owner), (once, 1, tagged()));
}

async fn a_dropped_change_never_happened(store: Store, other: Store) {
    let mut change = store.change(Actor::System).await.unwrap();
    change.insert_user("alice", NOW).await.unwrap();
    drop(change);

    assert!(other.load().await.unwrap().users.is_empty());
    let mut change = other.change(Actor::System).await.unwrap();
    change.insert_user("alice", NOW).await.unwrap();
    change.commit().await.unwrap();
}

async fn a_write_over_a_newer_revision_is_refused(store: Store, other: Store) {
    let mut change = store.change(Actor::System).await.unwrap();
    let node = change.insert_node(new_node(1, tagged()), NOW).await.unwrap();
    change.commit().await.unwrap();

    let mut change = other.change(Actor::System).await.unwrap();
    change.update_node(&node).await.unwrap();
    change.commit().await.unwrap();
    let mut change = store.change(Actor::System).await.unwrap();

    assert!(matches!(
        change.update_node(&node).await,
        Err(StoreError::Database(DatabaseError::Conflict))
    ));
}

async fn pending_devices_are_kept_and_strangers_forgotten(store: Store, other: Store) {
    let mut change = store.change(Actor::System).await.unwrap();
    let (key, _) = new_key(&mut change, false, NOW + 1).await;
    let new = |byte: u8, key| NewPending {
        device: Registrant {
            machine: MachinePublic::from_bytes([byte; 32]),
            node_key: NodePublic::from_bytes([byte; 32]),
            ..Registrant::default()
        },
        source: String::new(),
        key,
        replaces: None,
    };
    let stranger = change.insert_pending(new(1, None), NOW).await.unwrap();
    let invited = change.insert_pending(new(2, Some(key)), NOW).await.unwrap();
    let again = change.insert_pending(new(2, Some(key)), NOW + 1).await.unwrap();
    assert_eq!(
        (again.id, &again.ticket),
        (invited.id, &invited.ticket),
        "it goes on under number and ticket"
    );
    change.commit().await.unwrap();

    let mut change = other.change(Actor::System).await.unwrap();
    assert_eq!(change.pending(invited.id).await.unwrap().unwrap().key, Some((key, tagged())));
    let both = WaitingDevices { keyless: [stranger.id].into(), of_machine: 1, by_key: 1 };
    assert_eq!(change.waiting(&stranger.device.machine, NOW).await.unwrap(), both);
    let others = WaitingDevices { of_machine: 0, ..both };
    assert_eq!(change.waiting(&invited.device.machine, NOW).await.unwrap(), others);
    let later = WaitingDevices { by_key: 1, ..WaitingDevices::default() };
    assert_eq!(change.waiting(&stranger.device.machine, NOW + 1).await.unwrap(), later);
    assert_eq!(change.pending(stranger.id).await.unwrap(), None);
    assert!(change.pending(invited.id).await.unwrap().is_some());
}

async fn changes_that_wait_keep_nobody_from_reading(store: Store, _: Store) {
    let held = store.change(Actor::System).await.unwrap();
    let mut waiting: FuturesUnordered<_> = (0..20)
        .map(|_| async { store.change(Actor::System).await.unwrap().commit().await.unwrap() })
        .collect();
    assert!(waiting.next().now_or_never().is_none(), "each asks, and none is let in");

    store.load().await.unwrap();

    held.commit().await.unwrap();
    assert_eq!(waiting.count().await, 20, "they were let in one after the other");
}

async fn the_policy_is_replaced(store: Store, other: Store) {
    let mut change = store.change(Actor::System).await.unwrap();
    change.set_policy("{}").await.unwrap();
    change.commit().await.unwrap();

    let loaded = other.load().await.unwrap();
    assert_eq!((&*loaded.policy, loaded.policy_revision), ("{}", 2));
}

async fn numbers_and_addresses_are_not_given_twice(store: Store, _: Store) {
    let mut change = store.change(Actor::System).await.unwrap();
    let first = change.insert_node(new_node(1, tagged()), NOW).await.unwrap();
    change.delete_node(first.id).await.unwrap();
    let second = change.insert_node(new_node(1, tagged()), NOW).await.unwrap();
    change.commit().await.unwrap();

    assert_eq!(first.addresses.v4.to_string(), "100.64.0.1");
    assert_eq!(second.addresses.v4.to_string(), "100.64.0.2");
    assert_ne!((first.id, &first.stable_id), (second.id, &second.stable_id));
}

async fn the_log_is_kept_as_far_as_wanted(store: Store, other: Store) {
    let all = LogQuery { limit: 100, ..LogQuery::default() };
    let note = async |actor: Actor, target: u64| {
        let mut change = store.change(actor).await.unwrap();
        change.note("user.create", target, "a\nb");
        change.commit().await.unwrap();
    };
    let mut dropped = store.change(Actor::System).await.unwrap();
    dropped.note("user.create", 0, "it never happened");
    drop(dropped);
    for target in 0..3 {
        note(Actor::Uid { uid: 0 }, target).await;
    }
    for target in 3..9 {
        note(Actor::Device { id: Some(7) }, target).await;
    }
    let targets = async |query: &LogQuery| {
        let entries = other.log(query).await.unwrap();
        entries.into_iter().map(|entry| entry.target.parse().unwrap()).collect::<Vec<u64>>()
    };
    assert_eq!(targets(&all).await, (0..9).collect::<Vec<_>>());
    let of_root = LogQuery { actor: Some("root".to_owned()), after: 1, ..all.clone() };
    assert_eq!(targets(&of_root).await, [1, 2]);
    assert_eq!(other.log(&all).await.unwrap()[0].details, "a b", "on one line");

    store.prune_log(LogRetention { since: 0, rows: 4 }).await.unwrap();
    assert_eq!(targets(&all).await, [0, 1, 2, 5, 6, 7, 8], "devices push out devices alone");
    store.prune_log(LogRetention { since: i64::MAX, rows: 4 }).await.unwrap();
    assert!(targets(&all).await.is_empty());
    note(Actor::System, 9).await;
    assert_eq!(other.log(&all).await.unwrap()[0].id, 10, "no number is given twice");
}

#[tokio::test]
async fn a_database_of_another_network_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(dir.path().join("db.sqlite"));
    open(&database).await.close().await;

    let error = Store::open(&database, "other.internal").await.unwrap_err();

    assert!(matches!(error, StoreError::OtherNetwork(name) if name == "maru.home.arpa"));
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(dir.path().join("db.sqlite"));
    open(&database).await.close().await;
    let url = format!("sqlite://{}", dir.path().join("db.sqlite").display());
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'newer', 1, X'00', 0)";
    sqlx::query(newer).execute(&pool).await.unwrap();
    pool.close().await;

    assert!(matches!(
        Store::open(&database, "maru.home.arpa").await,
        Err(StoreError::Database(DatabaseError::Newer))
    ));
}
