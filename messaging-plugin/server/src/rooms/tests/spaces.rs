//! The rooms of a space.

use axum::http::Method;
use serde_json::{Value, json};

use super::{forbidden, refused, room, two, v1};
use crate::testing::TestClient;

async fn space(client: &TestClient, name: &str, preset: &str) -> String {
    let request = json!({"name": name, "preset": preset, "creation_content": {"type": "m.space"}});
    room(client, request).await
}

async fn add(client: &TestClient, space: &str, child: &str, content: Value) {
    let key = super::encode(child);
    client.put(&super::at(space, &format!("state/m.space.child/{key}")), content).await;
}

fn names(rooms: &Value) -> Vec<&str> {
    let rooms = rooms["rooms"].as_array().unwrap().iter();
    rooms.map(|room| room["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_space_shows_its_rooms_in_order_and_only_those_that_one_may_see() {
    let (_server, alice, bob) = two().await;
    let top = space(&alice, "top", "public_chat").await;
    let inner = space(&alice, "inner", "public_chat").await;
    let public = |name: &str| json!({"name": name, "preset": "public_chat"});
    let (a, b) = (room(&alice, public("a")).await, room(&alice, public("b")).await);
    let secret = room(&alice, json!({"name": "secret"})).await;
    let gone = room(&alice, public("gone")).await;
    let via = |order: &str, suggested: bool| json!({"via": ["maru.test"], "order": order, "suggested": suggested});
    add(&alice, &top, &b, via("3", false)).await;
    add(&alice, &top, &inner, via("1", true)).await;
    add(&alice, &top, &secret, via("2", false)).await;
    add(&alice, &top, &gone, json!({})).await;
    add(&alice, &inner, &a, via("", true)).await;
    // A circle ends.
    add(&alice, &inner, &top, via("", true)).await;

    let all = alice.get(&v1(&top, "hierarchy")).await;
    assert_eq!(names(&all), ["top", "inner", "a", "secret", "b"]);
    let all = bob.get(&v1(&top, "hierarchy")).await;
    assert_eq!(names(&all), ["top", "inner", "a", "b"]);
    assert_eq!(all["rooms"][0]["room_type"], "m.space");
    let children = all["rooms"][0]["children_state"].as_array().unwrap();
    assert_eq!(children.len(), 3);
    assert_eq!(children[0]["state_key"], json!(inner));
    assert!(children[0]["origin_server_ts"].is_u64());

    assert_eq!(names(&bob.get(&v1(&top, "hierarchy?max_depth=1")).await), ["top", "inner", "b"]);
    let suggested = bob.get(&v1(&top, "hierarchy?suggested_only=true")).await;
    assert_eq!(names(&suggested), ["top", "inner", "a"]);
    let first = bob.get(&v1(&top, "hierarchy?limit=3")).await;
    assert_eq!(names(&first), ["top", "inner", "a"]);
    let next = first["next_batch"].as_str().unwrap();
    let second = bob.get(&v1(&top, &format!("hierarchy?limit=3&from={next}"))).await;
    assert_eq!((names(&second), second.get("next_batch")), (vec!["b"], None));

    let path = v1(&secret, "hierarchy");
    assert_eq!(refused(&bob, Method::GET, &path, Value::Null).await, forbidden());
}
