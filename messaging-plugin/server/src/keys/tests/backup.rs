//! The backup of sessions.

use axum::http::Method;
use serde_json::{Value, json};

use super::refused;
use crate::testing::{TestClient, TestServer};

const VERSION: &str = "/_matrix/client/v3/room_keys/version";
const KEYS: &str = "/_matrix/client/v3/room_keys/keys";

fn algorithm(key: &str) -> Value {
    json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": {"public_key": key, "signatures": {}},
    })
}

fn session(index: u64, text: &str) -> Value {
    json!({
        "first_message_index": index,
        "forwarded_count": 0,
        "is_verified": true,
        "session_data": {"ciphertext": text, "ephemeral": "e", "mac": "m"},
    })
}

async fn create(client: &TestClient) -> String {
    let version = client.post(VERSION, algorithm("abc")).await;
    version["version"].as_str().unwrap().to_owned()
}

async fn delete(client: &TestClient, path: &str) -> Value {
    client.ok(Method::DELETE, path, Value::Null).await
}

#[tokio::test]
async fn versions_follow_each_other() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    refused(&kim, (Method::GET, VERSION, Value::Null), (404, "M_NOT_FOUND")).await;
    let first = create(&kim).await;
    let second = create(&kim).await;
    let shown = kim.get(VERSION).await;
    assert_eq!((&shown["version"], &shown["count"]), (&json!(second), &json!(0)));
    assert_eq!(shown["auth_data"], algorithm("abc")["auth_data"]);
    assert_eq!(kim.get(&format!("{VERSION}/{first}")).await["version"], json!(first));
    let path = format!("{VERSION}/{second}");
    kim.put(&path, algorithm("def")).await;
    assert_eq!(kim.get(&path).await["auth_data"], algorithm("def")["auth_data"]);
    for wrong in [
        json!({"algorithm": "other", "auth_data": {}}),
        json!({"algorithm": algorithm("")["algorithm"], "auth_data": {}, "version": first}),
    ] {
        refused(&kim, (Method::PUT, &path, wrong), (400, "M_INVALID_PARAM")).await;
    }
    delete(&kim, &path).await;
    refused(&kim, (Method::GET, &path, Value::Null), (404, "M_NOT_FOUND")).await;
    assert_eq!(kim.get(VERSION).await["version"], json!(first));
    assert!(![first, second].contains(&create(&kim).await), "a number is not used again");
}

#[tokio::test]
async fn the_better_of_two_sessions_is_kept() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let version = create(&kim).await;
    let path = format!("{KEYS}/%21room:maru.test/one?version={version}");
    let first = kim.put(&path, session(5, "later")).await;
    let second = kim.put(&path, session(2, "earlier")).await;
    let third = kim.put(&path, session(9, "much later")).await;
    assert_ne!(first["etag"], second["etag"]);
    assert_eq!((&second["etag"], &third["count"]), (&third["etag"], &json!(1)));
    assert_eq!(kim.get(&path).await, session(2, "earlier"));
    assert_eq!(kim.get(VERSION).await["etag"], third["etag"]);
}

#[tokio::test]
async fn sessions_are_read_by_room_and_all_together() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let version = create(&kim).await;
    let all = format!("{KEYS}?version={version}");
    assert_eq!(kim.get(&all).await, json!({"rooms": {}}));
    let sessions = |count: u64| {
        let session = |number| (format!("s{number:04}\""), session(number, "text"));
        json!({"sessions": serde_json::Map::from_iter((0..count).map(session))})
    };
    // More than are read at once, and exactly as many.
    let rooms = json!({"rooms": {"!a:maru.test": sessions(150), "!b:maru.test": sessions(50)}});
    assert_eq!(kim.put(&all, rooms.clone()).await["count"], 200);
    assert_eq!(kim.get(&all).await, rooms);
    let room = format!("{KEYS}/%21c:maru.test?version={version}");
    assert_eq!(kim.get(&room).await, json!({"sessions": {}}));
    assert_eq!(kim.put(&room, sessions(100)).await["count"], 300);
    assert_eq!(kim.get(&room).await, sessions(100));
    assert_eq!(delete(&kim, &room).await["count"], 200);
    let one = format!("{KEYS}/%21a:maru.test/s0001%22?version={version}");
    assert_eq!(kim.get(&one).await, session(1, "text"));
    assert_eq!(delete(&kim, &one).await["count"], 199);
    refused(&kim, (Method::GET, &one, Value::Null), (404, "M_NOT_FOUND")).await;
    assert_eq!(delete(&kim, &all).await["count"], 0);
    assert_eq!(kim.get(&all).await, json!({"rooms": {}}));
}

#[tokio::test]
async fn an_older_version_takes_no_sessions() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let path = |version: &str| format!("{KEYS}/%21room:maru.test/one?version={version}");
    let upload = (Method::PUT, &*path("1"), session(1, "text"));
    refused(&kim, upload, (404, "M_NOT_FOUND")).await;
    let (first, second) = (create(&kim).await, create(&kim).await);
    for version in [&*first, "99", "x"] {
        let upload = (Method::PUT, &*path(version), session(1, "text"));
        let answer = refused(&kim, upload, (403, "M_WRONG_ROOM_KEYS_VERSION")).await;
        assert_eq!(answer["current_version"], json!(second));
    }
    refused(&kim, (Method::GET, &path("x"), Value::Null), (404, "M_NOT_FOUND")).await;
}

#[tokio::test]
async fn another_persons_backup_does_not_exist() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let version = create(&kim).await;
    let key = format!("{KEYS}/%21room:maru.test/one?version={version}");
    kim.put(&key, session(1, "text")).await;
    let named = format!("{VERSION}/{version}");
    let all = format!("{KEYS}?version={version}");
    for call in [
        (Method::GET, VERSION, Value::Null),
        (Method::GET, &named, Value::Null),
        (Method::PUT, &named, algorithm("def")),
        (Method::DELETE, &named, Value::Null),
        (Method::GET, &all, Value::Null),
        (Method::DELETE, &all, Value::Null),
        (Method::GET, &key, Value::Null),
        (Method::PUT, &key, session(0, "mine")),
        (Method::DELETE, &key, Value::Null),
    ] {
        refused(&min, call, (404, "M_NOT_FOUND")).await;
    }
    assert_eq!(kim.get(&key).await, session(1, "text"));
}

#[tokio::test]
async fn old_versions_are_deleted() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let mut versions = Vec::new();
    for _ in 0..6 {
        versions.push(create(&kim).await);
    }
    let path = |number: usize| format!("{VERSION}/{}", versions[number]);
    refused(&kim, (Method::GET, &path(0), Value::Null), (404, "M_NOT_FOUND")).await;
    assert_eq!(kim.get(&path(1)).await["version"], json!(versions[1]));
}
