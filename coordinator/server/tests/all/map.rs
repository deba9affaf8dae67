//! What nodes are told of each other.

use std::time::Duration;

use control_protocol::{
    map::{Hostinfo, MapRequest, NetInfo},
    register::RegisterRequest,
};
use coordinator::{
    config::Config,
    store::{Database, Store},
};
use coordinator_api::{Actor, settings::Settings};
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    device::{ClientMap, Device},
    harness::{Coordinator, config, configured, settings},
};

async fn reusable(coordinator: &Coordinator) -> String {
    coordinator.key(json!({ "user": "alice", "pre_approved": true, "reusable": true })).await
}

async fn id_of(coordinator: &Coordinator, name: &str) -> u64 {
    coordinator.ok(Method::GET, &format!("/devices/{name}"), Value::Null).await["id"]
        .as_u64()
        .unwrap()
}

#[tokio::test]
async fn the_first_response_is_whole_and_what_follows_only_what_changed() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let mut stream = first.stream().await;

    let whole = stream.next().await.unwrap();
    let node = whole.node.unwrap();
    assert_eq!(node.name, "first.maru.home.arpa.");
    assert_eq!((whole.peers.unwrap().len(), whole.domain.as_str()), (0, "maru.home.arpa"));
    let relay = &whole.derp_map.unwrap().regions[&1].nodes[0];
    assert!(relay.certificate_pin().unwrap().is_some() && !relay.insecure_for_tests);
    assert!(whole.dns_config.unwrap().proxied);
    assert_eq!(whole.user_profiles[0].login_name, "alice");

    let second = Device::new("second").join(&coordinator, &key).await;
    let held = stream.until(|held| held.peer("second").is_some()).await;
    assert!(held.last.derp_map.is_none(), "only the peer is new: {:?}", held.last);
    assert_eq!(held.last.peers_changed.len(), 1);
    // Stock apps of 1.100 make no route to a peer that comes without the node itself.
    assert_eq!(held.last.node.as_ref().unwrap().name, "first.maru.home.arpa.");
    drop(second);
}

#[tokio::test]
async fn a_map_comes_compressed_or_not_as_asked() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut channel = Device::new("first").join(&coordinator, &key).await;

    let plain = channel.try_stream("").await.unwrap().next().await.unwrap();
    let zstd = channel.try_stream("zstd").await.unwrap().next().await.unwrap();

    assert_eq!(plain.node.unwrap().id, zstd.node.unwrap().id);
}

#[tokio::test]
async fn pitfall_e_what_a_node_says_of_itself_reaches_its_peers_and_is_not_echoed() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let mut second = Device::new("second").join(&coordinator, &key).await;
    let mut stream = first.stream().await;
    stream.until(|held| held.peer("second").is_some()).await;

    let update = MapRequest {
        endpoints: vec!["192.0.2.1:41641".parse().unwrap()],
        hostinfo: Some(Hostinfo {
            hostname: "renamed".to_owned(),
            net_info: Some(NetInfo { preferred_derp: 1 }),
            ..Hostinfo::default()
        }),
        ..second.map_request()
    };
    assert_eq!(second.update(update.clone()).await, (hyper::StatusCode::OK, 0), "an empty 200");

    let held = stream
        .until(|held| held.peer("second").is_some_and(|peer| !peer.endpoints.is_empty()))
        .await;
    let peer = held.peer("second").expect("its name does not change");
    assert_eq!((peer.home_derp, peer.endpoints[0].to_string().as_str()), (1, "192.0.2.1:41641"));
    assert!(!peer.disco_key.is_zero());
    assert!(held.last.derp_map.is_none());
    second.update(update).await;
    let silent = stream.tells_nothing_before_a_name(&coordinator).await;
    assert!(silent, "the same update again changes nothing");
}

#[tokio::test]
async fn a_node_cannot_make_its_peers_knock_on_every_door() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut channel = Device::new("first").join(&coordinator, &key).await;

    let endpoints = (1..200).map(|last| format!("192.0.2.{last}:1").parse().unwrap()).collect();
    channel.update(MapRequest { endpoints, ..channel.map_request() }).await;

    let kept = coordinator.devices().await[0]["endpoints"].as_array().unwrap().len();
    assert_eq!(kept, 32);
}

#[tokio::test]
async fn a_streaming_request_changes_nothing() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut channel = Device::new("first").join(&coordinator, &key).await;

    let request = MapRequest {
        stream: true,
        endpoints: vec!["192.0.2.1:1".parse().unwrap()],
        ..channel.map_request()
    };
    let response = channel.post("/machine/map", serde_json::to_vec(&request).unwrap().into()).await;

    assert_eq!(response.status(), 200);
    assert_eq!(coordinator.devices().await[0]["endpoints"], json!([]));
}

#[tokio::test]
async fn a_removed_node_is_cut_and_everyone_is_told() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let mut second = Device::new("second").join(&coordinator, &key).await;
    let (mut watching, mut leaving) = (first.stream().await, second.stream().await);
    watching.until(|held| held.peer("second").is_some_and(|peer| peer.online == Some(true))).await;
    leaving.until(|held| held.peer("first").is_some()).await;

    let id = id_of(&coordinator, "second").await;
    coordinator.ok(Method::DELETE, "/devices/second", Value::Null).await;

    let removal = loop {
        let response = watching.next().await.unwrap();
        if !response.peers_removed.is_empty() {
            break response;
        }
    };
    assert_eq!(removal.peers_removed, [i64::try_from(id).unwrap()]);
    let last = loop {
        let response = leaving.next().await.expect("a last response comes before the end");
        if response.node.as_ref().is_some_and(|node| node.expired) {
            break response;
        }
    };
    assert!(
        !last.peers_removed.is_empty() && last.packet_filters.unwrap()["base"] == Some(Vec::new())
    );
    assert_eq!(leaving.next().await, None, "the stream ends");
    assert_eq!(second.try_stream("").await.err(), Some(hyper::StatusCode::NOT_FOUND));
}

/// As when the admin's client leaves between the change and its answer.
#[tokio::test]
async fn a_change_is_told_whoever_made_it() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let _second = Device::new("second").join(&coordinator, &key).await;
    let mut watching = first.stream().await;
    watching.until(|held| held.peer("second").is_some()).await;
    let id = id_of(&coordinator, "second").await;

    let file = coordinator.root.path().join("var/lib/maru/coordinator/db.sqlite");
    let store = Store::open(&Database::Sqlite(file), "maru.home.arpa").await.unwrap();
    let mut change = store.change(Actor::System).await.unwrap();
    change.delete_node(id).await.unwrap();
    change.commit().await.unwrap();

    watching.until(|held| held.peer("second").is_none()).await;
}

#[tokio::test]
async fn an_expired_node_is_cut_and_everyone_is_told() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let mut second = Device::new("second").join(&coordinator, &key).await;
    let (mut watching, mut leaving) = (first.stream().await, second.stream().await);
    watching.until(|held| held.peer("second").is_some_and(|peer| peer.online == Some(true))).await;

    coordinator.ok(Method::POST, "/devices/second/expire", Value::Null).await;

    while watching.next().await.unwrap().peers_removed.is_empty() {}
    while leaving.next().await.is_some() {}
    assert_eq!(second.try_stream("").await.err(), Some(hyper::StatusCode::UNAUTHORIZED));
}

#[tokio::test]
async fn a_key_ends_when_its_time_comes_and_not_with_the_next_change() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let _second = Device::new("second").join(&coordinator, &key).await;
    let id = id_of(&coordinator, "second").await;
    let file = coordinator.root.path().join("var/lib/maru/coordinator/db.sqlite");
    let store = Store::open(&Database::Sqlite(file), "maru.home.arpa").await.unwrap();
    let mut change = store.change(Actor::System).await.unwrap();
    let mut node = change.node(id).await.unwrap().unwrap();
    let at = std::time::SystemTime::now() + Duration::from_secs(10);
    let since = at.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    node.times.expires = Some(since.as_millis().try_into().unwrap());
    change.update_node(&node).await.unwrap();
    change.commit().await.unwrap();
    let mut watching = first.stream().await;
    watching.until(|held| held.peer("second").is_some_and(|peer| peer.key_expiry.is_some())).await;

    watching.until(|held| held.peer("second").is_none()).await;
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive() {
    let config = Config { map_keep_alive: Duration::from_millis(50), ..config() };
    let coordinator = Coordinator::with(config, None).await;
    let key = reusable(&coordinator).await;
    let mut channel = Device::new("first").join(&coordinator, &key).await;

    for compress in ["zstd", ""] {
        let mut stream = channel.try_stream(compress).await.unwrap();
        assert!(stream.next().await.unwrap().node.is_some(), "the map comes first");
        for _ in 0..3 {
            // That the node itself came may be told in between.
            while !stream.next().await.unwrap().keep_alive {}
        }
    }
}

#[tokio::test]
async fn coming_and_going_is_told_once() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let device = Device::new("second");
    let mut second = device.join(&coordinator, &key).await;
    let mut watching = first.stream().await;
    watching.until(|held| held.peer("second").is_some_and(|peer| peer.online == Some(false))).await;

    let mut stream = second.stream().await;
    watching.until(|held| held.peer("second").is_some_and(|peer| peer.online == Some(true))).await;
    let again = second.stream().await;
    assert!(stream.ends_cleanly().await);
    let silent = watching.tells_nothing_before_a_name(&coordinator).await;
    assert!(silent, "one of two streams still runs");
    drop((again, second));

    let gone = loop {
        let response = watching.next().await.unwrap();
        if let Some(change) = response.peers_changed_patch.first() {
            break change.clone();
        }
    };
    assert_eq!(gone.online, Some(false));
    assert!(gone.last_seen.is_some());
}

#[tokio::test]
async fn the_policy_decides_who_sees_whom_and_a_change_is_told() {
    let coordinator = Coordinator::start().await;
    let key = reusable(&coordinator).await;
    let home = coordinator.key(json!({ "tags": ["tag:home"], "pre_approved": true })).await;
    let mut home = Device::new("home").join(&coordinator, &home).await;
    let mut laptop = Device::new("laptop").join(&coordinator, &key).await;
    let mut phone = Device::new("phone").join(&coordinator, &key).await;
    let mut at_home = home.stream().await;

    // The first policy: members reach tag:home on three ports, nothing else.
    let held = at_home.until(|held| held.peers.len() == 2).await;
    let rules = held.last.packet_filters.as_ref().unwrap()["base"].as_ref().unwrap();
    let mut ports: Vec<u16> =
        rules.iter().flat_map(|rule| &rule.dst_ports).map(|port| port.ports.first).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports, [80, 443, 18789]);
    let mut on_laptop = laptop.stream().await;
    let whole = on_laptop.next().await.unwrap();
    let names: Vec<_> = whole.peers.unwrap().into_iter().map(|peer| peer.name).collect();
    assert_eq!(names, ["home.maru.home.arpa."], "the laptop does not see the phone");
    assert_eq!(
        whole.packet_filters.unwrap()["base"],
        Some(Vec::new()),
        "and nobody reaches the laptop"
    );
    assert_eq!(phone.stream().await.next().await.unwrap().peers.unwrap().len(), 1);

    coordinator.ok(Method::PUT, "/policy", json!({ "policy": "{ \"acls\": [] }" })).await;

    let closed = loop {
        let response = at_home.next().await.unwrap();
        if response.packet_filters.is_some() {
            break response;
        }
    };
    assert_eq!(closed.packet_filters.unwrap()["base"], Some(Vec::new()));
    assert_eq!(closed.peers_removed.len(), 2);
}

#[tokio::test]
async fn names_and_capabilities_reach_those_who_see_the_node() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let home = coordinator.key(json!({ "tags": ["tag:home"], "pre_approved": true })).await;
    let _home = Device::new("home").join(&coordinator, &home).await;
    let mut laptop = Device::new("laptop").join(&coordinator, &key).await;
    let mut stream = laptop.stream().await;
    stream.until(|held| held.peer("home").is_some()).await;
    let id = id_of(&coordinator, "home").await;

    let capabilities = json!({ "maru/gateway-identity": ["c29tZSBrZXk"] });
    coordinator.ok(Method::PUT, &format!("/devices/{id}/capabilities"), capabilities.clone()).await;
    let held =
        stream.until(|held| held.peer("home").is_some_and(|peer| !peer.cap_map.is_empty())).await;
    assert_eq!(json!(held.peer("home").unwrap().cap_map), capabilities);

    coordinator.ok(Method::PUT, "/records/chat", json!({ "device": id })).await;
    let dns =
        stream.until(|held| held.last.dns_config.is_some()).await.last.dns_config.clone().unwrap();
    assert_eq!(
        (dns.extra_records[0].name.as_str(), dns.extra_records[0].value.as_str()),
        ("chat.maru.home.arpa", "100.64.0.1")
    );

    coordinator.ok(Method::POST, "/devices/home/rename", json!({ "name": "hall" })).await;
    let held = stream.until(|held| held.peer("hall").is_some()).await;
    assert_eq!(
        held.peer("hall").unwrap().addresses[0].to_string(),
        "100.64.0.1/32",
        "the address stays"
    );
}

#[tokio::test]
async fn a_derp_map_of_a_file_is_served_as_it_stands() {
    let presented = json!({ "Regions": { "7": { "RegionID": 7, "RegionCode": "lab", "RegionName": "Lab", "Nodes": [{
        "Name": "7a", "RegionID": 7, "HostName": "10.1.1.1", "IPv4": "10.1.1.1", "DERPPort": 8444, "STUNPort": 3478,
        "CertName": format!("sha256-raw:{}", "ab".repeat(32)), "InsecureForTests": true }] } } });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), presented.to_string()).unwrap();
    let derp_map_file = Some(file.path().to_owned());
    let wanted = Settings { derp_map_file, derp_map_only: true, ..settings() };
    let coordinator = Coordinator::with(configured(wanted), None).await;
    let key = reusable(&coordinator).await;

    let mut channel = Device::new("first").join(&coordinator, &key).await;
    let mut stream = channel.stream().await;
    let map = stream.next().await.unwrap().derp_map.unwrap();
    assert_eq!(serde_json::to_value(map).unwrap(), presented);

    // What cannot be used changes nothing, and what can reaches the devices.
    std::fs::write(file.path(), "{}").unwrap();
    let text = presented.to_string().replace("10.1.1.1", "10.1.1.2");
    std::fs::write(file.path(), &text).unwrap();
    let map = loop {
        if let Some(map) = stream.next().await.unwrap().derp_map {
            break map;
        }
    };
    assert_eq!(
        serde_json::to_value(map).unwrap().to_string(),
        serde_json::from_str::<serde_json::Value>(&text).unwrap().to_string()
    );
}

#[tokio::test]
async fn the_regions_of_a_file_stand_beside_our_own() {
    let node = json!({ "Name": "7a", "RegionID": 7, "HostName": "derp.example.org" });
    let regions = json!({ "7": { "RegionID": 7, "RegionCode": "lab", "RegionName": "Lab", "Nodes": [node] } });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({ "Regions": regions }).to_string()).unwrap();
    let derp_map_file = Some(file.path().to_owned());
    let config = configured(Settings { derp_map_file, ..settings() });
    let coordinator = Coordinator::with(config, None).await;
    let key = reusable(&coordinator).await;

    let mut channel = Device::new("first").join(&coordinator, &key).await;
    let map = channel.stream().await.next().await.unwrap().derp_map.unwrap();

    assert_eq!(map.regions.keys().copied().collect::<Vec<_>>(), [1, 7]);
    assert!(map.regions[&1].nodes[0].certificate_pin().flatten().is_some());
    assert_eq!(map.regions[&7].nodes[0].host_name, "derp.example.org");
}

/// Told of a member that comes and goes as fast as it may: so many changes of the others' maps, and no more.
#[tokio::test]
async fn a_member_that_comes_and_goes_costs_its_peers_few_maps_and_delays_no_change() {
    const ROUNDS: usize = 100;
    let config = Config { offline_after: Duration::ZERO, ..config() };
    let coordinator = Coordinator::with(config, None).await;
    coordinator.ok(Method::PUT, "/policy", json!({ "policy": crate::harness::OPEN })).await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let device = Device::new("second");
    let mut second = device.join(&coordinator, &key).await;
    let mut watching = first.stream().await;
    watching.until(|held| held.peer("second").is_some()).await;

    for _ in 0..ROUNDS {
        let mut stream = second.stream().await;
        stream.next().await.unwrap();
        drop((stream, second));
        second = device.connect(coordinator.address).await;
    }
    let mut told = 0;
    let name = json!({ "device": id_of(&coordinator, "first").await });
    coordinator.ok(Method::PUT, "/records/control", name).await;
    loop {
        let response = watching.next().await.unwrap();
        if response.dns_config.is_some() {
            break;
        }
        told += usize::from(!response.keep_alive);
    }

    // Ten tokens, and one more in ten seconds; each is told on and off.
    assert!((1..ROUNDS / 2).contains(&told), "{told} maps for {ROUNDS} connections");
}

/// A member that goes on under one key after another: it is told to come back later, and the others get few maps.
#[tokio::test]
async fn a_member_that_changes_its_key_again_and_again_costs_its_peers_few_maps() {
    const ROUNDS: usize = 40;
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let mut device = Device::new("second");
    let mut second = device.join(&coordinator, &key).await;
    let mut other = Device::new("other");
    other.join(&coordinator, &key).await;
    let mut watching = first.stream().await;
    watching.until(|held| held.peer("second").is_some() && held.peer("other").is_some()).await;

    let mut statuses = Vec::new();
    for _ in 0..ROUNDS {
        let renewed = Device { node: Device::new("").node, ..device.clone() };
        let request = RegisterRequest { old_node_key: Some(device.key()), ..renewed.request() };
        let body = serde_json::to_vec(&request).unwrap();
        let response = second.post("/machine/register", body.into()).await;
        let is_later = response.headers().contains_key("retry-after");
        assert_eq!(response.status() == 503, is_later, "{response:?}");
        if response.status() == 200 {
            device = renewed;
        }
        statuses.push(response.status().as_u16());
    }
    let renewed = Device { node: Device::new("").node, ..other.clone() };
    let request = RegisterRequest { old_node_key: Some(other.key()), ..renewed.request() };
    let answer = renewed.connect(coordinator.address).await.register(&request).await;
    other = renewed;
    let is_told = |held: &ClientMap| {
        let has =
            |label, device: &Device| held.peer(label).is_some_and(|node| node.key == device.key());
        has("second", &device) && has("other", &other)
    };
    watching.until(is_told).await;

    let renewals = statuses.iter().filter(|status| **status == 200).count();
    assert!((1..=12).contains(&renewals), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&503));
    assert!(answer.machine_authorized, "each node has its own bucket: {answer:?}");
}

#[tokio::test]
async fn whole_maps_that_are_no_stream_take_from_the_nodes_bucket() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let mut other = Device::new("other").join(&coordinator, &key).await;
    let ask = async |channel: &mut crate::device::Channel| {
        let body = serde_json::to_vec(&channel.map_request()).unwrap();
        channel.post("/machine/map", body.into()).await.status().as_u16()
    };

    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(ask(&mut first).await);
    }

    let whole = statuses.iter().filter(|status| **status == 200).count();
    assert!((8..=12).contains(&whole), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429));
    assert_eq!(ask(&mut other).await, 200, "each node has its own");
    assert!(first.stream().await.next().await.unwrap().node.is_some(), "its stream goes on");
}
