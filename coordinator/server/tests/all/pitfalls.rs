//! What others stumbled over who wrote such a server (most of it is in Headscale's issues). Each test that is about one
//! of these has its number in its name; those that were there before stand where they belong, the rest is here.

use std::time::Duration;

use control_protocol::{map::MapRequest, register::RegisterRequest};
use coordinator::serve::{ServeError, Server};
use coordinator_api::settings::Settings;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    device::Device,
    harness::{Coordinator, config, configured, settings},
    http::{raw, request_with_form},
};

async fn reusable(coordinator: &Coordinator) -> String {
    coordinator.key(json!({ "user": "alice", "pre_approved": true, "reusable": true })).await
}

/// Go's zero time, which stands for "none".
const ZERO: &str = "0001-01-01T00:00:00Z";
/// What stock clients send to log out.
const PAST: &str = "1970-01-01T00:02:03Z";

#[tokio::test]
async fn pitfall_2_a_tagged_node_logs_out_and_in_again() {
    let coordinator = Coordinator::open().await;
    let key = coordinator.key(json!({ "tags": ["tag:server"], "pre_approved": true })).await;
    let device = Device::new("server");
    let mut channel = device.join(&coordinator, &key).await;
    let before = coordinator.devices().await.remove(0);
    let logout = RegisterRequest { expiry: Some(PAST.to_owned()), ..device.with_key(&key) };

    assert!(channel.register(&logout).await.node_key_expired);
    assert_eq!(coordinator.devices().await[0]["state"], "expired");
    let renewed = Device { node: Device::new("").node, ..device.clone() };
    let again = RegisterRequest { old_node_key: Some(device.key()), ..renewed.request() };
    assert!(!channel.register(&again).await.auth_url.is_empty());
    let approved = coordinator.ok(Method::POST, "/devices/server/approve", Value::Null).await;

    for field in ["id", "addresses", "tags", "key_expiry"] {
        assert_eq!(approved[field], before[field], "{field}");
    }
    assert!(channel.register(&again).await.machine_authorized);
}

#[tokio::test]
async fn pitfall_4_gos_zero_time_is_no_logout_and_a_key_without_an_end_has_no_time() {
    let coordinator = Coordinator::open().await;
    let key = coordinator.key(json!({ "tags": ["tag:server"], "pre_approved": true })).await;
    let device = Device::new("server");
    let mut channel = device.join(&coordinator, &key).await;

    for expiry in [Some(ZERO.to_owned()), Some(String::new()), None] {
        let request = RegisterRequest { expiry, ..device.request() };
        let answer = channel.register(&request).await;
        assert!(answer.machine_authorized && !answer.node_key_expired, "{answer:?}");
    }
    let node = channel.stream().await.next().await.unwrap().node.unwrap();
    assert_eq!((node.key_expiry, node.expired), (None, false));
    assert_eq!(coordinator.devices().await[0]["key_expiry"], Value::Null);
}

#[tokio::test]
async fn pitfall_5_no_map_stream_ends_in_silence() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let stranger = Device::new("stranger");
    let mut asking = stranger.connect(coordinator.address).await;
    for request in [asking.map_request(), MapRequest { stream: true, ..asking.map_request() }] {
        let body = serde_json::to_vec(&request).unwrap();
        let answer = asking.post("/machine/map", body.into()).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }

    let mut channel = Device::new("laptop").join(&coordinator, &key).await;
    let mut stream = channel.stream().await;
    assert!(stream.next().await.unwrap().node.is_some());
    coordinator.ok(Method::DELETE, "/devices/laptop", Value::Null).await;
    assert!(stream.next().await.unwrap().node.unwrap().expired, "it is told before the end");
    assert!(stream.ends_cleanly().await);
}

#[tokio::test]
async fn pitfall_8_when_a_node_was_last_seen_is_told_while_it_is_away() {
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let mut first = Device::new("first").join(&coordinator, &key).await;
    let mut second = Device::new("second").join(&coordinator, &key).await;
    let mut watching = first.stream().await;
    let connected = second.stream().await;

    let is = |online| move |peer: &control_protocol::map::Node| peer.online == Some(online);
    let held = watching.until(|held| held.peer("second").is_some_and(is(true))).await;
    assert_eq!(held.peer("second").unwrap().last_seen, None);
    drop((connected, second));
    let held = watching.until(|held| held.peer("second").is_some_and(is(false))).await;
    assert!(held.peer("second").unwrap().last_seen.is_some());
}

#[tokio::test]
async fn pitfall_10_a_relay_map_without_relays_refuses_the_start() {
    let root = tempfile::tempdir().unwrap();
    for text in ["{}", r#"{ "Regions": {} }"#, "not a map", ""] {
        std::fs::write(root.path().join("derp.json"), text).unwrap();
        let derp_map_file = Some("derp.json".into());
        let config = configured(Settings { derp_map_file, ..settings() });

        let started = Server::start(root.path(), config, CancellationToken::new()).await;

        let error = started.err().expect("it does not start");
        assert!(matches!(error, ServeError::DerpMap(_)), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("derp.json") && said.contains("at least one region"), "{said}");
    }
}

#[tokio::test]
async fn pitfall_11_a_forwarded_address_of_nobody_trusted_counts_for_nothing() {
    let coordinator = Coordinator::with(config(), None).await;
    let device = Device::new("phone");
    let mut channel = device.connect(coordinator.address).await;
    let auth_url = channel.register(&device.request()).await.auth_url;
    let path = auth_url.strip_prefix("http://coordinator.test:8443").unwrap();

    let mut statuses = Vec::new();
    for number in 0..11 {
        let forwarded =
            format!("\nX-Forwarded-For: 192.0.2.{number}\nX-Real-IP: 192.0.2.{number}\n");
        let request = request_with_form(path, "invitation=x").replacen('\n', &forwarded, 1);
        statuses.push(raw(coordinator.address, &request).await.0);
    }

    assert_eq!(statuses, [[403; 10].as_slice(), &[429]].concat());
    assert_eq!(coordinator.devices().await[0]["source"], "127.0.0.1");
}

#[tokio::test]
async fn pitfall_c_the_legacy_key_is_told_and_is_zero() {
    let coordinator = Coordinator::start().await;
    let (_, body) = crate::http::get(coordinator.address, "/key?v=130").await;
    let keys: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(keys["legacyPublicKey"], format!("mkey:{}", "0".repeat(64)));
}

/// Far more than the client's window, hyper's buffer and the queue together hold.
#[tokio::test]
async fn pitfall_f_what_a_client_does_not_read_is_not_kept_for_it() {
    const CHANGES: usize = 120;
    let coordinator = Coordinator::open().await;
    let key = reusable(&coordinator).await;
    let slow = Device::new("slow");
    slow.join(&coordinator, &key).await;
    let mut channel = slow.connect_with_window(coordinator.address, 64 * 1024).await;
    Device::new("busy").join(&coordinator, &key).await;
    let mut stream = channel.try_stream("").await.unwrap();
    stream.until(|held| held.peer("busy").is_some()).await;

    let value = |number: usize| format!("{number:03}{}", "x".repeat(7 * 1024));
    for number in 1..=CHANGES {
        let capabilities = json!({ "maru/x": [value(number)] });
        coordinator.ok(Method::PUT, "/devices/busy/capabilities", capabilities).await;
    }

    let mut seen = 0;
    let last = json!(value(CHANGES));
    loop {
        let response = tokio::time::timeout(Duration::from_secs(30), stream.next()).await.unwrap();
        let response = response.expect("the stream goes on");
        seen += usize::from(!response.peers_changed.is_empty());
        let is_last = |peer: &control_protocol::map::Node| {
            peer.cap_map.values().flatten().any(|value| *value == last)
        };
        if response.peers_changed.iter().any(is_last) {
            break;
        }
    }
    assert!(seen < CHANGES * 2 / 3, "{seen} of {CHANGES} were kept");
}
