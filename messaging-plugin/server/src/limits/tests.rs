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

/// Five hundred messages that were written without the home are sent at once; more than a thousand at the rate, and in order.
#[tokio::test]
async fn an_outbox_beyond_the_allowance_is_sent_whole_by_an_app_that_waits_as_it_is_told() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let room = server.room(&kim, |_| {}).await;
    let path = format!("/_matrix/client/v3/rooms/{}", TestClient::room(&room));
    flood(&kim, Method::POST, "/_matrix/client/v3/rooms/%21none%3Amaru.test/leave").await;
    let (mut refused, numbers) = (0, 0..20);
    for number in numbers.clone() {
        let send = format!("{path}/send/m.room.message/{number}");
        let text = json!({"msgtype": "m.text", "body": number.to_string()});
        while let (StatusCode::TOO_MANY_REQUESTS, limited) =
            kim.call(Method::PUT, &send, text.clone()).await
        {
            refused += 1;
            let wait = limited["retry_after_ms"].as_u64().unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        }
    }
    assert!(
        (1..=60).contains(&refused),
        "{refused}: an app that waits so long is seldom refused again"
    );
    let page = kim.get(&format!("{path}/messages?dir=f&limit=100")).await;
    let events = page["chunk"].as_array().unwrap().iter();
    let texts = events.filter_map(|event| event["content"]["body"].as_str());
    assert!(texts.eq(numbers.map(|number| number.to_string())));
}
