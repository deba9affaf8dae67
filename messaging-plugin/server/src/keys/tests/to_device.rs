//! Messages from device to device.

use axum::http::Method;
use serde_json::{Value, json};
use telmeet_core::token::Since;

use super::{refused, session, sync};
use crate::testing::{TestClient, TestServer};

/// Sends a text to a device, or to all with `*`.
async fn send(client: &TestClient, transaction: &str, to: (&TestClient, &str), text: &str) {
    let path = format!("/_matrix/client/v3/sendToDevice/m.test/{transaction}");
    let messages = json!({"messages": {to.0.user.as_str(): {to.1: {"text": text}}}});
    assert_eq!(client.put(&path, messages).await, json!({}));
}

/// The events that wait, and where the next sync continues.
async fn read(server: &TestServer, client: &TestClient, since: Since) -> (Vec<Value>, Since) {
    let mut connection = server.homeserver.pool().acquire().await.unwrap();
    let (vault, upto) = (server.homeserver.vault(), server.homeserver.clock().latest);
    let session = session(client);
    let read = sync::to_device(&mut connection, vault, &session, since, upto, usize::MAX);
    let read = read.await.unwrap();
    let events = read.events.iter().map(|event| serde_json::from_str(event.get()).unwrap());
    (events.collect(), Since::After(read.upto))
}

async fn texts(server: &TestServer, client: &TestClient) -> Vec<String> {
    let (events, _) = read(server, client, Since::Start).await;
    events.iter().map(|event| event["content"]["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn messages_reach_one_device_or_all() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let phone = server.member("min", "PHONE").await;
    let laptop = server.member("min", "LAPTOP").await;
    let mut waiting = server.homeserver.watch(&phone.user);
    send(&kim, "1", (&phone, "PHONE"), "one").await;
    assert!(waiting.has_changed().unwrap(), "a waiting sync is woken");
    waiting.mark_unchanged();
    send(&kim, "2", (&phone, "*"), "all").await;
    send(&kim, "3", (&phone, "TABLET"), "nobody").await;
    assert_eq!(texts(&server, &phone).await, ["one", "all"]);
    assert_eq!(texts(&server, &laptop).await, ["all"]);
    let (events, _) = read(&server, &laptop, Since::Start).await;
    let expected = json!({"sender": kim.user, "type": "m.test", "content": {"text": "all"}});
    assert_eq!(events, [expected]);
}

#[tokio::test]
async fn a_request_that_is_repeated_has_one_effect() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let tablet = server.member("kim", "TABLET").await;
    send(&kim, "1", (&min, "PHONE"), "first").await;
    send(&kim, "1", (&min, "PHONE"), "again").await;
    send(&tablet, "1", (&min, "PHONE"), "another device").await;
    assert_eq!(texts(&server, &min).await, ["first", "another device"]);
}

#[tokio::test]
async fn messages_wait_until_the_next_token_comes_back() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    for number in 0..250 {
        send(&kim, &number.to_string(), (&min, "PHONE"), &number.to_string()).await;
    }
    // The answer to the first sync is lost, and the server is started again.
    read(&server, &min, Since::Start).await;
    let server = server.restart().await;
    let (mut received, mut since) = (Vec::new(), Since::Start);
    for expected in [100, 100, 50, 0] {
        sync::acknowledge(&server.homeserver, &session(&min), since).await.unwrap();
        let (events, next) = read(&server, &min, since).await;
        assert_eq!(events.len(), expected);
        received.extend(events);
        since = next;
    }
    let numbers = received.iter().map(|event| event["content"]["text"].as_str().unwrap());
    assert!(numbers.eq((0..250).map(|number| number.to_string())), "in order, none twice");
    sync::acknowledge(&server.homeserver, &session(&min), since).await.unwrap();
    assert_eq!(texts(&server, &min).await, [""; 0]);
}

#[tokio::test]
async fn one_device_does_not_acknowledge_for_another() {
    let server = TestServer::start().await;
    let phone = server.member("min", "PHONE").await;
    let laptop = server.member("min", "LAPTOP").await;
    send(&phone, "1", (&phone, "*"), "all").await;
    let (_, since) = read(&server, &phone, Since::Start).await;
    sync::acknowledge(&server.homeserver, &session(&phone), since).await.unwrap();
    assert_eq!(texts(&server, &phone).await, [""; 0]);
    assert_eq!(texts(&server, &laptop).await, ["all"]);
}

#[tokio::test]
async fn the_oldest_of_too_many_messages_are_dropped() {
    let server = TestServer::start().await;
    let min = server.member("min", "PHONE").await;
    for text in ["one", "two", "three"] {
        send(&min, text, (&min, "PHONE"), text).await;
    }
    // As if ten thousand messages, then 64 MiB, came between the last one and the others.
    for (change, last, left) in [
        ("UPDATE to_device SET ordinal = 10001 WHERE ordinal = 3", "four", "three four"),
        (
            "UPDATE to_device SET total = total + 67108864 WHERE ordinal = 10002",
            "five",
            "four five",
        ),
    ] {
        sqlx::query(change).execute(server.homeserver.pool()).await.unwrap();
        send(&min, last, (&min, "PHONE"), last).await;
        assert_eq!(texts(&server, &min).await.join(" "), left);
    }
}

#[tokio::test]
async fn a_content_is_an_object_of_bounded_size() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let path = "/_matrix/client/v3/sendToDevice/m.test/1";
    for (content, expected) in [
        (json!([]), (400, "M_BAD_JSON")),
        (json!({"number": 1.5}), (400, "M_BAD_JSON")),
        (json!({"text": "x".repeat(66_000)}), (413, "M_TOO_LARGE")),
    ] {
        let messages = json!({"messages": {kim.user.as_str(): {"PHONE": content}}});
        refused(&kim, (Method::PUT, path, messages), expected).await;
    }
    assert_eq!(texts(&server, &kim).await, [""; 0]);
}
