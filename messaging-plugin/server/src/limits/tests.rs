use axum::http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::testing::{TestClient, TestServer};

/// Far more requests than a person may make at once.
const FLOOD: usize = 20_000;

/// Asks until a request is refused. Returns the refusal.
async fn flood(by: &TestClient, method: Method, path: &str) -> Value {
    for _ in 0..FLOOD {
        let (status, body) = by.call(method.clone(), path, json!({})).await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            return body;
        }
    }
    panic!("{FLOOD} requests were answered");
}

#[tokio::test]
async fn a_flood_of_one_person_is_refused_and_nobody_else_waits() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let laptop = server.member("kim", "LAPTOP").await;
    let path = "/_matrix/client/v3/rooms/%21none%3Amaru.test/leave";
    let refused = flood(&kim, Method::POST, path).await;
    assert_eq!(refused["errcode"], "M_LIMIT_EXCEEDED");
    assert!(refused["retry_after_ms"].as_u64().is_some_and(|wait| wait <= 1_000), "{refused}");
    // Another device is the same person.
    flood(&laptop, Method::POST, path).await;
    assert_eq!(min.call(Method::POST, path, json!({})).await.0, StatusCode::FORBIDDEN);
    // Reading and syncing go on.
    kim.get("/_matrix/client/v3/sync").await;
    let sliding = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0";
    kim.post(sliding, json!({"lists": {}})).await;
}

#[tokio::test]
async fn a_person_makes_rooms_more_slowly_than_messages() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let path = "/_matrix/client/v3/createRoom";
    // A request that makes none counts, too.
    let version = json!({"room_version": "1"});
    for made in 0..FLOOD {
        let (status, body) = kim.call(Method::POST, path, version.clone()).await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            assert!(made >= 100, "{made}");
            assert!(body["retry_after_ms"].as_u64().is_some_and(|wait| wait <= 2_000), "{body}");
            kim.put(
                "/_matrix/client/v3/profile/%40kim%3Amaru.test/displayname",
                json!({"displayname": "K"}),
            )
            .await;
            return;
        }
    }
    panic!("{FLOOD} rooms");
}
