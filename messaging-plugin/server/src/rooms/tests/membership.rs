//! Who becomes, and who is no longer, a member.

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    api, at, encode, event, forbidden, invite, refused, room, say, shared, state, texts, two,
};
use crate::testing::TestClient;

/// The membership of a person, as a member sees it.
async fn membership(by: &TestClient, of: &TestClient, room: &str) -> Value {
    let path = at(room, &format!("state/m.room.member/{}", encode(of.user.as_str())));
    by.get(&path).await["membership"].clone()
}

#[tokio::test]
async fn a_room_is_entered_left_and_forgotten() {
    let (_server, alice, bob) = two().await;
    let id = room(&alice, json!({})).await;
    assert_eq!(refused(&bob, Method::POST, &at(&id, "join"), json!({})).await, forbidden());
    invite(&alice, &bob, &id).await;
    // Without a body, and twice.
    for _ in 0..2 {
        let joined = bob.post(&api(&format!("join/{}", encode(&id))), Value::Null).await;
        assert_eq!(joined, json!({"room_id": id}));
    }
    say(&alice, &id, "before").await;
    let answer = refused(&bob, Method::POST, &at(&id, "forget"), json!({})).await;
    assert_eq!(answer, (400, "M_UNKNOWN".to_owned()));
    for _ in 0..2 {
        bob.post(&at(&id, "leave"), json!({"reason": "tired"})).await;
    }
    say(&alice, &id, "after").await;

    let history = at(&id, "messages?dir=b");
    assert_eq!(texts(&bob.get(&history).await["chunk"]), ["before"]);
    assert_eq!(membership(&bob, &alice, &id).await, "join");
    bob.post(&at(&id, "forget"), json!({})).await;
    assert_eq!(refused(&bob, Method::GET, &history, Value::Null).await, forbidden());
    assert_eq!(refused(&bob, Method::POST, &at(&id, "join"), json!({})).await, forbidden());

    invite(&alice, &bob, &id).await;
    bob.post(&at(&id, "join"), json!({})).await;
    assert!(!texts(&bob.get(&history).await["chunk"]).contains(&"after".to_owned()));
}

#[tokio::test]
async fn an_invitation_is_declined() {
    let (_server, alice, bob) = two().await;
    let id = room(&alice, json!({"invite": [bob.user]})).await;
    bob.post(&at(&id, "leave"), json!({})).await;
    assert_eq!(membership(&alice, &bob, &id).await, "leave");
    assert_eq!(refused(&bob, Method::GET, &at(&id, "state"), Value::Null).await, forbidden());
}

#[tokio::test]
async fn members_are_removed_and_banned_by_who_has_the_power() {
    let (server, alice, bob) = two().await;
    let carol = server.member("carol", "PHONE").await;
    let id = shared(&alice, &bob, json!({"preset": "public_chat"})).await;
    let whom = |client: &TestClient| json!({"user_id": client.user, "reason": "noise"});
    let act = |by: &TestClient, action: &'static str, target: Value| {
        let (by, path) = (by.clone(), at(&id, action));
        async move { by.call(Method::POST, &path, target).await.0.as_u16() }
    };
    assert_eq!(act(&bob, "kick", whom(&alice)).await, 403);
    assert_eq!(act(&bob, "ban", whom(&carol)).await, 403);
    assert_eq!(act(&carol, "kick", whom(&bob)).await, 403);
    assert_eq!(act(&alice, "kick", whom(&carol)).await, 403, "she is not there");
    assert_eq!(act(&alice, "unban", whom(&bob)).await, 403, "he is not banned");
    assert_eq!(act(&alice, "kick", whom(&bob)).await, 200);
    let path = at(&id, &format!("state/m.room.member/{}", encode(bob.user.as_str())));
    assert_eq!(alice.get(&path).await, json!({"membership": "leave", "reason": "noise"}));
    assert_eq!(act(&bob, "join", json!({})).await, 200);
    assert_eq!(act(&alice, "ban", whom(&bob)).await, 200);
    assert_eq!(act(&bob, "join", json!({})).await, 403);
    assert_eq!(act(&alice, "invite", whom(&bob)).await, 403);
    assert_eq!(act(&alice, "unban", whom(&bob)).await, 200);
    assert_eq!(act(&bob, "join", json!({})).await, 200);
}

#[tokio::test]
async fn who_knocks_is_let_in_by_an_invitation() {
    let (_server, alice, bob) = two().await;
    let id = room(&alice, json!({})).await;
    let knock = api(&format!("knock/{}", encode(&id)));
    assert_eq!(refused(&bob, Method::POST, &knock, json!({})).await, forbidden());
    state(&alice, &id, "m.room.join_rules", json!({"join_rule": "knock"})).await;
    assert_eq!(refused(&bob, Method::POST, &at(&id, "join"), json!({})).await, forbidden());
    bob.post(&knock, json!({"reason": "it is me"})).await;
    assert_eq!(membership(&alice, &bob, &id).await, "knock");
    invite(&alice, &bob, &id).await;
    bob.post(&at(&id, "join"), json!({})).await;
    assert_eq!(membership(&alice, &bob, &id).await, "join");
}

#[tokio::test]
async fn members_of_a_space_enter_its_rooms() {
    let (_server, alice, bob) = two().await;
    let space = room(&alice, json!({"creation_content": {"type": "m.space"}})).await;
    let id = room(&alice, json!({})).await;
    let allow = json!([{"type": "m.room_membership", "room_id": space}]);
    let rule = json!({"join_rule": "restricted", "allow": allow});
    state(&alice, &id, "m.room.join_rules", rule).await;
    assert_eq!(refused(&bob, Method::POST, &at(&id, "join"), json!({})).await, forbidden());
    // Nobody says in its own name who let it in.
    let path = at(&id, &format!("state/m.room.member/{}", encode(bob.user.as_str())));
    let forged = json!({"membership": "join", "join_authorised_via_users_server": alice.user});
    assert_eq!(refused(&bob, Method::PUT, &path, forged).await, forbidden());

    invite(&alice, &bob, &space).await;
    bob.post(&at(&space, "join"), json!({})).await;
    bob.post(&at(&id, "join"), json!({})).await;
    let member = alice.get(&path).await;
    assert_eq!(member["join_authorised_via_users_server"], json!(alice.user));
}

#[tokio::test]
async fn a_name_in_a_room_has_no_characters_that_mislead() {
    let (_server, alice, bob) = two().await;
    let id = shared(&alice, &bob, json!({})).await;
    let path = at(&id, &format!("state/m.room.member/{}", encode(bob.user.as_str())));
    let content = json!({"membership": "join", "displayname": "ali\u{202e}ce\u{200b} "});
    bob.put(&path, content).await;
    assert_eq!(alice.get(&path).await["displayname"], "alice");

    // Who invites does not choose the other's name.
    let other = room(&alice, json!({})).await;
    let path = at(&other, &format!("state/m.room.member/{}", encode(bob.user.as_str())));
    alice.put(&path, json!({"membership": "invite", "displayname": "villain"})).await;
    assert_eq!(alice.get(&path).await, json!({"membership": "invite"}));
}

#[tokio::test]
async fn who_left_does_not_see_what_happens_later() {
    let (_server, alice, bob) = two().await;
    let id = shared(&alice, &bob, json!({"name": "old"})).await;
    let message = say(&alice, &id, "before").await;
    bob.post(&at(&id, "leave"), json!({})).await;
    state(&alice, &id, "m.room.name", json!({"name": "new"})).await;
    let relation = json!({"rel_type": "m.replace", "event_id": message});
    let edit =
        json!({"body": "* later", "m.new_content": {"body": "later"}, "m.relates_to": relation});
    let edit = super::send(&alice, &id, "m.room.message", "e", edit).await;

    assert_eq!(bob.get(&at(&id, "state/m.room.name")).await, json!({"name": "old"}));
    let shown = event(&bob, &id, &message).await;
    assert_eq!(shown["unsigned"].get("m.relations"), None, "{shown}");
    let path = at(&id, &format!("event/{}", encode(&edit)));
    assert_eq!(refused(&bob, Method::GET, &path, Value::Null).await.0, 404);
    let path = at(&id, "members?membership=join");
    assert_eq!(bob.get(&path).await["chunk"].as_array().unwrap().len(), 1);
    assert_eq!(
        refused(&bob, Method::GET, &at(&id, "joined_members"), Value::Null).await,
        forbidden()
    );
}
