//! Search in what is not encrypted.

use serde_json::{Value, json};

use super::{api, at, encode, room, say, shared, state, texts, two};
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
async fn pages_follow_each_other_with_what_was_said_around() {
    let (_server, alice, bob) = two().await;
    let id = shared(&alice, &bob, json!({})).await;
    for number in 0..6 {
        say(&alice, &id, &format!("soup {number}")).await;
    }
    let criteria = json!({
        "search_term": "soup", "filter": {"limit": 4, "rooms": [id]},
        "event_context": {"before_limit": 2, "after_limit": 1, "include_profile": true},
    });
    let request = json!({"search_categories": {"room_events": criteria}});
    let (mut path, mut pages) = (api("search"), Vec::new());
    loop {
        let found = bob.post(&path, request.clone()).await;
        let found = &found["search_categories"]["room_events"];
        assert_eq!(found["count"], 6);
        let texts = |path: &str| -> Vec<Value> {
            let results = found["results"].as_array().unwrap().iter();
            results.map(|result| result.pointer(path).cloned().unwrap_or_default()).collect()
        };
        pages.push((texts("/result/content/body"), found["results"][0]["context"].clone()));
        let Some(next) = found["next_batch"].as_str() else { break };
        path = api(&format!("search?next_batch={next}"));
    }
    assert_eq!(pages.len(), 2);
    let nothing = json!({"search_categories": {"room_events": {"search_term": "salad"}}});
    let nothing = bob.post(&api("search"), nothing).await;
    assert_eq!(nothing["search_categories"]["room_events"]["results"], json!([]));
    assert_eq!(pages[0].0, ["soup 5", "soup 4", "soup 3", "soup 2"]);
    assert_eq!(pages[1].0, ["soup 1", "soup 0"]);
    let context = &pages[1].1;
    let before = &context["events_before"];
    assert_eq!(
        (&before[0]["content"]["body"], before[1]["type"].as_str()),
        (&json!("soup 0"), Some("m.room.member"))
    );
    assert_eq!(texts(&context["events_after"]), ["soup 2"]);
    assert_eq!(context["profile_info"][alice.user.as_str()]["displayname"], Value::Null);
    assert!(context["profile_info"][alice.user.as_str()].is_object());
    let from = context["start"].as_str().unwrap();
    let earlier = bob.get(&at(&id, &format!("messages?dir=b&limit=1&from={from}"))).await;
    assert_ne!(earlier["chunk"][0]["event_id"], before[1]["event_id"]);
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
