use serde_json::{Value, json};

use crate::testing::{TestClient, TestServer};

const THREADS: &str =
    "%7B%22room%22:%7B%22timeline%22:%7B%22unread_thread_notifications%22:true%7D%7D%7D";

/// The counts of the one room, as (`notification_count`, `highlight_count`).
async fn counts(client: &TestClient, query: &str) -> (Value, Value, Value) {
    let sync = client.get(&format!("/_matrix/client/v3/sync?{query}")).await;
    let rooms = sync["rooms"]["join"].as_object().unwrap();
    let room = rooms.values().next().unwrap();
    let unread = &room["unread_notifications"];
    let threads = room["unread_thread_notifications"].clone();
    (unread["notification_count"].clone(), unread["highlight_count"].clone(), threads)
}

#[tokio::test]
async fn messages_of_others_are_unread_until_they_are_read() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let (seo, joon) = (server.member("seo", "PHONE").await, server.member("joon", "PHONE").await);
    let room = server.room_of(&kim, &[&seo, &joon]).await;
    server.say(&kim, &room, "before").await;
    server.membership(&kim, &room, &min, "invite").await;
    server.membership(&min, &room, &min, "join").await;
    let (none, sync) = (json!(0), "");
    assert_eq!(counts(&min, sync).await.0, none, "what was before the join is not unread");

    let first = server.say(&kim, &room, "one").await;
    let encrypted = json!({"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x"});
    server.try_event(&kim, &room, ("m.room.encrypted", None), encrypted).await.unwrap();
    let mention =
        json!({"msgtype": "m.text", "body": "min", "m.mentions": {"user_ids": [min.user]}});
    server.try_event(&kim, &room, ("m.room.message", None), mention).await.unwrap();
    assert_eq!(counts(&min, sync).await, (json!(3), json!(1), Value::Null));
    server
        .state(
            &min,
            &room,
            ("m.room.member", min.user.as_str()),
            json!({"membership": "join", "displayname": "M"}),
        )
        .await;
    assert_eq!(counts(&min, sync).await.0, json!(3), "a change of the profile reads nothing");

    let path = format!("/_matrix/client/v3/rooms/{room}/receipt");
    min.post(&format!("{path}/m.read.private/{first}"), json!({})).await;
    assert_eq!(counts(&min, sync).await.0, json!(2));
    server.say(&min, &room, "answer").await;
    assert_eq!(counts(&min, sync).await.0, none, "who answers has read");
    assert_eq!(counts(&kim, sync).await.0, json!(1), "the answer");
}

#[tokio::test]
async fn threads_are_counted_for_those_who_ask() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let (min, seo) = (server.member("min", "PHONE").await, server.member("seo", "PHONE").await);
    let room = server.room_of(&kim, &[&min, &seo]).await;
    let root = server.say(&kim, &room, "root").await;
    let in_thread = json!({
        "msgtype": "m.text", "body": "thread", "m.relates_to": {"rel_type": "m.thread", "event_id": root},
    });
    let last = server.try_event(&kim, &room, ("m.room.message", None), in_thread).await.unwrap();
    let filter = format!("filter={THREADS}");
    assert_eq!(counts(&min, "").await.0, json!(2));
    let expected = json!({(root.as_str()): {"notification_count": 1, "highlight_count": 0}});
    assert_eq!(counts(&min, &filter).await, (json!(1), json!(0), expected.clone()));

    let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read");
    min.post(&format!("{path}/{root}"), json!({"thread_id": "main"})).await;
    assert_eq!(counts(&min, &filter).await, (json!(0), json!(0), expected));
    min.post(&format!("{path}/{last}"), json!({"thread_id": root})).await;
    assert_eq!(counts(&min, &filter).await, (json!(0), json!(0), Value::Null));
}

#[tokio::test]
async fn a_muted_room_has_nothing_unread() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let (min, seo) = (server.member("min", "PHONE").await, server.member("seo", "PHONE").await);
    let room = server.room_of(&kim, &[&min, &seo]).await;
    server.say(&kim, &room, "one").await;
    assert_eq!(counts(&min, "").await.0, json!(1));
    let rule = json!({
        "actions": [], "conditions": [{"kind": "event_match", "key": "room_id", "pattern": room}],
    });
    min.put(&format!("/_matrix/client/v3/pushrules/global/override/{room}"), rule).await;
    assert_eq!(counts(&min, "").await.0, json!(0));
}
