//! What both syncs show of end-to-end encryption.

use serde_json::{Value, json};

use crate::testing::{TestClient, TestServer};

const V3: &str = "/_matrix/client/v3/sync";
const SLIDING: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

/// Sends a message with this number to the phone of a person.
async fn send(sender: &TestClient, receiver: &TestClient, number: usize) {
    let path = format!("/_matrix/client/v3/sendToDevice/test/t{number}");
    let messages =
        json!({(receiver.user.as_str()): {(receiver.device.as_str()): {"number": number}}});
    sender.put(&path, json!({ "messages": messages })).await;
}

fn numbers(events: &Value) -> Vec<u64> {
    let events = events.as_array().into_iter().flatten();
    events.filter_map(|event| event["content"]["number"].as_u64()).collect()
}

async fn v3(client: &TestClient, last: Option<&Value>) -> Value {
    let since = last.map(|last| format!("?since={}", last["next_batch"].as_str().unwrap()));
    client.get(&format!("{V3}{}", since.unwrap_or_default())).await
}

/// Polls the connection for encryption, after another poll and with another token of messages.
async fn sliding(client: &TestClient, pos: Option<&Value>, since: Option<&Value>) -> Value {
    let query = pos.map(|last| format!("?pos={}", last["pos"].as_str().unwrap()));
    let since = since.map(|last| last["extensions"]["to_device"]["next_batch"].clone());
    let request = json!({
        "conn_id": "encryption",
        "extensions": {"to_device": {"enabled": true, "since": since}, "e2ee": {"enabled": true}},
    });
    client.post(&format!("{SLIDING}{}", query.unwrap_or_default()), request).await
}

#[tokio::test]
async fn messages_between_devices_are_sent_until_the_next_token_comes_back() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let first = v3(&min, None).await;
    send(&kim, &min, 1).await;
    send(&kim, &min, 2).await;
    let lost = v3(&min, Some(&first)).await;
    assert_eq!(numbers(&lost["to_device"]["events"]), [1, 2]);
    let second = v3(&min, Some(&first)).await;
    assert_eq!(numbers(&second["to_device"]["events"]), [1, 2]);
    let third = v3(&min, Some(&second)).await;
    assert_eq!(numbers(&third["to_device"]["events"]), [0; 0]);
    assert_eq!(numbers(&v3(&min, None).await["to_device"]["events"]), [0; 0], "they are deleted");
}

#[tokio::test]
async fn more_messages_than_a_sync_shows_come_with_the_next_ones() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    let mut last = v3(&min, None).await;
    for number in 0..250 {
        send(&kim, &min, number).await;
    }
    server.say(&kim, &room, "hello").await;
    let mut received = Vec::new();
    let mut timelines = 0;
    for expected in [100, 100, 50, 0] {
        last = v3(&min, Some(&last)).await;
        let numbers = numbers(&last["to_device"]["events"]);
        assert_eq!(numbers.len(), expected);
        received.extend(numbers);
        timelines += usize::from(last["rooms"]["join"][room.as_str()].is_object());
    }
    assert!(received.into_iter().eq(0..250), "in order, each once");
    assert_eq!(timelines, 1, "what else happened is not shown again");
}

#[tokio::test]
async fn sliding_sync_acknowledges_messages_by_their_own_token() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let first = sliding(&min, None, None).await;
    send(&kim, &min, 1).await;
    let second = sliding(&min, Some(&first), Some(&first)).await;
    assert_eq!(numbers(&second["extensions"]["to_device"]["events"]), [1]);
    // The connection is lost, the token is not.
    let third = sliding(&min, None, Some(&first)).await;
    assert_eq!(numbers(&third["extensions"]["to_device"]["events"]), [1]);
    let fourth = sliding(&min, None, Some(&third)).await;
    assert_eq!(numbers(&fourth["extensions"]["to_device"]["events"]), [0; 0]);
    let again = sliding(&min, None, None).await;
    assert_eq!(numbers(&again["extensions"]["to_device"]["events"]), [0; 0]);
}

#[tokio::test]
async fn a_poll_waits_for_a_message_between_devices() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let first = v3(&min, None).await;
    let path = format!("{V3}?timeout=60000&since={}", first["next_batch"].as_str().unwrap());
    let (waited, ()) = tokio::join!(min.get(&path), send(&kim, &min, 1));
    assert_eq!(numbers(&waited["to_device"]["events"]), [1]);
}

#[tokio::test]
async fn counts_of_keys_are_there_and_new_members_are_named() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let (of_v3, of_sliding) = (v3(&kim, None).await, sliding(&kim, None, None).await);
    assert_eq!(of_v3["device_unused_fallback_key_types"], json!([]));
    assert_eq!(of_sliding["extensions"]["e2ee"]["device_unused_fallback_key_types"], json!([]));
    assert_eq!(of_v3["device_one_time_keys_count"]["signed_curve25519"], 0);
    server.room_of(&kim, &[&min]).await;
    let changed = json!([min.user]);
    assert_eq!(v3(&kim, Some(&of_v3)).await["device_lists"]["changed"], changed);
    let second = sliding(&kim, Some(&of_sliding), Some(&of_sliding)).await;
    assert_eq!(second["extensions"]["e2ee"]["device_lists"]["changed"], changed);
}
