//! What a client may not do: too large, too early, again, too often, without reading, from elsewhere.

use std::num::NonZeroU32;

use ai_gateway_api::settings::origin::Origin;
use mesh_identity::LOCAL;
use serde_json::json;

use super::{
    super::{ada, bob, gateway, gateway_with},
    client::{Received, signed},
    main, question,
};

/// Status codes of close frames (RFC 6455, section 7.4.1).
const PROTOCOL: u16 = 1002;
const UNSUPPORTED: u16 = 1003;
const TEXT: u16 = 1007;
const POLICY: u16 = 1008;
const TOO_LARGE: u16 = 1009;

#[tokio::test]
async fn a_frame_of_every_wrong_kind_closes_its_connection_alone() {
    let gateway = gateway();
    let mut other = gateway.operator(&ada()).await;
    for (first, payload, status) in [
        (0x82, &b"{}"[..], UNSUPPORTED),
        (0x83, b"", PROTOCOL),
        (0x80, b"a continuation of nothing", PROTOCOL),
        (0xc1, b"compressed", PROTOCOL),
        (0x81, b"\xff", TEXT),
        (0x81, b"not JSON", POLICY),
        (0x81, b"{}", POLICY),
        (0x81, b"{\"type\":\"req\",\"id\":\"1\",\"method\":7}", POLICY),
    ] {
        let mut client = gateway.operator(&ada()).await;
        client.send(first, payload).await;
        assert_eq!(client.closed().await, status, "{first:x} {payload:?}");
        assert!(matches!(client.next().await, Received::End));
    }
    let mut unmasked = gateway.operator(&ada()).await;
    tokio::io::AsyncWriteExt::write_all(&mut unmasked.io, b"\x81\x02{}").await.unwrap();
    assert_eq!(unmasked.closed().await, PROTOCOL);
    other.call("health", &json!({})).await;
}

#[tokio::test]
async fn messages_are_bounded_more_before_the_handshake_than_after() {
    let gateway = gateway();
    let message = |bytes: usize| vec![b' '; bytes];
    let mut client = gateway.open(&ada()).await;
    client.send(0x81, &message((64 << 10) + 1)).await;
    assert_eq!(client.closed().await, TOO_LARGE);
    let mut client = gateway.open(&ada()).await;
    client.send(0x81, &message(64 << 10)).await;
    assert_eq!(client.closed().await, POLICY, "it is read, and no request");

    let mut client = gateway.operator(&ada()).await;
    client.call("health", &json!({"padding": "x".repeat(900 << 10)})).await;
    let free = gateway.app.bodies.free();
    client.call("health", &json!({})).await;
    assert_eq!(gateway.app.bodies.free(), free, "its memory was given back");
    client.send(0x81, &message((1 << 20) + 1)).await;
    assert_eq!(client.closed().await, TOO_LARGE);
    let mut client = gateway.operator(&ada()).await;
    for _ in 0..17 {
        client.send(0x01, &message(60 << 10)).await;
        client.send(0x00, &message(1 << 10)).await;
    }
    assert_eq!(client.closed().await, PROTOCOL, "a message within a message");
}

#[tokio::test]
async fn a_method_before_the_handshake_is_refused() {
    let gateway = gateway();
    for method in ["health", "chat.history", "sessions.list"] {
        let mut client = gateway.open(&ada()).await;
        let error = client.fail(method, &main()).await;
        assert_eq!(error["message"], "the first request has to be connect");
        assert_eq!(client.closed().await, POLICY);
    }
}

#[tokio::test]
async fn a_nonce_is_of_one_connection_and_used_once() {
    let gateway = gateway();
    let mut client = gateway.open(&ada()).await;
    let challenge = client.event("connect.challenge").await;
    let connect = signed(&ada(), &[], &challenge);
    client.call("connect", &connect).await;
    let again = client.fail("connect", &connect).await;
    assert_eq!(again["message"], "unknown method: connect");

    let mut replayed = gateway.open(&ada()).await;
    let error = replayed.fail("connect", &connect).await;
    assert_eq!(error["details"]["code"], "DEVICE_AUTH_NONCE_MISMATCH");
    assert_eq!(replayed.closed().await, POLICY);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "main", &"x".repeat(60_000)).await;
    let mut client = gateway.operator(&ada()).await;
    for _ in 0..200 {
        client.ask("chat.history", &main()).await;
    }
    let person = ada().header.identity.person();
    let cut = async || gateway.app.operators.present(Some(&person)).is_empty();
    testkit::eventually("the connection is cut", cut).await;
    while let Received::Frame(_) = client.next().await {}
    gateway.operator(&ada()).await.call("health", &json!({})).await;
}

#[tokio::test]
async fn connections_of_one_person_are_bounded_and_take_nothing_of_anothers() {
    let gateway = gateway();
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(gateway.open(&ada()).await);
    }
    let Err(head) = gateway.try_open(&ada(), "").await else { panic!("one too many") };
    assert!(head.starts_with("HTTP/1.1 429"), "{head}");
    gateway.operator(&bob()).await;
    drop(clients.pop());
    testkit::eventually("a place is free", async || gateway.try_open(&ada(), "").await.is_ok())
        .await;
}

#[tokio::test]
async fn requests_count_against_the_persons_rate() {
    let gateway = gateway_with(|config| {
        config.limits.burst = NonZeroU32::MIN;
        config.limits.chats_per_minute = NonZeroU32::MIN;
    });
    let mut client = gateway.operator(&ada()).await;
    client.call("chat.send", &question("one", "hi")).await;
    let error = client.fail("chat.send", &question("two", "hi")).await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("UNAVAILABLE"), &json!(true)));
    assert!(error["retryAfterMs"].as_u64().unwrap() > 0);
    for _ in 0..20 {
        client.ask("no such method", &json!({})).await;
    }
    let mut refused = 0;
    while refused == 0 {
        let Received::Frame(frame) = client.next().await else { panic!("closed") };
        refused += usize::from(frame["error"]["code"] == "UNAVAILABLE");
    }
}

#[tokio::test]
async fn a_website_opens_it_only_from_a_listed_origin_and_an_app_never() {
    const PAGE: &str = "https://control.example";
    let gateway = gateway_with(|config| config.origins = vec![PAGE.parse::<Origin>().unwrap()]);
    for (origin, opens) in [(PAGE, true), ("https://evil.example", false), ("null", false)] {
        let opened = gateway.try_open(&ada(), &format!("Origin: {origin}\r\n")).await;
        assert_eq!(opened.is_ok(), opens, "{origin}");
    }
    let key = gateway.app.apps.add("webui", crate::now_ms()).unwrap().key.reveal().to_owned();
    let bearer = format!("Authorization: Bearer {key}\r\n");
    let Err(head) = gateway.try_open_after(&LOCAL, &bearer).await else { panic!("an app") };
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    let Err(head) = gateway.try_open_after(&LOCAL, "").await else { panic!("nobody") };
    assert!(head.starts_with("HTTP/1.1 401"), "{head}");
}
