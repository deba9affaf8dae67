//! Redactions, which destroy what they redact.

use axum::http::Method;
use serde_json::{Value, json};
use sqlx::Row as _;

use super::{at, encode, event, not_found, refused, say, send, shared, state, two};
use crate::testing::{TestClient, TestServer};

async fn redact(client: &TestClient, room: &str, target: &str, txn: &str) -> Value {
    let path = at(room, &format!("redact/{}/{txn}", encode(target)));
    client.put(&path, json!({"reason": "oops"})).await
}

/// The content of an event as the database has it.
async fn stored(server: &TestServer, id: &str) -> String {
    let query = "SELECT content_sealed FROM events WHERE event_id = $1";
    let row = sqlx::query(query).bind(id).fetch_one(server.homeserver.pool()).await.unwrap();
    let sealed: Vec<u8> = row.get("content_sealed");
    let vault = server.homeserver.vault();
    let content = vault.open("events", "content_sealed", id.as_bytes(), &sealed).unwrap();
    String::from_utf8(content).unwrap()
}

#[tokio::test]
async fn a_redaction_destroys_the_text_and_that_of_its_edits() {
    let (server, alice, bob) = two().await;
    let room = shared(&alice, &bob, json!({})).await;
    let target = say(&alice, &room, "secret").await;
    let relation = json!({"rel_type": "m.replace", "event_id": target});
    let edit = json!({"body": "* secret 2", "m.new_content": {"body": "secret 2"}, "m.relates_to": relation});
    let edit = send(&alice, &room, "m.room.message", "e", edit).await;
    let foreign = json!({"body": "* not secret", "m.relates_to": relation});
    let foreign = send(&bob, &room, "m.room.message", "e", foreign).await;

    let redaction = redact(&alice, &room, &target, "r").await["event_id"].clone();
    assert_eq!(redact(&alice, &room, &target, "r").await["event_id"], redaction);

    let shown = event(&bob, &room, &target).await;
    assert_eq!(shown["content"], json!({}));
    let because = &shown["unsigned"]["redacted_because"];
    assert_eq!(
        (
            &because["event_id"],
            &because["redacts"],
            &because["content"]["redacts"],
            &because["content"]["reason"]
        ),
        (&redaction, &json!(target), &json!(target), &json!("oops")),
    );
    assert_eq!(shown["unsigned"].get("m.relations"), None);
    assert_eq!(stored(&server, &target).await, "{}");
    assert_eq!(stored(&server, &edit).await, "{}");
    assert!(
        stored(&server, &foreign).await.contains("not secret"),
        "another's text is not an edit"
    );
}

#[tokio::test]
async fn others_redact_with_power_only_and_only_what_is_in_the_room() {
    let (_server, alice, bob) = two().await;
    let room = shared(&alice, &bob, json!({})).await;
    let other = super::room(&alice, json!({})).await;
    let hers = say(&alice, &room, "hers").await;
    let his = say(&bob, &room, "his").await;
    let elsewhere = say(&alice, &other, "elsewhere").await;
    let path = |id: &str| at(&room, &format!("redact/{}/t", encode(id)));
    let answer = refused(&bob, Method::PUT, &path(&hers), json!({})).await;
    assert_eq!(answer, (403, "M_FORBIDDEN".to_owned()));
    for unknown in [&elsewhere, "$unknown"] {
        assert_eq!(refused(&alice, Method::PUT, &path(unknown), json!({})).await, not_found());
    }
    redact(&alice, &room, &his, "r").await;
    assert_eq!(event(&bob, &room, &his).await["content"], json!({}));
    assert_eq!(event(&bob, &room, &hers).await["content"]["body"], "hers");
}

#[tokio::test]
async fn the_event_type_redacts_as_the_endpoint_does() {
    let (_server, alice, bob) = two().await;
    let room = shared(&alice, &bob, json!({})).await;
    let target = say(&alice, &room, "secret").await;
    let path = at(&room, "send/m.room.redaction/t");
    let answer = refused(&bob, Method::PUT, &path, json!({"redacts": target})).await;
    assert_eq!(answer, (403, "M_FORBIDDEN".to_owned()));
    assert_eq!(event(&bob, &room, &target).await["content"]["body"], "secret");
    send(&alice, &room, "m.room.redaction", "t", json!({"redacts": target})).await;
    assert_eq!(event(&bob, &room, &target).await["content"], json!({}));
}

#[tokio::test]
async fn redacted_state_is_gone_from_the_room() {
    let (server, alice, bob) = two().await;
    let room = shared(&alice, &bob, json!({})).await;
    let topic = state(&alice, &room, "m.room.topic", json!({"topic": "secret"})).await;
    redact(&alice, &room, &topic, "r").await;
    assert_eq!(bob.get(&at(&room, "state/m.room.topic")).await, json!({}));
    let server = server.restart().await;
    let bob = server.client(&bob);
    assert_eq!(bob.get(&at(&room, "state/m.room.topic")).await, json!({}));
}
