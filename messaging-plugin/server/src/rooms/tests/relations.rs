//! Edits, reactions, threads and references.

use axum::http::Method;
use serde_json::{Value, json};

use super::{encode, event, ids, not_found, refused, room, say, send, shared, two, v1};
use crate::testing::TestClient;

fn related(kind: &str, target: &str) -> Value {
    json!({"body": kind, "m.relates_to": {"rel_type": kind, "event_id": target}})
}

fn path(room: &str, target: &str, rest: &str) -> String {
    v1(room, &format!("relations/{}{rest}", encode(target)))
}

async fn react(client: &TestClient, room: &str, target: &str, key: &str) -> String {
    let relation = json!({"rel_type": "m.annotation", "event_id": target, "key": key});
    let txn = format!("{key}{}", &target[1..5]);
    send(client, room, "m.reaction", &txn, json!({"m.relates_to": relation})).await
}

#[tokio::test]
async fn relations_are_listed_by_kind_and_type_page_by_page() {
    let (_server, alice, bob) = two().await;
    let id = shared(&alice, &bob, json!({})).await;
    let target = say(&alice, &id, "hello").await;
    let mut reactions = Vec::new();
    for key in ["a", "b", "c"] {
        reactions.push(react(&bob, &id, &target, key).await);
    }
    let reply = send(&bob, &id, "m.room.message", "t", related("m.thread", &target)).await;
    let indirect = react(&alice, &id, &reply, "d").await;

    let all = alice.get(&path(&id, &target, "")).await;
    let mut expected = reactions.clone();
    expected.push(reply.clone());
    expected.reverse();
    assert_eq!(ids(&all["chunk"]), expected);
    let only = alice.get(&path(&id, &target, "/m.annotation?dir=f")).await;
    assert_eq!(ids(&only["chunk"]), reactions);
    let only = alice.get(&path(&id, &target, "/m.thread/m.room.message")).await;
    assert_eq!(ids(&only["chunk"]), std::slice::from_ref(&reply));
    let none = alice.get(&path(&id, &target, "/m.thread/m.room.encrypted")).await;
    assert_eq!(none["chunk"], json!([]));
    let deep = alice.get(&path(&id, &target, "?recurse=true&limit=1")).await;
    assert_eq!(ids(&deep["chunk"]), [indirect]);
    assert_eq!(deep["recursion_depth"], 3);

    let (mut from, mut seen) = (String::new(), Vec::new());
    loop {
        let page = alice.get(&path(&id, &target, &format!("?limit=3{from}"))).await;
        seen.extend(ids(&page["chunk"]));
        let Some(next) = page["next_batch"].as_str() else { break };
        from = format!("&from={next}");
    }
    assert_eq!(seen, expected);
    let unknown = path(&id, "$unknown", "");
    assert_eq!(refused(&alice, Method::GET, &unknown, Value::Null).await, not_found());
}

#[tokio::test]
async fn an_event_comes_with_its_latest_edit_and_its_thread() {
    let (_server, alice, bob) = two().await;
    let id = shared(&alice, &bob, json!({})).await;
    let target = say(&alice, &id, "hello").await;
    let edit = |text: &str| {
        json!({"body": "* ", "m.new_content": {"body": text},
            "m.relates_to": {"rel_type": "m.replace", "event_id": target}})
    };
    send(&alice, &id, "m.room.message", "e1", edit("hello 1")).await;
    send(&alice, &id, "m.room.message", "e2", edit("hello 2")).await;
    send(&bob, &id, "m.room.message", "e3", edit("hijacked")).await;
    let latest = send(&bob, &id, "m.room.message", "t", related("m.thread", &target)).await;
    let other = room(&bob, json!({})).await;
    send(&bob, &other, "m.room.message", "t", related("m.thread", &target)).await;

    let shown = event(&alice, &id, &target).await;
    let relations = &shown["unsigned"]["m.relations"];
    assert_eq!(relations["m.replace"]["content"]["m.new_content"]["body"], "hello 2");
    let thread = &relations["m.thread"];
    assert_eq!(
        (
            &thread["count"],
            &thread["latest_event"]["event_id"],
            &thread["current_user_participated"]
        ),
        (&json!(1), &json!(latest), &json!(true)),
    );
}

#[tokio::test]
async fn threads_are_listed_by_their_latest_event() {
    let (_server, alice, bob) = two().await;
    let id = shared(&alice, &bob, json!({})).await;
    let mut roots = Vec::new();
    for text in ["one", "two", "three"] {
        roots.push(say(&alice, &id, text).await);
    }
    let [one, two, three] = &roots[..] else { panic!() };
    for (number, root) in [one, three, two, one].into_iter().enumerate() {
        let sender = if root == three { &bob } else { &alice };
        let txn = format!("t{number}");
        send(sender, &id, "m.room.message", &txn, related("m.thread", root)).await;
    }
    let list = |client: &TestClient, query: &str| {
        let (client, path) = (client.clone(), v1(&id, &format!("threads{query}")));
        async move { client.get(&path).await }
    };
    assert_eq!(ids(&list(&alice, "").await["chunk"]), [one, two, three].map(Clone::clone));
    let participated = list(&bob, "?include=participated").await;
    assert_eq!(ids(&participated["chunk"]), std::slice::from_ref(three));
    let first = list(&bob, "?limit=2").await;
    assert_eq!(ids(&first["chunk"]), [one, two].map(Clone::clone));
    let query = format!("?limit=2&from={}", first["next_batch"].as_str().unwrap());
    let second = list(&bob, &query).await;
    assert_eq!(ids(&second["chunk"]), std::slice::from_ref(three));
    assert_eq!(second.get("next_batch"), None);
}
