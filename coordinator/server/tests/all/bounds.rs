//! What one device may take, and that what began is carried out.

use control_protocol::map::MapRequest;
use coordinator::store::{Database, Store};
use coordinator_api::Actor;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::eventually;
use tokio::{io::AsyncWriteExt as _, net::UnixStream};

use crate::{
    device::{Channel, Device},
    harness::Coordinator,
};

/// How many channels a device has.
const CHANNELS: usize = 4;
/// How many updates are written at once.
const UPDATES: u16 = 10;

async fn reusable(coordinator: &Coordinator) -> String {
    coordinator.key(json!({ "user": "alice", "pre_approved": true, "reusable": true })).await
}

/// An update that no other is like.
fn update(channel: &Channel, number: u16) -> MapRequest {
    MapRequest { endpoints: vec![([192, 0, 2, 1], number).into()], ..channel.map_request() }
}

async fn endpoints(coordinator: &Coordinator, name: &str) -> Value {
    coordinator.ok(Method::GET, &format!("/devices/{name}"), Value::Null).await["endpoints"].clone()
}

#[tokio::test]
async fn a_device_has_four_channels_and_the_fifth_is_refused() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let device = Device::new("laptop");
    let mut channels = vec![device.join(&coordinator, &key).await];
    for _ in 1..CHANNELS {
        let mut channel = device.connect(coordinator.address).await;
        assert_eq!(channel.update(channel.map_request()).await.0, StatusCode::OK);
        channels.push(channel);
    }

    for _ in 0..3 {
        assert!(device.try_connect(coordinator.address).await.is_none());
    }

    let other = Device::new("other").join(&coordinator, &key).await;
    for channel in &mut channels {
        assert_eq!(channel.update(channel.map_request()).await.0, StatusCode::OK, "it goes on");
    }
    channels.pop();
    eventually("one that is closed makes room", async || {
        device.try_connect(coordinator.address).await.is_some()
    })
    .await;
    drop(other);
}

#[tokio::test]
async fn pitfall_6_a_newer_map_stream_ends_the_older_and_the_node_stays_online() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let device = Device::new("second");
    let mut one = device.join(&coordinator, &key).await;
    let mut two = device.connect(coordinator.address).await;
    let mut older = one.stream().await;
    older.until(|held| held.peer("first").is_some()).await;
    let mut watching = first.stream().await;
    watching.until(|held| held.peer("second").is_some_and(|peer| peer.online == Some(true))).await;
    older.until(|held| held.peers.values().any(|peer| peer.online == Some(true))).await;

    let mut newer = two.stream().await;
    newer.next().await.unwrap();

    assert!(older.ends_cleanly().await);
    let silent = watching.tells_nothing_before_a_name(&coordinator).await;
    assert!(silent, "nobody is told that it left");
    assert_eq!(one.update(update(&one, 1)).await.0, StatusCode::OK, "its channel is open");
    drop(Device::new("third").join(&coordinator, &key).await);
    newer.until(|held| held.peer("third").is_some()).await;
    drop((newer, two, older, one));
    watching.until(|held| held.peer("second").is_some_and(|peer| peer.online == Some(false))).await;
}

#[tokio::test]
async fn a_device_that_updates_too_often_is_written_later_and_the_newest_wins() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let mut second = Device::new("second").join(&coordinator, &key).await;
    let removed = Device::new("removed");
    let mut third = removed.join(&coordinator, &key).await;
    let mut watching = first.stream().await;
    watching.until(|held| held.peer("second").is_some()).await;

    for number in 1..=UPDATES + 5 {
        assert_eq!(third.update(update(&third, number)).await, (StatusCode::OK, 0));
    }
    // What waits for a node that is removed is not written for who comes in its place, although its time comes first.
    coordinator.ok(Method::DELETE, "/devices/removed", Value::Null).await;
    removed.join(&coordinator, &key).await;
    for number in 1..=UPDATES + 5 {
        assert_eq!(second.update(update(&second, number)).await, (StatusCode::OK, 0));
    }
    assert_eq!(endpoints(&coordinator, "second").await, json!(["192.0.2.1:10"]));

    let mut seen = Vec::new();
    while seen.last() != Some(&15) {
        let held = watching.until(|_| true).await;
        seen.extend(
            held.peer("second").and_then(|peer| peer.endpoints.first()).map(|at| at.port()),
        );
    }
    assert!(!seen.iter().any(|port| (11..15).contains(port)), "{seen:?}");
    assert_eq!(second.update(update(&second, 15)).await, (StatusCode::OK, 0));
    assert_eq!(endpoints(&coordinator, "removed").await, json!([]));
}

#[tokio::test]
async fn what_waits_to_be_written_is_written_when_the_coordinator_stops() {
    let mut coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut laptop = Device::new("laptop").join(&coordinator, &key).await;
    for number in 1..=UPDATES + 5 {
        assert_eq!(laptop.update(update(&laptop, number)).await, (StatusCode::OK, 0));
    }
    assert_eq!(endpoints(&coordinator, "laptop").await, json!(["192.0.2.1:10"]));

    coordinator.restart().await;

    assert_eq!(endpoints(&coordinator, "laptop").await, json!(["192.0.2.1:15"]));
}

/// An opening of the coordinator's database beside it: while that changes something, the coordinator waits.
async fn beside(coordinator: &Coordinator) -> Store {
    let file = coordinator.root.path().join("var/lib/maru/coordinator/db.sqlite");
    Store::open(&Database::Sqlite(file), "maru.home.arpa").await.unwrap()
}

/// Lets the coordinator see all that was sent to it: it and the test are one thread.
async fn seen_by(coordinator: &Coordinator) {
    for _ in 0..10 {
        coordinator.devices().await;
    }
}

#[tokio::test]
async fn a_change_that_began_is_carried_out_although_the_caller_hung_up() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut laptop = Device::new("laptop").join(&coordinator, &key).await;
    Device::new("second").join(&coordinator, &key).await;
    let late = Device::new("late");
    let mut joining = late.connect(coordinator.address).await;
    let store = beside(&coordinator).await;
    let held = store.change(Actor::System).await.unwrap();
    let socket = coordinator.root.path().join("run/maru/coordinator/admin.sock");
    let mut admin = UnixStream::connect(socket).await.unwrap();

    admin.write_all(b"DELETE /api/v1/devices/second HTTP/1.1\r\nHost: maru\r\n\r\n").await.unwrap();
    let request = update(&laptop, 7);
    let updating = tokio::spawn(async move { laptop.update(request).await });
    let request = late.with_key(&key);
    let registering = tokio::spawn(async move { joining.register(&request).await });
    seen_by(&coordinator).await;
    drop(admin);
    updating.abort();
    registering.abort();
    seen_by(&coordinator).await;
    held.commit().await.unwrap();

    eventually("all three are there", async || {
        let devices = coordinator.devices().await;
        let names: Vec<_> = devices.iter().map(|device| device["name"].as_str().unwrap()).collect();
        names == ["laptop", "late"] && devices[0]["endpoints"] == json!(["192.0.2.1:7"])
    })
    .await;
}
