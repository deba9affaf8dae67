//! Who becomes a node.

use std::sync::Arc;

use control_protocol::register::RegisterRequest;
use coordinator_api::settings::Settings;
use coordinator_core::registration::{WAITING_OF_ADDRESS_MAX, WAITING_OF_MACHINE_MAX};
use futures_util::FutureExt as _;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::eventually;
use tokio::sync::Barrier;

use crate::{
    device::Device,
    harness::{Coordinator, PATIENCE, configured, settings},
    http::get,
};

/// Twenty devices, each over a Noise channel of its own, send the same one-time key at the same moment.
async fn race(coordinator: &Coordinator, pre_approved: bool) -> usize {
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": pre_approved })).await;
    let barrier = Arc::new(Barrier::new(20));
    let mut racers = Vec::new();
    for number in 0..20 {
        let device = Device::new(&format!("racer-{number}"));
        let mut channel = device.connect(coordinator.address).await;
        let (barrier, request) = (Arc::clone(&barrier), device.with_key(&key));
        racers.push(tokio::spawn(async move {
            barrier.wait().await;
            channel.register(&request).await
        }));
    }
    let mut winners = 0;
    for racer in racers {
        let response = racer.await.unwrap();
        if response.error.is_empty() {
            winners += 1;
            assert_eq!(
                (response.machine_authorized, response.auth_url.is_empty()),
                (pre_approved, pre_approved)
            );
        } else {
            assert!(!response.machine_authorized && response.error.contains("key"), "{response:?}");
        }
    }
    winners
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pitfall_13_a_one_time_key_raced_by_twenty_admits_exactly_one() {
    let coordinator = Coordinator::start().await;

    assert_eq!(race(&coordinator, true).await, 1);
    assert_eq!(race(&coordinator, false).await, 1);
    assert_eq!(coordinator.devices().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs: postgres"]
async fn pitfall_13_a_one_time_key_raced_by_twenty_admits_exactly_one_on_postgres() {
    let coordinator = Coordinator::on_postgres().await;

    assert_eq!(race(&coordinator, true).await, 1);
    assert_eq!(race(&coordinator, false).await, 1);
    assert_eq!(coordinator.devices().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reusable_key_raced_by_twenty_gives_each_its_own_name_and_address() {
    let coordinator = Coordinator::start().await;
    let key =
        coordinator.key(json!({ "user": "alice", "pre_approved": true, "reusable": true })).await;

    let joins = (0..20).map(|_| Device::new("laptop")).map(|device| {
        let (address, key) = (coordinator.address, key.clone());
        tokio::spawn(
            async move { device.connect(address).await.register(&device.with_key(&key)).await },
        )
    });
    for join in joins.collect::<Vec<_>>() {
        assert!(join.await.unwrap().machine_authorized);
    }

    let devices = coordinator.devices().await;
    let distinct = |field: &str| {
        devices
            .iter()
            .map(|device| device[field].to_string())
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    };
    assert_eq!((distinct("name"), distinct("addresses"), distinct("id")), (20, 20, 20));
}

/// A stranger waits; its followup is held until the admin decides.
async fn approval(coordinator: &Coordinator) {
    coordinator.ok(Method::POST, "/users", json!({ "name": "alice" })).await;
    let device = Device::new("laptop");
    let mut channel = device.connect(coordinator.address).await;

    let waiting = channel.register(&device.request()).await;

    assert!(!waiting.machine_authorized && waiting.error.is_empty());
    let ticket = waiting.auth_url.strip_prefix("http://coordinator.test:8443/register/").unwrap();
    let listed = coordinator.devices().await;
    assert_eq!(listed.len(), 1);
    let id = listed[0]["id"].as_u64().unwrap();
    assert_eq!((&listed[0]["state"], &listed[0]["addresses"]), (&json!("pending"), &json!([])));
    let (status, page) = get(coordinator.address, &format!("/register/{ticket}")).await;
    assert_eq!(status, 200);
    let code = listed[0]["code"].as_str().unwrap();
    assert!(page.contains(&format!("maru device approve {code}")), "{page}");
    assert!(!page.contains("laptop"), "nothing that a device says of itself is shown");
    assert_eq!(
        channel.try_stream("").await.err(),
        Some(StatusCode::NOT_FOUND),
        "no map before approval"
    );
    assert_eq!(channel.update(channel.map_request()).await.0, StatusCode::NOT_FOUND);

    let followup = RegisterRequest { followup: waiting.auth_url.clone(), ..device.request() };
    let mut second = channel.clone();
    let mut held = Box::pin(second.register(&followup));
    assert!((&mut held).now_or_never().is_none(), "it is asked");
    assert_eq!(channel.register(&device.request()).await.auth_url, waiting.auth_url);
    assert!((&mut held).now_or_never().is_none(), "what was asked after it is answered before it");
    let (status, problem) =
        coordinator.admin(Method::POST, &format!("/devices/{id}/approve"), json!({})).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::CONFLICT, &json!("urn:maru:problem:state")),
        "whose is it?"
    );
    coordinator
        .ok(Method::POST, &format!("/devices/{id}/approve"), json!({ "user": "alice" }))
        .await;

    let approved = tokio::time::timeout(PATIENCE, held).await.expect("no longer held");
    assert!(approved.machine_authorized && approved.auth_url.is_empty(), "{approved:?}");
    assert_eq!(approved.login.login_name, "alice");
    let node = channel.stream().await.next().await.unwrap().node.unwrap();
    assert_eq!(
        (node.id, node.name.as_str()),
        (i64::try_from(id).unwrap(), "laptop.maru.home.arpa.")
    );
    assert_eq!(node.addresses[0].to_string(), "100.64.0.1/32");
}

#[tokio::test]
async fn a_stranger_waits_and_gets_nothing_until_it_is_approved() {
    approval(&Coordinator::start().await).await;
}

#[tokio::test]
#[ignore = "needs: postgres"]
async fn a_stranger_waits_and_gets_nothing_until_it_is_approved_on_postgres() {
    approval(&Coordinator::on_postgres().await).await;
}

/// Whether a device that asks without a key is put off, to ask again later.
async fn is_put_off(device: &Device, coordinator: &Coordinator) -> bool {
    let body = serde_json::to_vec(&device.request()).unwrap();
    let mut channel = device.connect(coordinator.address).await;
    let response = channel.post("/machine/register", body.into()).await;
    let later = response.headers().contains_key("retry-after");
    assert_eq!(response.status() == StatusCode::SERVICE_UNAVAILABLE, later, "{response:?}");
    later
}

#[tokio::test]
async fn pitfall_9_a_crowd_of_strangers_is_put_off_and_keeps_nobody_out_who_was_a_node() {
    let coordinator = Coordinator::start().await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let member = Device::new("laptop");
    member.join(&coordinator, &key).await;
    coordinator.ok(Method::POST, "/devices/laptop/expire", Value::Null).await;

    for _ in 0..WAITING_OF_ADDRESS_MAX {
        assert!(!is_put_off(&Device::new("stranger"), &coordinator).await);
    }
    assert!(is_put_off(&Device::new("stranger"), &coordinator).await);

    let renewed = Device { node: Device::new("").node, ..member.clone() };
    let again = RegisterRequest { old_node_key: Some(member.key()), ..renewed.request() };
    let waiting = renewed.connect(coordinator.address).await.register(&again).await;
    assert!(!waiting.auth_url.is_empty(), "{waiting:?}");
}

/// Hundreds of requests at once, of which most are sent away, and none is in the admin's way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_of_registrations_is_sent_away() {
    let coordinator = Coordinator::start().await;
    let mut flood = Vec::new();
    for _ in 0..16 {
        let device = Device::new("stranger");
        let body: bytes::Bytes = serde_json::to_vec(&device.request()).unwrap().into();
        let channel = device.connect(coordinator.address).await;
        flood.extend((0..32).map(|_| (channel.clone(), body.clone())));
    }
    let flood = flood.into_iter().map(|(mut channel, body)| {
        tokio::spawn(async move { channel.post("/machine/register", body).await.status() })
    });
    let flood: Vec<_> = flood.collect();

    coordinator.ok(Method::POST, "/users", json!({ "name": "alice" })).await;

    let mut sent_away = 0;
    for request in flood {
        let status = request.await.unwrap();
        assert!([StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&status), "{status}");
        sent_away += usize::from(status == StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(sent_away > 0);
}

#[tokio::test]
async fn one_machine_waits_under_few_keys() {
    let coordinator = Coordinator::start().await;
    let device = Device::new("laptop");

    for _ in 0..WAITING_OF_MACHINE_MAX {
        let device = Device { node: Device::new("").node, ..device.clone() };
        assert!(!is_put_off(&device, &coordinator).await);
    }
    assert!(is_put_off(&device, &coordinator).await);
    assert!(!is_put_off(&Device::new("other"), &coordinator).await);
}

#[tokio::test]
async fn a_rejected_device_is_told_so() {
    let coordinator = Coordinator::start().await;
    let device = Device::new("laptop");
    let mut channel = device.connect(coordinator.address).await;
    let waiting = channel.register(&device.request()).await;
    let followup = RegisterRequest { followup: waiting.auth_url.clone(), ..device.request() };
    let mut second = channel.clone();
    let mut held = Box::pin(second.register(&followup));
    assert!((&mut held).now_or_never().is_none(), "it is asked");
    assert_eq!(channel.register(&device.request()).await.auth_url, waiting.auth_url);
    assert!((&mut held).now_or_never().is_none(), "answered before anything was decided");

    let id = coordinator.devices().await[0]["id"].as_u64().unwrap();
    coordinator.ok(Method::POST, &format!("/devices/{id}/reject"), Value::Null).await;

    let rejected = tokio::time::timeout(PATIENCE, held).await.expect("no longer held");
    assert!(rejected.error.contains("rejected") && !rejected.machine_authorized, "{rejected:?}");
    assert!(coordinator.devices().await.is_empty());
}

#[tokio::test]
async fn a_device_that_waits_keeps_waiting_over_a_restart_of_the_coordinator() {
    let mut coordinator = Coordinator::start().await;
    let key = coordinator.key(json!({ "user": "alice" })).await;
    let device = Device::new("laptop");
    let first = device.connect(coordinator.address).await.register(&device.with_key(&key)).await;

    coordinator.restart().await;

    let again = device.connect(coordinator.address).await.register(&device.with_key(&key)).await;
    assert!(!again.auth_url.is_empty());
    assert_eq!(again.auth_url, first.auth_url);
    let id = coordinator.devices().await[0]["id"].as_u64().unwrap();
    let approved =
        coordinator.ok(Method::POST, &format!("/devices/{id}/approve"), Value::Null).await;
    assert_eq!(
        (&approved["user"], &approved["state"]),
        (&json!("alice"), &json!("approved")),
        "the key said whose"
    );
}

#[tokio::test]
async fn pitfall_3_a_node_is_taken_back_with_the_key_that_it_used_and_others_are_not() {
    let mut coordinator = Coordinator::start().await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let device = Device::new("laptop");
    device.join(&coordinator, &key).await;

    coordinator.restart().await;

    device.join(&coordinator, &key).await;
    let other = Device::new("other");
    let refused = other.connect(coordinator.address).await.register(&other.with_key(&key)).await;
    assert!(refused.error.contains("key") && !refused.machine_authorized, "{refused:?}");
    assert_eq!(coordinator.devices().await.len(), 1);
}

#[tokio::test]
async fn pitfall_1_a_thief_of_a_node_key_gets_nothing() {
    let coordinator = Coordinator::start().await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let victim = Device::new("laptop");
    victim.join(&coordinator, &key).await;

    let thief = Device { node: victim.node.clone(), ..Device::new("thief") };
    let mut channel = thief.connect(coordinator.address).await;

    assert_eq!(channel.try_stream("").await.err(), Some(StatusCode::NOT_FOUND));
    assert_eq!(channel.update(channel.map_request()).await.0, StatusCode::NOT_FOUND);
    let logout =
        RegisterRequest { expiry: Some("1970-01-01T00:02:03Z".to_owned()), ..thief.request() };
    for request in [thief.request(), thief.with_key(&key), logout] {
        let response = channel.register(&request).await;
        assert!(!response.error.is_empty() && !response.machine_authorized, "{response:?}");
    }
    assert_eq!(coordinator.devices().await[0]["state"], "approved");
}

#[tokio::test]
async fn pitfall_2_a_logout_ends_the_key_and_a_new_key_brings_the_same_node_back() {
    let coordinator = Coordinator::start().await;
    let key =
        coordinator.key(json!({ "user": "alice", "pre_approved": true, "reusable": true })).await;
    let device = Device::new("laptop");
    let mut channel = device.join(&coordinator, &key).await;
    let before = coordinator.devices().await.remove(0);

    let logout = RegisterRequest {
        expiry: Some("1970-01-01T09:02:03+09:00".to_owned()),
        ..device.with_key(&key)
    };
    assert!(channel.register(&logout).await.node_key_expired);
    assert_eq!(coordinator.devices().await[0]["state"], "expired");
    assert_eq!(channel.try_stream("").await.err(), Some(StatusCode::UNAUTHORIZED));
    assert!(channel.register(&device.request()).await.node_key_expired);

    let renewed = Device { node: Device::new("").node, ..device.clone() };
    renewed.join(&coordinator, &key).await;
    let after = coordinator.devices().await.remove(0);
    assert_eq!((&after["id"], &after["addresses"]), (&before["id"], &before["addresses"]));
    assert_ne!(after["node_key"], before["node_key"]);
}

#[tokio::test]
async fn a_key_rotates_without_the_admin_and_keeps_its_end() {
    let coordinator = Coordinator::start().await;
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;
    let device = Device::new("laptop");
    let mut channel = device.join(&coordinator, &key).await;
    let before = coordinator.devices().await.remove(0);

    let renewed = Device { node: Device::new("").node, ..device.clone() };
    let rotate = RegisterRequest { old_node_key: Some(device.key()), ..renewed.request() };
    assert!(channel.register(&rotate).await.machine_authorized);

    let after = coordinator.devices().await.remove(0);
    assert_eq!((&after["id"], &after["key_expiry"]), (&before["id"], &before["key_expiry"]));
    assert_eq!(after["node_key"], renewed.key().to_string());
    assert_eq!(
        channel.try_stream("").await.err(),
        Some(StatusCode::NOT_FOUND),
        "the old key is nobody's"
    );
}

#[tokio::test]
async fn an_ephemeral_node_is_gone_soon_after_it_leaves_and_not_before() {
    let config = configured(Settings { ephemeral_grace_s: 1, ..settings() });
    let coordinator = Coordinator::with(config, None).await;
    let key = json!({ "user": "alice", "pre_approved": true, "ephemeral": true, "reusable": true });
    let key = coordinator.key(key).await;
    let mut stays = Device::new("stays").join(&coordinator, &key).await;
    let mut connected = stays.stream().await;
    connected.next().await.unwrap();
    // It comes after the other, so that by its end the other's time is over as well, but for its being connected.
    let mut leaves = Device::new("leaves").join(&coordinator, &key).await;
    leaves.stream().await.next().await.unwrap();

    drop(leaves);

    until_there_are(&coordinator, &["stays"]).await;
    drop((connected, stays));
    until_there_are(&coordinator, &[]).await;
}

/// Waits until these are all devices.
async fn until_there_are(coordinator: &Coordinator, names: &[&str]) {
    let are_there =
        async || coordinator.devices().await.iter().map(|device| &device["name"]).eq(names);
    eventually("the others are gone", are_there).await;
}
