//! Messages and state that clients send.

use axum::{
    body::Body,
    http::{Method, Request},
};
use serde_json::{Value, json};

use super::{api, at, event, refused, room, say, send, shared, state, two};

fn text(body: &str) -> Value {
    json!({"msgtype": "m.text", "body": body})
}

#[tokio::test]
async fn a_transaction_id_gives_the_same_event_whatever_the_body() {
    let (server, alice, _bob) = two().await;
    let tablet = server.member("alice", "TABLET").await;
    let (one, other) = (room(&alice, json!({})).await, room(&alice, json!({})).await);
    let first = send(&alice, &one, "m.room.message", "t", text("first")).await;
    assert_eq!(send(&alice, &one, "m.room.message", "t", text("second")).await, first);
    assert_eq!(event(&alice, &one, &first).await["content"]["body"], "first");

    // Another room, type or device uses the id anew.
    let others = [
        send(&alice, &other, "m.room.message", "t", text("first")).await,
        send(&alice, &one, "org.example", "t", json!({})).await,
        send(&tablet, &one, "m.room.message", "t", text("first")).await,
    ];
    assert!(!others.contains(&first), "{others:?}");

    let server = server.restart().await;
    let alice = server.client(&alice);
    assert_eq!(send(&alice, &one, "m.room.message", "t", text("third")).await, first);
}

#[tokio::test]
async fn only_the_sending_device_sees_its_transaction_id() {
    let (server, alice, bob) = two().await;
    let tablet = server.member("alice", "TABLET").await;
    let id = shared(&alice, &bob, json!({})).await;
    let sent = say(&alice, &id, "hello").await;
    for (client, expected) in
        [(&alice, json!("hello")), (&tablet, Value::Null), (&bob, Value::Null)]
    {
        let event = event(client, &id, &sent).await;
        assert_eq!(event["unsigned"]["transaction_id"], expected, "{}", client.device);
        assert_eq!(event["room_id"], json!(id));
    }
}

#[tokio::test]
async fn state_is_set_with_and_without_a_key() {
    let (_server, alice, _bob) = two().await;
    let id = room(&alice, json!({"name": "one"})).await;
    let first = state(&alice, &id, "m.room.name", json!({"name": "two"})).await;
    let again = alice.put(&at(&id, "state/m.room.name/"), json!({"name": "two"})).await;
    assert_eq!(again["event_id"], json!(first), "the same content is the same event");
    for path in ["state/m.room.name", "state/m.room.name/"] {
        assert_eq!(alice.get(&at(&id, path)).await, json!({"name": "two"}));
    }
    let whole = alice.get(&at(&id, "state/m.room.name?format=event")).await;
    assert_eq!((&whole["type"], &whole["state_key"]), (&json!("m.room.name"), &json!("")));
    let shown = event(&alice, &id, &first).await;
    assert_eq!(shown["unsigned"]["prev_content"], json!({"name": "one"}));

    alice.put(&at(&id, "state/org.example/a%2Fb"), json!({"n": 1})).await;
    assert_eq!(alice.get(&at(&id, "state/org.example/a%2Fb")).await, json!({"n": 1}));
    let answer = refused(&alice, Method::GET, &at(&id, "state/org.example/c"), Value::Null).await;
    assert_eq!(answer, (404, "M_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn what_is_too_large_or_no_event_is_refused() {
    let (_server, alice, _bob) = two().await;
    let id = room(&alice, json!({})).await;
    for (content, status, code) in [
        (text(&"a".repeat(65_536)), 413, "M_TOO_LARGE"),
        (json!({"n": 1.5}), 400, "M_BAD_JSON"),
        (json!([]), 400, "M_BAD_JSON"),
    ] {
        let path = at(&id, "send/m.room.message/t");
        assert_eq!(refused(&alice, Method::PUT, &path, content).await, (status, code.to_owned()));
    }
    let path = at(&id, &format!("send/m.room.message/{}", "t".repeat(256)));
    let answer = refused(&alice, Method::PUT, &path, text("a")).await;
    assert_eq!(answer, (400, "M_INVALID_PARAM".to_owned()));
    assert_eq!(say(&alice, &id, "b").await, say(&alice, &id, "b").await);
}

#[tokio::test]
async fn a_body_that_is_no_json_and_one_that_does_not_fit_have_their_own_codes() {
    let (_server, alice, _bob) = two().await;
    let id = room(&alice, json!({})).await;
    for (path, body, code) in [
        (at(&id, "invite"), &b"{\"user_id\": \"@bob:maru.test\""[..], "M_NOT_JSON"),
        (at(&id, "invite"), b"{\"reason\": \"\x81\"}", "M_NOT_JSON"),
        (at(&id, "invite"), b"{\"user_id\": 5}", "M_BAD_JSON"),
        (api("login"), b"{", "M_NOT_JSON"),
        (api("login"), b"{\"type\": 5}", "M_BAD_JSON"),
    ] {
        let request = Request::post(&path).body(Body::from(body)).unwrap();
        let response = alice.send(request).await;
        assert_eq!(response.status(), 400, "{path}");
        let answer = chassis::body::whole(response.into_body(), 1 << 20, testkit::PATIENCE).await;
        let answer: Value = serde_json::from_slice(&answer.unwrap()).unwrap();
        assert_eq!(answer["errcode"], code, "{path}: {answer}");
    }
    let answer = refused(&alice, Method::GET, &at(&id, "messages"), Value::Null).await;
    assert_eq!(answer, (400, "M_MISSING_PARAM".to_owned()));
    let answer = refused(&alice, Method::GET, &at(&id, "messages?dir=x"), Value::Null).await;
    assert_eq!(answer, (400, "M_INVALID_PARAM".to_owned()));
}

#[tokio::test]
async fn a_reaction_counts_once_and_a_thread_is_flat() {
    let (_server, alice, bob) = two().await;
    let id = shared(&alice, &bob, json!({})).await;
    let target = say(&alice, &id, "hello").await;
    let reaction = |key: &str| json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": target, "key": key}});
    send(&bob, &id, "m.reaction", "r1", reaction("👍")).await;
    send(&bob, &id, "m.reaction", "r2", reaction("🎉")).await;
    send(&alice, &id, "m.reaction", "r3", reaction("👍")).await;
    let path = at(&id, "send/m.reaction/r4");
    let answer = refused(&bob, Method::PUT, &path, reaction("👍")).await;
    assert_eq!(answer, (400, "M_DUPLICATE_ANNOTATION".to_owned()));

    let thread = |root: &str| json!({"body": "in it", "m.relates_to": {"rel_type": "m.thread", "event_id": root}});
    let inner = send(&bob, &id, "m.room.message", "t1", thread(&target)).await;
    let path = at(&id, "send/m.room.message/t2");
    let answer = refused(&bob, Method::PUT, &path, thread(&inner)).await;
    assert_eq!(answer, (400, "M_INVALID_PARAM".to_owned()));
}

#[tokio::test]
async fn power_decides_who_changes_what() {
    let (_server, alice, bob) = two().await;
    let id = shared(&alice, &bob, json!({})).await;
    let path = at(&id, "state/m.room.name");
    let answer = refused(&bob, Method::PUT, &path, json!({"name": "mine"})).await;
    assert_eq!(answer, (403, "M_FORBIDDEN".to_owned()));
    let mut levels = alice.get(&at(&id, "state/m.room.power_levels")).await;
    levels["users"][bob.user.as_str()] = json!(50);
    state(&alice, &id, "m.room.power_levels", levels).await;
    state(&bob, &id, "m.room.name", json!({"name": "ours"})).await;
}
