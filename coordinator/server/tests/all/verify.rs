//! `POST /verify`, as `derper -verify-client-url` asks it.

use std::net::SocketAddr;

use control_protocol::key::{NodePrivate, NodePublic};
use hyper::Method;
use serde_json::{Value, json};

use crate::{device::Device, harness::Coordinator, http::raw};

async fn ask(address: SocketAddr, body: &str) -> (u16, String) {
    let len = body.len();
    // Go names no type of content.
    raw(
        address,
        &format!(
            "POST /verify HTTP/1.1\nHost: a\nConnection: close\nContent-Length: {len}\n\n{body}"
        ),
    )
    .await
}

async fn allows(coordinator: &Coordinator, key: NodePublic) -> bool {
    let body = json!({ "NodePublic": key, "Source": "192.0.2.1" }).to_string();
    let (status, answer) = ask(coordinator.address, &body).await;
    assert_eq!(status, 200);
    serde_json::from_str::<Value>(&answer).unwrap()["Allow"].as_bool().unwrap()
}

#[tokio::test]
async fn a_foreign_relay_learns_of_a_key_whether_it_is_a_nodes() {
    let coordinator = Coordinator::open().await;
    let wanted = json!({ "user": "alice", "pre_approved": true, "reusable": true });
    let key = coordinator.key(wanted).await;
    let [stays, expires, removed, waits] =
        ["stays", "expires", "removed", "waits"].map(Device::new);
    for device in [&stays, &expires, &removed] {
        device.join(&coordinator, &key).await;
        assert!(allows(&coordinator, device.key()).await, "{}", device.hostname);
    }
    waits.connect(coordinator.address).await.register(&waits.request()).await;
    coordinator.ok(Method::POST, "/devices/expires/expire", Value::Null).await;
    coordinator.ok(Method::DELETE, "/devices/removed", Value::Null).await;

    let stranger = NodePrivate::generate().unwrap().public();
    assert!(allows(&coordinator, stays.key()).await);
    for key in [expires.key(), removed.key(), waits.key(), stranger, NodePublic::default()] {
        assert!(!allows(&coordinator, key).await);
    }
}

#[tokio::test]
async fn what_is_no_question_is_refused_and_what_is_long_is_not_read() {
    let coordinator = Coordinator::start().await;
    for body in ["", "{}", "[]", r#"{ "NodePublic": "nodekey:zz", "Source": "" }"#, "\u{fffd}"] {
        let (status, answer) = ask(coordinator.address, body).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer.contains("NodePublic") && !answer.contains("zz"), "{answer}");
    }
    let key = NodePrivate::generate().unwrap().public();
    let long = json!({ "NodePublic": key, "Source": "x".repeat(4096) }).to_string();
    assert_eq!(ask(coordinator.address, &long).await.0, 413);
}
