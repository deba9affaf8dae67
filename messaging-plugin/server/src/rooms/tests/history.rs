//! Reading what was said.

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    at, encode, forbidden, ids, not_found, refused, room, say, send, shared, state, texts, two, v1,
};

fn texts_of(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn pages_lead_through_the_whole_history_both_ways() {
    let (_server, alice, _bob) = two().await;
    let id = room(&alice, json!({})).await;
    for text in texts_of(0..25) {
        say(&alice, &id, &text).await;
    }
    for direction in ["b", "f"] {
        let (mut from, mut seen, mut pages) = (String::new(), Vec::new(), 0);
        loop {
            let path = at(&id, &format!("messages?dir={direction}&limit=7{from}"));
            let page = alice.get(&path).await;
            seen.extend(ids(&page["chunk"]).into_iter().zip(texts_or_type(&page["chunk"])));
            pages += 1;
            let Some(end) = page["end"].as_str() else { break };
            from = format!("&from={end}");
            assert!(pages < 20);
        }
        let all: Vec<String> = seen.iter().map(|(id, _)| id.clone()).collect();
        let unique: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(unique.len(), all.len(), "no event is there twice");
        let mut said: Vec<String> =
            seen.into_iter().map(|(_, text)| text).filter(|text| text.len() < 3).collect();
        if direction == "b" {
            said.reverse();
        }
        assert_eq!(said, texts_of(0..25));
        assert_eq!(all.len(), 25 + 6);
    }
}

/// The text of each event, or its type.
fn texts_or_type(events: &Value) -> Vec<String> {
    let text = |event: &Value| {
        event["content"]["body"].as_str().or(event["type"].as_str()).unwrap().to_owned()
    };
    events.as_array().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn a_page_ends_where_it_is_asked_to() {
    let (_server, alice, _bob) = two().await;
    let id = room(&alice, json!({})).await;
    say(&alice, &id, "one").await;
    let middle = alice.get(&at(&id, "messages?dir=b&limit=1")).await;
    let token = middle["start"].as_str().unwrap();
    for text in ["two", "three"] {
        say(&alice, &id, text).await;
    }
    let path = at(&id, &format!("messages?dir=b&to={token}"));
    assert_eq!(texts(&alice.get(&path).await["chunk"]), ["three", "two"]);
    let path = at(&id, &format!("messages?dir=f&from={token}"));
    assert_eq!(texts(&alice.get(&path).await["chunk"]), ["two", "three"]);
    // Tokens of another generation start at the end.
    let path = at(&id, "messages?dir=b&limit=1&from=p99_1");
    assert_eq!(texts(&alice.get(&path).await["chunk"]), ["three"]);
}

#[tokio::test]
async fn who_comes_later_reads_what_the_visibility_allows() {
    let (_server, alice, bob) = two().await;
    for (visibility, expected) in
        [("shared", vec!["early", "late"]), ("joined", vec!["late"]), ("invited", vec!["late"])]
    {
        let id = room(&alice, json!({})).await;
        let content = json!({"history_visibility": visibility});
        state(&alice, &id, "m.room.history_visibility", content).await;
        let early = say(&alice, &id, "early").await;
        super::invite(&alice, &bob, &id).await;
        bob.post(&at(&id, "join"), json!({})).await;
        say(&alice, &id, "late").await;
        let page = bob.get(&at(&id, "messages?dir=f")).await;
        assert_eq!(texts(&page["chunk"]), expected, "{visibility}");
        for path in ["event", "context"] {
            let path = at(&id, &format!("{path}/{}", encode(&early)));
            let (status, _) = bob.call(Method::GET, &path, Value::Null).await;
            assert_eq!(status.is_success(), visibility == "shared", "{visibility}");
        }
    }
}

#[tokio::test]
async fn who_is_invited_reads_from_the_invitation_on() {
    let (_server, alice, bob) = two().await;
    let id = room(&alice, json!({})).await;
    say(&alice, &id, "early").await;
    super::invite(&alice, &bob, &id).await;
    say(&alice, &id, "late").await;
    for (direction, expected) in
        [("f", ["m.room.member", "late"]), ("b", ["late", "m.room.member"])]
    {
        // What cannot be read is not looked for.
        let page = bob.get(&at(&id, &format!("messages?dir={direction}"))).await;
        let shown = texts_or_type(&page["chunk"]);
        assert!(shown.ends_with(&expected.map(str::to_owned)) || direction == "b", "{shown:?}");
        assert!(shown.starts_with(&expected.map(str::to_owned)) || direction == "f", "{shown:?}");
        assert!(!shown.contains(&"early".to_owned()));
    }
}

#[tokio::test]
async fn an_event_is_shown_with_those_around_it() {
    let (_server, alice, _bob) = two().await;
    let id = room(&alice, json!({})).await;
    let mut sent = Vec::new();
    for text in texts_of(0..9) {
        sent.push(say(&alice, &id, &text).await);
    }
    let path = at(&id, &format!("context/{}?limit=4", encode(&sent[4])));
    let context = alice.get(&path).await;
    assert_eq!(context["event"]["event_id"], json!(sent[4]));
    assert_eq!(texts(&context["events_before"]), ["3", "2"]);
    assert_eq!(texts(&context["events_after"]), ["5", "6"]);
    let kinds: Vec<&str> = context["state"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["type"].as_str().unwrap())
        .collect();
    assert!(kinds.contains(&"m.room.create") && kinds.contains(&"m.room.member"));
    let path =
        at(&id, &format!("messages?dir=b&limit=2&from={}", context["start"].as_str().unwrap()));
    assert_eq!(texts(&alice.get(&path).await["chunk"]), ["1", "0"]);
    let path = at(&id, &format!("messages?dir=f&from={}", context["end"].as_str().unwrap()));
    assert_eq!(texts(&alice.get(&path).await["chunk"]), ["7", "8"]);
    let path = at(&id, "context/%24unknown");
    assert_eq!(refused(&alice, Method::GET, &path, Value::Null).await, not_found());
}

#[tokio::test]
async fn members_are_loaded_lazily() {
    let (server, alice, bob) = two().await;
    let carol = server.member("carol", "PHONE").await;
    let id = shared(&alice, &bob, json!({"invite": [carol.user]})).await;
    carol.post(&at(&id, "join"), json!({})).await;
    let said = say(&bob, &id, "hello").await;
    let filter = encode_json(&json!({"lazy_load_members": true}));
    for path in [
        format!("messages?dir=b&limit=1&filter={filter}"),
        format!("context/{}?limit=0&filter={filter}", encode(&said)),
    ] {
        let answer = alice.get(&at(&id, &path)).await;
        let members: Vec<&Value> =
            answer["state"].as_array().unwrap().iter().map(|event| &event["state_key"]).collect();
        assert_eq!(members, [&json!(bob.user)], "{path}");
    }
    let answer = alice.get(&at(&id, "messages?dir=b&limit=1")).await;
    assert_eq!(answer.get("state"), None);
}

fn encode_json(value: &Value) -> String {
    let text = value.to_string();
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_filter_chooses_events() {
    let (_server, alice, bob) = two().await;
    let id = shared(&alice, &bob, json!({})).await;
    say(&alice, &id, "hers").await;
    say(&bob, &id, "his").await;
    send(&bob, &id, "org.example.poll", "p", json!({"body": "poll"})).await;
    for (filter, expected) in [
        (json!({"senders": [bob.user]}), vec!["his", "poll"]),
        (json!({"types": ["m.room.message"]}), vec!["hers", "his"]),
        (json!({"not_types": ["org.*", "m.room.member"]}), vec!["hers", "his"]),
    ] {
        let path = at(&id, &format!("messages?dir=f&limit=50&filter={}", encode_json(&filter)));
        assert_eq!(texts(&alice.get(&path).await["chunk"]), expected, "{filter}");
    }
    let huge = encode_json(&json!({"types": vec!["a"; 1_001]}));
    let path = at(&id, &format!("messages?dir=f&filter={huge}"));
    assert_eq!(refused(&alice, Method::GET, &path, Value::Null).await.0, 413);
}

#[tokio::test]
async fn members_are_listed_as_they_are_and_as_they_were() {
    let (_server, alice, bob) = two().await;
    let id = room(&alice, json!({})).await;
    let before = alice.get(&at(&id, "messages?dir=b&limit=1")).await["start"].clone();
    super::invite(&alice, &bob, &id).await;
    let list = |query: String| {
        let (alice, path) = (alice.clone(), at(&id, &format!("members?{query}")));
        async move {
            let members = alice.get(&path).await["chunk"].clone();
            let users = members.as_array().unwrap().iter();
            users.map(|event| event["state_key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    let (hers, his) = (alice.user.to_string(), bob.user.to_string());
    assert_eq!(list(String::new()).await, [hers.clone(), his.clone()]);
    assert_eq!(list("membership=invite".to_owned()).await, [his]);
    assert_eq!(list("not_membership=invite".to_owned()).await, std::slice::from_ref(&hers));
    assert_eq!(list(format!("at={}", before.as_str().unwrap())).await, std::slice::from_ref(&hers));
    let joined = alice.get(&at(&id, "joined_members")).await;
    assert_eq!(joined["joined"].as_object().unwrap().keys().collect::<Vec<_>>(), [&hers]);
    assert_eq!(joined["joined"][&hers], json!({"display_name": null, "avatar_url": null}));
    // Who is only invited learns nothing of it yet.
    for path in ["members", "state", "joined_members", "state/m.room.name"] {
        assert_eq!(refused(&bob, Method::GET, &at(&id, path), Value::Null).await, forbidden());
    }
}

#[tokio::test]
async fn messages_of_ignored_people_are_not_shown() {
    let (_server, alice, bob) = two().await;
    let id = shared(&alice, &bob, json!({})).await;
    let said = say(&alice, &id, "noise").await;
    say(&bob, &id, "mine").await;
    let path = format!("user/{}/account_data/m.ignored_user_list", encode(bob.user.as_str()));
    let list = json!({"ignored_users": {alice.user.as_str(): {}}});
    bob.put(&super::api(&path), list).await;
    let page = bob.get(&at(&id, "messages?dir=b&limit=50")).await;
    assert_eq!(texts(&page["chunk"]), ["mine"]);
    let kinds = texts_or_type(&page["chunk"]);
    assert!(kinds.contains(&"m.room.create".to_owned()), "state is shown, whoever set it");
    let path = at(&id, &format!("event/{}", encode(&said)));
    assert_eq!(refused(&bob, Method::GET, &path, Value::Null).await, not_found());
    let page = alice.get(&at(&id, "messages?dir=b&limit=50")).await;
    assert_eq!(texts(&page["chunk"]), ["mine", "noise"]);
}

#[tokio::test]
async fn the_event_nearest_to_a_time_is_found() {
    let (server, alice, bob) = two().await;
    let id = shared(&alice, &bob, json!({})).await;
    let mut said = Vec::new();
    for (text, time) in [("one", 1_000_i64), ("two", 2_000), ("three", 2_000)] {
        let event = say(&alice, &id, text).await;
        let query = "UPDATE events SET time = $1 WHERE event_id = $2";
        let query = sqlx::query(query).bind(time).bind(event.clone());
        query.execute(server.homeserver.pool()).await.unwrap();
        said.push(event);
    }
    let near = |query: &str| v1(&id, &format!("timestamp_to_event?{query}"));
    for (query, index, time) in [
        ("ts=1000&dir=f", 0, 1_000),
        ("ts=1001&dir=f", 1, 2_000),
        ("ts=1999&dir=b", 0, 1_000),
        ("ts=2500&dir=b", 2, 2_000),
    ] {
        let expected = json!({"event_id": said[index], "origin_server_ts": time});
        assert_eq!(bob.get(&near(query)).await, expected, "{query}");
    }
    let none = refused(&bob, Method::GET, &near("ts=999&dir=b"), Value::Null).await;
    assert_eq!(none, not_found());
    let carol = server.member("carol", "PHONE").await;
    let answer = refused(&carol, Method::GET, &near("ts=0&dir=f"), Value::Null).await;
    assert_eq!(answer, forbidden());
}
