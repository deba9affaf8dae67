//! What a person gets of the own data.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use serde_json::{Value, json};
use testkit::PATIENCE;

use crate::testing::{TestClient, TestServer};

const PATH: &str = "/maru/v1/rooms/export";

async fn export(client: &TestClient) -> Vec<Value> {
    let request = Request::builder().uri(PATH).body(Body::empty()).unwrap();
    let response = client.send(request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-ndjson");
    let body = chassis::body::whole(response.into_body(), 1 << 20, PATIENCE).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_person_gets_the_own_data_and_nobody_elses() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    // More than one page.
    for number in 0..450 {
        server.say(&kim, &room, &format!("kim {number}")).await;
    }
    server.say(&min, &room, "min 1").await;
    let data = format!("/_matrix/client/v3/user/{}/account_data/m.x", kim.user);
    kim.put(&data, json!({"colour": "green"})).await;

    let lines = export(&kim).await;
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    assert_eq!(of("person")[0]["user_id"], "@kim:maru.test");
    assert_eq!(of("device")[0]["device_id"], "PHONE");
    assert_eq!(of("room")[0]["room_id"], room.as_str());
    assert!(of("account_data").iter().any(|line| line["content"]["colour"] == "green"));
    let events = of("event");
    assert!(events.iter().all(|line| line["event"]["sender"] == "@kim:maru.test"));
    let texts = events.iter().filter(|line| line["event"]["type"] == "m.room.message");
    assert_eq!(texts.count(), 450);
    let token = kim.token.as_str();
    assert!(!lines.iter().any(|line| line.to_string().contains(token)));
    assert_eq!(export(&min).await.iter().filter(|line| line["kind"] == "event").count(), 2);
}

#[tokio::test]
async fn a_website_gets_nothing() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let request = Request::builder().method(Method::GET).uri(PATH);
    let request = request.header(header::ORIGIN, "https://evil.example").body(Body::empty());
    assert_eq!(kim.send(request.unwrap()).await.status(), StatusCode::FORBIDDEN);
}
