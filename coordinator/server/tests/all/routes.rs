//! Subnets, exit nodes, and names that are no node's: what the admin decides and nodes are told.

use control_protocol::{
    key::{MachinePublic, NodePublic},
    map::{Hostinfo, MapRequest},
};
use coordinator::store::{Database, Store};
use coordinator_api::{
    Actor,
    settings::{Dns, DnsRecord, Settings},
};
use coordinator_core::{
    model::{NewNode, Node, Owner, Registrant},
    route::Decisions,
};
use hyper::Method;
use ipnet::IpNet;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _};

use crate::{
    device::{Channel, Device},
    harness::{Coordinator, configured, settings},
};

const LAN: &str = "192.168.1.0/24";

/// A policy under which everyone reaches everything, and routers need no admin for a part of 10.0.0.0/8.
const OPEN: &str = r#"{
  "tagOwners": { "tag:router": [] },
  "autoApprovers": { "routes": { "10.0.0.0/8": ["tag:router"] } },
  "acls": [{ "action": "accept", "src": ["*"], "dst": ["*:*"] }],
}"#;

async fn under_policy() -> Coordinator {
    let coordinator = Coordinator::start().await;
    coordinator.ok(Method::PUT, "/policy", json!({ "policy": OPEN })).await;
    coordinator
}

async fn router(coordinator: &Coordinator, name: &str, routes: &[&str]) -> Channel {
    let key = coordinator.key(json!({ "tags": ["tag:router"], "pre_approved": true })).await;
    let mut channel = Device::new(name).join(coordinator, &key).await;
    offer(&mut channel, name, routes).await;
    channel
}

async fn offer(channel: &mut Channel, name: &str, routes: &[&str]) {
    let hostinfo = Hostinfo {
        hostname: name.to_owned(),
        routable_ips: routes.iter().map(|route| route.parse().unwrap()).collect(),
        ..Hostinfo::default()
    };
    let update = MapRequest { hostinfo: Some(hostinfo), ..channel.map_request() };
    assert_eq!(channel.update(update).await.0, 200);
}

async fn laptop(coordinator: &Coordinator) -> Channel {
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    Device::new("laptop").join(coordinator, &key).await
}

async fn decide(coordinator: &Coordinator, device: &str, what: &str, routes: Value) -> Value {
    let path = format!("/devices/{device}/routes/{what}");
    coordinator.ok(Method::POST, &path, json!({ "routes": routes })).await
}

/// The routes of all devices, each in a few words.
async fn listed(coordinator: &Coordinator) -> Vec<String> {
    let routes = coordinator.ok(Method::GET, "/routes", Value::Null).await;
    let word = |route: &Value, key: &str| route[key].as_str().unwrap().to_owned();
    let shown = |route: &Value| {
        let in_use = if route["in_use"] == true { " in use" } else { "" };
        format!("{} {} {}{in_use}", word(route, "name"), word(route, "route"), word(route, "state"))
    };
    routes.as_array().unwrap().iter().map(shown).collect()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_route_waits_for_the_admin_or_the_policy_and_peers_are_told() {
    let mut coordinator = under_policy().await;
    let mut stream = laptop(&coordinator).await.stream().await;
    let mut router = router(&coordinator, "router", &[LAN, "10.1.0.0/16", "100.64.0.0/16"]).await;
    let auto = stream.until(|held| {
        held.peer("router").is_some_and(|peer| peer.primary_routes == [net("10.1.0.0/16")])
    });
    auto.await;
    let expected = [
        "router 10.1.0.0/16 approved_by_policy in use",
        "router 100.64.0.0/16 unusable",
        "router 192.168.1.0/24 waiting",
    ];
    assert_eq!(listed(&coordinator).await, expected);

    decide(&coordinator, "router", "approve", json!([LAN])).await;
    let held = stream
        .until(|held| held.peer("router").is_some_and(|peer| peer.primary_routes.len() == 2))
        .await;
    let allowed = held.peer("router").unwrap().allowed_ips.clone().unwrap();
    assert_eq!((allowed.len(), &allowed[2..]), (4, &[net("10.1.0.0/16"), net(LAN)][..]));

    decide(&coordinator, "router", "reject", json!(["10.1.0.0/16"])).await;
    stream
        .until(|held| held.peer("router").is_some_and(|peer| peer.primary_routes == [net(LAN)]))
        .await;
    offer(&mut router, "router", &[]).await;
    stream
        .until(|held| held.peer("router").is_some_and(|peer| peer.primary_routes.is_empty()))
        .await;
    drop(router);
    coordinator.restart().await;
    let expected = ["router 192.168.1.0/24 approved", "router 10.1.0.0/16 rejected"];
    assert_eq!(listed(&coordinator).await, expected, "decisions outlive an offer and a restart");
}

#[tokio::test]
async fn a_route_that_is_not_offered_is_refused_and_nothing_is_decided() {
    let coordinator = under_policy().await;
    let _router = router(&coordinator, "router", &[LAN]).await;

    for (routes, said) in [
        (json!([LAN, "192.168.2.0/24"]), "router does not offer 192.168.2.0/24; it offers"),
        (json!(["exit"]), "tailscale set --advertise-exit-node"),
        (json!(["192.168.1.7/24"]), "host bits set: use 192.168.1.0/24"),
        (json!(["lan"]), "is not a prefix"),
        (json!([]), "name 1 to 256 routes"),
    ] {
        let body = json!({ "routes": routes });
        let (status, problem) =
            coordinator.admin(Method::POST, "/devices/router/routes/approve", body).await;
        assert!(status.is_client_error(), "{problem}");
        assert!(problem["title"].as_str().unwrap().contains(said), "{problem}");
    }

    assert_eq!(listed(&coordinator).await, ["router 192.168.1.0/24 waiting"]);
}

#[tokio::test]
async fn the_second_router_takes_over_and_keeps_the_subnet() {
    let coordinator = under_policy().await;
    let mut stream = laptop(&coordinator).await.stream().await;
    let mut first = router(&coordinator, "first", &[LAN]).await;
    let mut second = router(&coordinator, "second", &[LAN]).await;
    let (held_open, _second) = (first.stream().await, second.stream().await);
    for name in ["first", "second"] {
        decide(&coordinator, name, "approve", json!([LAN])).await;
    }
    let leads = |name: &'static str| {
        move |held: &crate::device::ClientMap| {
            let routes = |name| held.peer(name).map(|peer| peer.primary_routes.len());
            let other = if name == "first" { "second" } else { "first" };
            routes(name) == Some(1) && routes(other) == Some(0)
        }
    };
    stream.until(leads("first")).await;

    drop((held_open, first));
    stream.until(leads("second")).await;

    let expected = ["first 192.168.1.0/24 approved", "second 192.168.1.0/24 approved in use"];
    assert_eq!(listed(&coordinator).await, expected);
}

#[tokio::test]
async fn an_exit_node_is_approved_by_one_word() {
    let coordinator = under_policy().await;
    let mut stream = laptop(&coordinator).await.stream().await;
    let _exit = router(&coordinator, "exit", &["0.0.0.0/0", "::/0"]).await;

    decide(&coordinator, "exit", "approve", json!(["exit"])).await;

    let is_exit = |allowed: &[IpNet]| allowed[2..] == [net("0.0.0.0/0"), net("::/0")];
    stream
        .until(|held| {
            let peer = held.peer("exit");
            peer.is_some_and(|peer| {
                peer.allowed_ips.as_deref().is_some_and(is_exit) && peer.primary_routes.is_empty()
            })
        })
        .await;
    decide(&coordinator, "exit", "reject", json!(["0.0.0.0/0"])).await;
    assert_eq!(listed(&coordinator).await, ["exit 0.0.0.0/0 rejected", "exit ::/0 rejected"]);
}

#[tokio::test]
async fn nodes_are_told_of_the_names_that_the_settings_have() {
    let text = |text: &str| text.to_owned();
    let dns = Dns {
        resolvers: vec![text("192.168.1.1")],
        split_domains: [(text("corp.example"), vec![text("10.0.0.53")])].into(),
        search_domains: vec![text("corp.example")],
        extra_records: vec![DnsRecord {
            name: text("nas.home.arpa"),
            address: "192.168.1.9".parse().unwrap(),
        }],
    };
    let config = configured(Settings { dns, ..settings() });
    let coordinator = Coordinator::with(config, None).await;

    let told = laptop(&coordinator).await.stream().await.next().await.unwrap().dns_config.unwrap();

    assert_eq!(told.resolvers[0].addr, "192.168.1.1");
    assert_eq!(told.routes["corp.example"][0].addr, "10.0.0.53");
    assert_eq!(told.domains, ["maru.home.arpa", "corp.example"]);
    assert_eq!(told.extra_records[0].name, "nas.home.arpa");
}

#[tokio::test]
async fn a_database_without_routes_is_brought_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("db.sqlite");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let mut nodes = with_one_node(&file).await;
    assert_eq!(nodes.pop().unwrap().routes, Decisions::default());

    // As earlier versions left it: without the column, and without the note that it was made.
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    for statement in
        ["ALTER TABLE nodes DROP COLUMN routes", "DELETE FROM _sqlx_migrations WHERE version = 3"]
    {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    let store = Store::open(&Database::Sqlite(file), "maru.home.arpa").await.unwrap();
    let nodes = store.load().await.unwrap().nodes;
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].routes, Decisions::default());
}

/// The nodes of a new database with one router.
async fn with_one_node(file: &std::path::Path) -> Vec<Node> {
    let store = Store::open(&Database::Sqlite(file.to_owned()), "maru.home.arpa").await.unwrap();
    let mut change = store.change(Actor::System).await.unwrap();
    let new = NewNode {
        id: None,
        owner: Owner::tags(vec!["tag:router".to_owned()]),
        device: Registrant {
            machine: MachinePublic::from_bytes([1; 32]),
            node_key: NodePublic::from_bytes([1; 32]),
            version: 130,
            ..Registrant::default()
        },
        expires: None,
        name: None,
        wireguard: None,
    };
    change.insert_node(new, 1).await.unwrap();
    change.commit().await.unwrap();
    let nodes = store.load().await.unwrap().nodes;
    store.close().await;
    nodes.iter().map(|node| Node::clone(node)).collect()
}
