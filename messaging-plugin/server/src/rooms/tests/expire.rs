//! Messages that are kept no longer.

use std::sync::atomic::Ordering;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    rooms::expire_all,
    testing::{TestClient, TestServer},
};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Makes every message that is there as much older.
async fn age(server: &TestServer, milliseconds: i64) {
    let query = "UPDATE events SET time = time - $1";
    sqlx::query(query).bind(milliseconds).execute(server.homeserver.pool()).await.unwrap();
}

async fn texts(client: &TestClient, room: &str) -> Vec<Value> {
    let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=100");
    let page = client.get(&path).await;
    let events = page["chunk"].as_array().unwrap().iter();
    events
        .filter(|event| event["type"] == "m.room.message")
        .map(|event| event["content"]["body"].clone())
        .collect()
}

#[tokio::test]
async fn a_room_keeps_messages_as_long_as_its_state_says() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let mut rooms = Vec::new();
    for _ in 0..2 {
        let room =
            kim.post("/_matrix/client/v3/createRoom", json!({"preset": "public_chat"})).await;
        rooms.push(room["room_id"].as_str().unwrap().replace('!', "%21").replace(':', "%3A"));
    }
    let retention = format!("/_matrix/client/v3/rooms/{}/state/m.room.retention", rooms[0]);
    kim.put(&retention, json!({"max_lifetime": DAY})).await;
    let say = async |room: &str, text: &str| {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{text}");
        kim.put(&path, json!({"msgtype": "m.text", "body": text})).await
    };
    let first = say(&rooms[0], "old").await["event_id"].clone();
    say(&rooms[0], "older").await;
    say(&rooms[1], "kept").await;
    age(&server, 2 * DAY).await;
    say(&rooms[0], "new").await;
    // Who joins now reads from then on, over what is deleted.
    min.post(&format!("/_matrix/client/v3/join/{}", rooms[0]), json!({})).await;
    expire_all(&server.homeserver).await.unwrap();

    for client in [&kim, &min] {
        assert_eq!(texts(client, &rooms[0]).await, ["new"]);
    }
    assert_eq!(texts(&kim, &rooms[1]).await, ["kept"], "without that state everything is kept");
    let event = format!("/_matrix/client/v3/rooms/{}/event/{}", rooms[0], first.as_str().unwrap());
    assert_eq!(kim.call(Method::GET, &event, Value::Null).await.0, StatusCode::NOT_FOUND);
    let rows = "SELECT COUNT(*) FROM events WHERE state_key IS NULL";
    let rows: i64 = sqlx::query_scalar(rows).fetch_one(server.homeserver.pool()).await.unwrap();
    assert_eq!(rows, 2);
    say(&rooms[0], "newer").await;
    assert_eq!(texts(&kim, &rooms[0]).await, ["newer", "new"]);
}

#[tokio::test]
async fn the_last_message_of_a_room_loses_its_content_and_keeps_its_place() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let room = kim.post("/_matrix/client/v3/createRoom", json!({})).await;
    let room = room["room_id"].as_str().unwrap().replace('!', "%21").replace(':', "%3A");
    let retention = format!("/_matrix/client/v3/rooms/{room}/state/m.room.retention");
    kim.put(&retention, json!({"max_lifetime": DAY})).await;
    let send = async |text: &str| {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{text}");
        kim.put(&path, json!({"msgtype": "m.text", "body": text})).await;
    };
    send("secret").await;
    age(&server, 2 * DAY).await;
    for _ in 0..2 {
        expire_all(&server.homeserver).await.unwrap();
        assert_eq!(texts(&kim, &room).await, [Value::Null]);
    }
    let server = server.restart().await;
    let kim = server.client(&kim);
    expire_all(&server.homeserver).await.unwrap();
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/next");
    kim.put(&path, json!({"msgtype": "m.text", "body": "next"})).await;
    expire_all(&server.homeserver).await.unwrap();
    assert_eq!(texts(&kim, &room).await, ["next"]);
}

#[tokio::test]
async fn a_message_that_was_sent_while_the_clock_was_wrong_is_deleted_with_its_neighbours() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let room = kim.post("/_matrix/client/v3/createRoom", json!({})).await;
    let room = room["room_id"].as_str().unwrap().replace('!', "%21").replace(':', "%3A");
    let retention = format!("/_matrix/client/v3/rooms/{room}/state/m.room.retention");
    kim.put(&retention, json!({"max_lifetime": DAY})).await;
    for (text, ahead) in [("1", 0), ("behind", -400 * DAY), ("ahead", 400 * DAY), ("2", 0)] {
        server.ahead.store(ahead, Ordering::Relaxed);
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{text}");
        kim.put(&path, json!({"msgtype": "m.text", "body": text})).await;
    }
    expire_all(&server.homeserver).await.unwrap();
    assert_eq!(texts(&kim, &room).await, ["2", "ahead", "behind", "1"]);
    age(&server, 2 * DAY).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/last");
    kim.put(&path, json!({"msgtype": "m.text", "body": "last"})).await;
    expire_all(&server.homeserver).await.unwrap();
    // That one is younger than now, so it is not known how old it is.
    assert_eq!(texts(&kim, &room).await, ["last", "ahead"]);
}
