//! A person who deletes the account.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{TestClient, TestServer};

const DEACTIVATE: &str = "/_matrix/client/v3/account/deactivate";

async fn count(server: &TestServer, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(server.homeserver.pool()).await.unwrap()
}

/// A server with a room in which kim and min wrote.
async fn talked() -> (TestServer, TestClient, TestClient, String) {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    server.say(&kim, &room, "of kim").await;
    server.say(&min, &room, "of min").await;
    server.say(&kim, &room, "of kim, the last").await;
    let data = format!("/_matrix/client/v3/user/{}/account_data/m.x", kim.user);
    kim.put(&data, json!({"a": 1})).await;
    (server, kim, min, TestClient::room(&room))
}

async fn texts(client: &TestClient, room: &str) -> Vec<Value> {
    let page = client.get(&format!("/_matrix/client/v3/rooms/{room}/messages?dir=f")).await;
    let events = page["chunk"].as_array().unwrap().iter();
    let messages = events.filter(|event| event["type"] == "m.room.message");
    messages.map(|event| event["content"]["body"].clone()).collect()
}

#[tokio::test]
async fn an_account_is_deleted_and_begins_anew() {
    let (server, kim, min, room) = talked().await;
    let laptop = server.member("kim", "LAPTOP").await;
    let answer = kim.post(DEACTIVATE, json!({"auth": {"type": "m.login.password"}})).await;
    assert_eq!(answer["id_server_unbind_result"], "no-support");
    for app in [&kim, &laptop] {
        let who = app.call(Method::GET, "/_matrix/client/v3/account/whoami", Value::Null).await;
        assert_eq!(who.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(count(&server, "SELECT COUNT(*) FROM account_data").await, 0);
    let member = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{}", kim.user);
    assert_eq!(min.get(&member).await["membership"], "leave");
    assert_eq!(texts(&min, &room).await, ["of kim", "of min", "of kim, the last"]);
    let query =
        "SELECT COUNT(*) FROM people WHERE user_id = '@kim:maru.test' AND removed_at IS NULL";
    assert_eq!(count(&server, query).await, 1);
    let person = kim.header.identity.user.clone().unwrap();
    let again = crate::sign_in::people::entered(&server.homeserver, person).await.unwrap();
    assert_eq!(again, kim.user);
}

#[tokio::test]
async fn what_a_person_wrote_is_deleted_if_the_person_asks_for_it() {
    let (server, kim, min, room) = talked().await;
    kim.post(DEACTIVATE, json!({"erase": true})).await;
    assert_eq!(texts(&min, &room).await, ["of min"]);
    let query = "SELECT COUNT(*) FROM events WHERE sender = '@kim:maru.test' AND state_key IS NULL";
    assert_eq!(count(&server, query).await, 0);
}
