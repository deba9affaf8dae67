//! Apps that signed in.

use std::sync::Arc;

use axum::http::Method;
use serde_json::json;

use super::{Node, code};
use crate::testing::TestServer;

const DEVICES: &str = "/_matrix/client/v3/devices";

impl Node<'_> {
    async fn devices(&self, token: &str) -> Vec<String> {
        let answer = self.call(Method::GET, DEVICES, "", Some(token)).await.json();
        let devices = answer["devices"].as_array().unwrap().iter();
        devices.map(|device| device["device_id"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_person_sees_and_names_their_own_apps() {
    let server = TestServer::start().await;
    let (kim, min) = (server.node(1, "kim", "n1"), server.node(2, "min", "n2"));
    let (phone, other) = (kim.app("PHONE").await, min.app("OTHER").await);
    kim.app("LAPTOP").await;
    let mut devices = kim.devices(&phone).await;
    devices.sort();
    assert_eq!(devices, ["LAPTOP", "PHONE"]);
    let path = format!("{DEVICES}/LAPTOP");
    let name = json!({"display_name": "Desk \u{202e}top"}).to_string();
    assert_eq!(kim.call(Method::PUT, &path, &name, Some(&phone)).await.status, 200);
    assert_eq!(kim.call(Method::PUT, &path, "{}", Some(&phone)).await.status, 200);
    let shown = kim.call(Method::GET, &path, "", Some(&phone)).await.json();
    assert_eq!(shown["display_name"], "Desk top");
    assert!(shown["last_seen_ts"].as_u64().unwrap() > 1_700_000_000_000);
    for (method, body) in [(Method::GET, ""), (Method::PUT, &*name)] {
        let answer = min.call(method, &path, body, Some(&other)).await;
        assert_eq!(code(&answer), (404, "M_NOT_FOUND".to_owned()), "somebody else's");
    }
}

#[tokio::test]
async fn removed_apps_lose_everything() {
    let server = TestServer::start().await;
    let (kim, min) = (server.node(1, "kim", "n1"), server.node(2, "min", "n2"));
    let (first, other) = (kim.app("PHONE").await, min.app("OTHER").await);
    for sql in [
        "INSERT INTO pushers VALUES ('@kim:maru.test', 'a', 'b', 'PHONE', '{}')",
        "INSERT INTO device_keys VALUES ('@kim:maru.test', 'PHONE', '{}')",
        "INSERT INTO memberships VALUES ('@kim:maru.test', '!r', 'join', 1, 1, 0)",
        "INSERT INTO memberships VALUES ('@min:maru.test', '!r', 'join', 1, 1, 0)",
    ] {
        sqlx::query(sql).execute(server.homeserver.pool()).await.unwrap();
    }
    let path = format!("{DEVICES}/PHONE");
    assert_eq!(min.call(Method::DELETE, &path, "{}", Some(&other)).await.status, 200);
    assert_eq!(kim.who_am_i(&first).await.status, 200, "somebody else removed nothing");

    let user = ruma::UserId::parse("@min:maru.test").unwrap();
    let woken = server.homeserver.watch(&user);
    let answer = kim.call(Method::POST, "/_matrix/client/v3/logout", "", Some(&first)).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
    assert_eq!(code(&kim.who_am_i(&first).await), (401, "M_UNKNOWN_TOKEN".to_owned()));
    assert!(woken.has_changed().unwrap(), "who shares a room learns that the devices changed");
    for table in ["pushers", "device_keys"] {
        let count = sqlx::query_scalar::<_, i64>(match table {
            "pushers" => "SELECT COUNT(*) FROM pushers",
            _ => "SELECT COUNT(*) FROM device_keys",
        });
        let count = count.fetch_one(server.homeserver.pool()).await.unwrap();
        assert_eq!(count, 0, "{table}");
    }
    let changed = sqlx::query_scalar::<_, String>("SELECT user_id FROM device_list_changes");
    let changed = changed.fetch_all(server.homeserver.pool()).await.unwrap();
    assert_eq!(changed, ["@kim:maru.test"]);
}

#[tokio::test]
async fn several_apps_are_removed_at_once() {
    let server = TestServer::start().await;
    let kim = server.node(1, "kim", "n1");
    let (one, two, three) = (kim.app("ONE").await, kim.app("TWO").await, kim.app("THREE").await);
    let body = json!({"devices": ["ONE", "TWO", "NONE"]}).to_string();
    let path = "/_matrix/client/v3/delete_devices";
    assert_eq!(kim.call(Method::POST, path, &body, Some(&three)).await.status, 200);
    for token in [&one, &two] {
        assert_eq!(kim.who_am_i(token).await.status, 401);
    }
    assert_eq!(kim.devices(&three).await, ["THREE"]);
    let four = kim.app("FOUR").await;
    let path = "/_matrix/client/v3/logout/all";
    assert_eq!(kim.call(Method::POST, path, "", Some(&four)).await.status, 200);
    for token in [&three, &four] {
        assert_eq!(kim.who_am_i(token).await.status, 401);
    }
}

#[tokio::test]
async fn an_app_that_signs_in_again_has_one_token() {
    let server = TestServer::start().await;
    let kim = server.node(1, "kim", "n1");
    let (before, after) = (kim.app("PHONE").await, kim.app("PHONE").await);
    assert_eq!(kim.who_am_i(&before).await.status, 401);
    assert_eq!(kim.devices(&after).await, ["PHONE"]);
}

#[tokio::test]
async fn the_least_recently_used_app_makes_room() {
    let server = TestServer::start().await;
    let kim = server.node(1, "kim", "n1");
    let mut tokens = Vec::new();
    for number in 0..64 {
        tokens.push(kim.app(&format!("D{number}")).await);
    }
    let old = "UPDATE devices SET seen_at = 1 WHERE device_id = 'D7'";
    sqlx::query(old).execute(server.homeserver.pool()).await.unwrap();
    tokens.push(kim.app("NEW").await);
    assert_eq!(kim.who_am_i(&tokens[7]).await.status, 401);
    assert_eq!(kim.devices(&tokens[64]).await.len(), 64);
    for (number, token) in tokens.iter().enumerate().filter(|(number, _)| *number != 7) {
        assert_eq!(kim.who_am_i(token).await.status, 200, "{number}");
    }
}

#[tokio::test]
async fn a_request_that_waits_ends_with_its_app() {
    let server = TestServer::start().await;
    let kim = server.node(1, "kim", "n1");
    let token = kim.app("PHONE").await;
    let hash = crate::session::token_hash(&token);
    let app = server.homeserver.sign_in.tokens.get(&hash).unwrap();
    let waiting = tokio::spawn({
        let app = Arc::clone(&app);
        async move { app.ended().await }
    });
    let laptop = kim.app("LAPTOP").await;
    assert!(!waiting.is_finished());
    let path = format!("{DEVICES}/PHONE");
    assert_eq!(kim.call(Method::DELETE, &path, "{}", Some(&laptop)).await.status, 200);
    tokio::time::timeout(testkit::PATIENCE, waiting).await.expect("it ends").unwrap();
}
