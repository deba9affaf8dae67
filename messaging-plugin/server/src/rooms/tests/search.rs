//! Search in what is not encrypted.

use serde_json::{Value, json};

use super::{api, at, encode, room, say, shared, state, two};
use crate::testing::TestClient;

async fn search(client: &TestClient, criteria: Value) -> Vec<String> {
    let request = json!({"search_categories": {"room_events": criteria}});
    let found = client.post(&api("search"), request).await;
    let results = &found["search_categories"]["room_events"]["results"];
    let events = results.as_array().into_iter().flatten().map(|result| &result["result"]);
    let text = |event: &Value| {
        let content = &event["content"];
        ["body", "topic"].iter().find_map(|field| content[field].as_str()).unwrap().to_owned()
    };
    events.map(text).collect()
}

#[tokio::test]
async fn messages_are_found_by_who_may_read_them() {
    let (_server, alice, bob) = two().await;
    let one = shared(&alice, &bob, json!({})).await;
    let other = room(&alice, json!({"topic": "Soup recipes"})).await;
    say(&alice, &one, "soup on Monday").await;
    say(&bob, &one, "Monday is fine").await;
    say(&alice, &other, "Soup for one").await;
    let redacted = say(&alice, &one, "burnt soup").await;
    alice.put(&at(&one, &format!("redact/{}/r", encode(&redacted))), json!({})).await;
    let secret = room(&alice, json!({})).await;
    say(&alice, &secret, "soup before").await;
    state(&alice, &secret, "m.room.encryption", json!({"algorithm": "m.megolm.v1.aes-sha2"})).await;

    let soup = json!({"search_term": "SOUP"});
    assert_eq!(
        search(&alice, soup.clone()).await,
        ["Soup for one", "soup on Monday", "Soup recipes"]
    );
    assert_eq!(search(&bob, soup).await, ["soup on Monday"]);
    assert_eq!(search(&bob, json!({"search_term": "monday soup"})).await, ["soup on Monday"]);
    let only = json!({"search_term": "soup", "filter": {"rooms": [one]}});
    assert_eq!(search(&alice, only).await, ["soup on Monday"]);
    let keys = json!({"search_term": "soup", "keys": ["content.topic"]});
    assert_eq!(search(&alice, keys).await, ["Soup recipes"]);
    let limited = json!({"search_term": "soup", "filter": {"limit": 1}});
    assert_eq!(search(&alice, limited).await, ["Soup for one"]);
    assert_eq!(search(&alice, json!({"search_term": "  "})).await, Vec::<String>::new());
}
