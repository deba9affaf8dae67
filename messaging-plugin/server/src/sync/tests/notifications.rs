use serde_json::{Value, json};

use crate::testing::{TestClient, TestServer};

const LIST: &str = "/_matrix/client/v3/notifications";

/// The texts of a page, each with whether it is read.
fn texts(page: &Value) -> Vec<(&str, bool)> {
    let notifications = page["notifications"].as_array().unwrap().iter();
    let text = notifications
        .map(|it| (it["event"]["content"]["body"].as_str().unwrap(), it["read"] == true));
    text.collect()
}

#[tokio::test]
async fn a_person_lists_what_the_push_rules_name() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let secret = server.room_of(&kim, &[]).await;
    let room = server.room(&kim, |_| {}).await;
    let rules = json!({"history_visibility": "shared"});
    server.state(&kim, &room, ("m.room.history_visibility", ""), rules).await;
    server.say(&kim, &room, "before").await;
    server.membership(&kim, &room, &min, "invite").await;
    server.membership(&min, &room, &min, "join").await;
    let first = server.say(&kim, &room, "one").await;
    server.say(&min, &room, "my own").await;
    server.say(&kim, &secret, "secret").await;
    let content = json!({"msgtype": "m.notice", "body": "a notice"});
    server.try_event(&kim, &room, ("m.room.message", None), content).await.unwrap();
    let content =
        json!({"msgtype": "m.text", "body": "two", "m.mentions": {"user_ids": [min.user]}});
    server.try_event(&kim, &room, ("m.room.message", None), content).await.unwrap();
    server.say(&kim, &room, "three").await;
    let path =
        format!("/_matrix/client/v3/rooms/{}/receipt/m.read/{first}", TestClient::room(&room));
    min.post(&path, json!({})).await;

    let page = min.get(LIST).await;
    assert_eq!(texts(&page), [("three", false), ("two", false), ("one", true)]);
    assert!(page["next_token"].is_null());
    let two = &page["notifications"][1];
    assert_eq!((&two["room_id"], &two["ts"]), (&json!(room), &two["event"]["origin_server_ts"]));
    assert!(two["actions"].as_array().unwrap().contains(&json!("notify")), "{two}");
    assert_eq!(two["event"]["unsigned"]["membership"], "join");
    assert_eq!(texts(&min.get(&format!("{LIST}?only=highlight")).await), [("two", false)]);
    let page = min.get(&format!("{LIST}?limit=2")).await;
    assert_eq!(texts(&page), [("three", false), ("two", false)]);
    let from = page["next_token"].as_str().unwrap();
    let page = min.get(&format!("{LIST}?limit=2&from={from}")).await;
    assert_eq!((texts(&page), &page["next_token"]), (vec![("one", true)], &Value::Null));
    assert_eq!(texts(&kim.get(LIST).await), [("my own", false)]);
}
