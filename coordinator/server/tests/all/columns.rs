//! Every column that the database's own tables have is written and read, on both engines.
//!
//! They fail if a column is added that an insert, an update or a reading forgets, or that these tests do not change.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use control_protocol::{
    key::{DiscoPublic, MachinePublic, NodePublic},
    map::Hostinfo,
};
use coordinator::store::{Database, Store};
use coordinator_api::{Access, Actor};
use coordinator_core::{
    api_key::{self, ApiKey},
    key::{self, PreAuthKey},
    model::{NewNode, NewPending, Node, Owner, Pending, Registrant},
    wireguard::Tunnel,
};
use sqlx::{
    AnyConnection, AssertSqlSafe, Column as _, Connection as _, Row as _, ValueRef as _,
    any::AnyRow,
};
use testkit::postgres::Postgres;

const NOW: i64 = 1_000_000;

/// Columns of a node that stay as they were inserted, or that have queries of their own.
const NOT_UPDATED: [&str; 7] =
    ["id", "revision", "stable_id", "machine_key", "ipv4", "created", "last_seen"];

/// A change of a node, and the column in which it must be seen.
type NodeChange = (&'static str, fn(&mut Node));

/// At least one change for each column that an update writes.
const CHANGES: [NodeChange; 17] = [
    ("name", |node| node.name = "other".to_owned()),
    ("tags", |node| node.owner = tags("tag:other")),
    ("user_id", |node| node.owner = Owner::User(1)),
    ("node_key", |node| node.keys.node = NodePublic::from_bytes([9; 32])),
    ("disco_key", |node| node.keys.disco = DiscoPublic::from_bytes([9; 32])),
    ("expires", |node| node.times.expires = Some(NOW + 9)),
    ("expires", |node| node.times.expires = None),
    ("ephemeral", |node| node.times.ephemeral = !node.times.ephemeral),
    ("claims", |node| node.claims.endpoints = vec!["192.0.2.1:41641".parse().unwrap()]),
    ("claims", |node| node.claims.home_derp = 9),
    ("claims", |node| node.claims.version = 99),
    ("claims", |node| node.claims.hostinfo.hostname = "other".to_owned()),
    ("capabilities", |node| {
        node.capabilities.insert("maru.example/cap/other".to_owned(), Vec::new());
    }),
    ("routes", |node| node.routes.approved = vec!["10.0.0.0/8".parse().unwrap()]),
    ("routes", |node| node.routes.rejected = vec!["::/0".parse().unwrap()]),
    ("wireguard", |node| {
        node.wireguard = Some(Tunnel {
            router: 1,
            router_key: NodePublic::from_bytes([8; 32]),
            endpoint: Some("home.example.org:51820".to_owned()),
            full_tunnel: true,
            keepalive: true,
        });
    }),
    ("wireguard", |node| node.wireguard.as_mut().unwrap().endpoint = None),
];

/// One row as the database has it, by column.
type Cells = BTreeMap<String, String>;

/// A new database, seen through the store and as it is.
struct Tables {
    store: Store,
    url: String,
}

macro_rules! on_both_engines {
    ($($test:ident => $sqlite:ident, $postgres:ident;)*) => {$(
        #[tokio::test]
        async fn $sqlite() {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("db.sqlite");
            let url = format!("sqlite://{}", file.display());
            $test(Tables::open(&Database::Sqlite(file), url).await).await;
        }

        #[tokio::test]
        #[ignore = "needs: postgres"]
        async fn $postgres() {
            let server = Postgres::start();
            let tables = Tables::open(&Database::Postgres(server.url()), server.url()).await;
            let store = tables.store.clone();
            $test(tables).await;
            store.close().await;
        }
    )*};
}

on_both_engines! {
    a_node_is_kept_in_every_column => nodes_on_sqlite, nodes_on_postgres;
    each_column_of_a_node_is_updated => updates_on_sqlite, updates_on_postgres;
    a_key_is_kept_in_every_column => keys_on_sqlite, keys_on_postgres;
    an_api_key_is_kept_in_every_column => api_keys_on_sqlite, api_keys_on_postgres;
    a_device_that_waits_is_kept_in_every_column => pending_on_sqlite, pending_on_postgres;
    an_entry_of_the_log_is_kept_in_every_column => log_on_sqlite, log_on_postgres;
}

impl Tables {
    async fn open(database: &Database, url: String) -> Self {
        let store = Store::open(database, "maru.home.arpa").await.unwrap();
        let mut change = store.change(Actor::System).await.unwrap();
        change.insert_user("alice", NOW).await.unwrap();
        change.commit().await.unwrap();
        Self { store, url }
    }

    /// The rows of a table, with every column that it has.
    async fn rows(&self, table: &str) -> Vec<Cells> {
        let mut connection = AnyConnection::connect(&self.url).await.unwrap();
        let query = AssertSqlSafe(format!("SELECT * FROM {table} ORDER BY id"));
        let rows = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
        rows.iter().map(cells).collect()
    }

    /// Checks that the two rows of a table have nothing in common: who leaves a column out writes the same in both.
    async fn assert_differ_in_every_column(&self, table: &str) {
        let rows = self.rows(table).await;
        let [one, other] = rows.as_slice() else { panic!("{table} has {} rows", rows.len()) };
        assert_eq!(differences(one, other), columns(one), "{table}");
    }

    async fn insert_node(&self, new: NewNode, now: i64) -> Node {
        let mut change = self.store.change(Actor::System).await.unwrap();
        let node = change.insert_node(new, now).await.unwrap();
        change.commit().await.unwrap();
        node
    }

    async fn update_node(&self, node: &Node) {
        let mut change = self.store.change(Actor::System).await.unwrap();
        change.update_node(node).await.unwrap();
        change.commit().await.unwrap();
    }

    async fn nodes(&self) -> Vec<Node> {
        let nodes = self.store.load().await.unwrap().nodes;
        nodes.iter().map(|node| Node::clone(node)).collect()
    }
}

fn cells(row: &AnyRow) -> Cells {
    let cell = |index: usize| {
        if row.try_get_raw(index).unwrap().is_null() {
            return "NULL".to_owned();
        }
        let number = row.try_get::<i64, _>(index).map(|number| number.to_string());
        let text = number.or_else(|_| row.try_get::<String, _>(index));
        text.unwrap_or_else(|_| format!("{:?}", row.get::<Vec<u8>, _>(index)))
    };
    row.columns().iter().map(|column| (column.name().to_owned(), cell(column.ordinal()))).collect()
}

fn columns(row: &Cells) -> BTreeSet<&str> {
    row.keys().map(String::as_str).collect()
}

fn differences<'a>(one: &'a Cells, other: &Cells) -> BTreeSet<&'a str> {
    let differ = one.iter().filter(|(column, value)| other.get(*column) != Some(value));
    differ.map(|(column, _)| column.as_str()).collect()
}

fn tags(tag: &str) -> Owner {
    Owner::tags(vec![tag.to_owned()])
}

fn hostinfo(hostname: &str) -> Hostinfo {
    Hostinfo { hostname: hostname.to_owned(), ..Hostinfo::default() }
}

fn new_node(byte: u8, owner: Owner) -> NewNode {
    NewNode {
        id: None,
        owner,
        device: Registrant {
            machine: MachinePublic::from_bytes([byte; 32]),
            node_key: NodePublic::from_bytes([byte; 32]),
            hostinfo: hostinfo("laptop"),
            version: 130,
            ephemeral: byte == 1,
        },
        expires: Some(NOW + i64::from(byte)),
        name: None,
        wireguard: None,
    }
}

async fn a_node_is_kept_in_every_column(tables: Tables) {
    let mut one = tables.insert_node(new_node(1, Owner::User(1)), NOW).await;
    let other = tables.insert_node(new_node(2, tags("tag:home")), NOW + 1).await;
    assert_eq!(tables.nodes().await, [one.clone(), other.clone()]);

    for (_, change) in CHANGES.iter().filter(|(column, _)| {
        ["disco_key", "claims", "capabilities", "routes", "wireguard"].contains(column)
    }) {
        change(&mut one);
    }
    tables.update_node(&one).await;
    one.revision += 1;
    tables.store.set_last_seen(&[(one.id, NOW + 2)].into()).await.unwrap();
    one.times.last_seen = Some(NOW + 2);

    assert_eq!(tables.nodes().await, [one, other]);
    tables.assert_differ_in_every_column("nodes").await;
}

async fn each_column_of_a_node_is_updated(tables: Tables) {
    let mut node = tables.insert_node(new_node(2, tags("tag:home")), NOW).await;
    let mut seen: BTreeSet<String> = NOT_UPDATED.map(str::to_owned).into();
    for (column, change) in CHANGES {
        let before = tables.rows("nodes").await;
        change(&mut node);

        tables.update_node(&node).await;

        node.revision += 1;
        assert_eq!(tables.nodes().await, [node.clone()], "{column}");
        let after = tables.rows("nodes").await;
        let changed = differences(&after[0], &before[0]);
        assert!(changed.contains(column) && changed.contains("revision"), "{column}: {changed:?}");
        seen.insert(column.to_owned());
    }

    let rows = tables.rows("nodes").await;
    let all: BTreeSet<String> = rows[0].keys().cloned().collect();
    assert_eq!(seen, all, "each column of nodes is in CHANGES or in NOT_UPDATED");
}

async fn a_key_is_kept_in_every_column(tables: Tables) {
    let hashes = [[1; 24], [2; 24]].map(|bytes| key::hash(key::format(&bytes).reveal()).unwrap());
    let mut change = tables.store.change(Actor::System).await.unwrap();
    let mut keys = Vec::new();
    for (hash, owner, flag) in
        [(&hashes[0], Owner::User(1), true), (&hashes[1], tags("tag:home"), false)]
    {
        let at = NOW + i64::from(flag);
        let key = PreAuthKey {
            id: 0,
            owner,
            reusable: flag,
            ephemeral: flag,
            pre_approved: flag,
            created: at,
            expires: at + 5,
            uses: 0,
        };
        keys.push(change.insert_key(key, hash).await.unwrap());
    }
    assert!(change.consume_key(keys[0].id, NOW).await.unwrap());
    keys[0].uses = 1;
    change.expire_key(keys[0].id, NOW + 3).await.unwrap();
    keys[0].expires = NOW + 3;
    change.commit().await.unwrap();

    assert_eq!(tables.store.keys().await.unwrap(), keys);
    let mut change = tables.store.change(Actor::System).await.unwrap();
    assert_eq!(change.key(&hashes[1]).await.unwrap().as_ref(), Some(&keys[1]));
    drop(change);
    tables.assert_differ_in_every_column("preauth_keys").await;
}

async fn an_api_key_is_kept_in_every_column(tables: Tables) {
    let mut change = tables.store.change(Actor::System).await.unwrap();
    let mut keys = HashMap::new();
    for (byte, access) in [(1, Access::Read), (2, Access::Admin)] {
        let at = NOW + i64::from(byte);
        let name = format!("key-{byte}");
        let key = ApiKey { id: 0, name, access, created: at, expires: at + 5 };
        let hash = api_key::hash(api_key::format(&[byte; 32]).reveal());
        keys.insert(hash, change.insert_api_key(key, &hash).await.unwrap());
    }
    change.commit().await.unwrap();

    assert_eq!(*tables.store.load().await.unwrap().api_keys, keys);
    tables.assert_differ_in_every_column("api_keys").await;
}

async fn a_device_that_waits_is_kept_in_every_column(tables: Tables) {
    let mut change = tables.store.change(Actor::System).await.unwrap();
    let hash = key::hash(key::format(&[1; 24]).reveal()).unwrap();
    let key = PreAuthKey {
        id: 0,
        owner: tags("tag:home"),
        reusable: true,
        ephemeral: false,
        pre_approved: false,
        created: NOW,
        expires: NOW + 5,
        uses: 0,
    };
    let key = change.insert_key(key, &hash).await.unwrap();
    let mut waiting = Vec::new();
    for (byte, key, flag) in [(1, Some(&key), true), (2, None, false)] {
        let new = NewPending {
            device: Registrant {
                machine: MachinePublic::from_bytes([byte; 32]),
                node_key: NodePublic::from_bytes([byte; 32]),
                hostinfo: hostinfo(if flag { "laptop" } else { "phone" }),
                version: u32::from(byte),
                ephemeral: flag,
            },
            source: format!("192.0.2.{byte}"),
            key: key.map(|key| key.id),
            replaces: flag.then_some(7),
        };
        let pending = change.insert_pending(new, NOW + i64::from(byte)).await.unwrap();
        waiting.push(Pending { key: key.map(|key| (key.id, key.owner.clone())), ..pending });
    }
    change.set_asked(waiting[1].id, NOW + 9).await.unwrap();
    waiting[1].asked = NOW + 9;
    change.commit().await.unwrap();

    assert_eq!(*tables.store.load().await.unwrap().pending, waiting);
    tables.assert_differ_in_every_column("pending").await;
}

async fn an_entry_of_the_log_is_kept_in_every_column(tables: Tables) {
    for (actor, action, number) in
        [(Actor::System, "a", 1), (Actor::Device { id: Some(1) }, "b", 2)]
    {
        let mut change = tables.store.change(actor).await.unwrap();
        change.note(action, number, &format!("details {number}"));
        // No two are of one moment.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        change.commit().await.unwrap();
    }

    tables.assert_differ_in_every_column("audit").await;
}
