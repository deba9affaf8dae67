//! New rooms.

use axum::http::Method;
use serde_json::json;

use super::{api, at, encode, forbidden, refused, room, two};
use crate::{
    rooms::{enter_home, leave_all},
    testing::{TestClient, TestServer},
};

#[tokio::test]
async fn a_direct_chat_has_its_state_and_invites_the_other() {
    let (_server, alice, bob) = two().await;
    let id = room(
        &alice,
        json!({
            "preset": "trusted_private_chat",
            "is_direct": true,
            "invite": [bob.user],
            "initial_state": [{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}],
        }),
    )
    .await;

    let state = alice.get(&at(&id, "state")).await;
    let kinds: Vec<&str> =
        state.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    for kind in ["m.room.create", "m.room.encryption", "m.room.join_rules", "m.room.power_levels"] {
        assert!(kinds.contains(&kind), "{kind}");
    }
    let member = at(&id, &format!("state/m.room.member/{}", encode(bob.user.as_str())));
    let member = alice.get(&member).await;
    assert_eq!((&member["membership"], &member["is_direct"]), (&json!("invite"), &json!(true)));
    assert_eq!(alice.get(&api("joined_rooms")).await, json!({"joined_rooms": [id]}));
    assert_eq!(bob.get(&api("joined_rooms")).await, json!({"joined_rooms": []}));
}

#[tokio::test]
async fn who_is_no_person_cannot_be_invited_whoever_it_would_be() {
    let (_server, alice, _bob) = two().await;
    for user in ["@maru:maru.test", "@nobody:maru.test", "@bob:elsewhere.test"] {
        let request = json!({"invite": [user]});
        let answer = refused(&alice, Method::POST, &api("createRoom"), request).await;
        assert_eq!(answer, (400, "M_INVALID_PARAM".to_owned()), "{user}");
        let id = room(&alice, json!({})).await;
        let answer =
            refused(&alice, Method::POST, &at(&id, "invite"), json!({"user_id": user})).await;
        assert_eq!(answer, (400, "M_INVALID_PARAM".to_owned()), "{user}");
    }
}

#[tokio::test]
async fn a_refused_room_leaves_nothing_behind() {
    let (_server, alice, bob) = two().await;
    let garden = room(&alice, json!({"room_alias_name": "garden"})).await;
    let request = json!({"room_alias_name": "garden"});
    let answer = refused(&bob, Method::POST, &api("createRoom"), request).await;
    assert_eq!(answer, (400, "M_ROOM_IN_USE".to_owned()));

    let stolen =
        json!({"type": "m.room.canonical_alias", "content": {"alias": "#garden:maru.test"}});
    let request = json!({"initial_state": [stolen], "room_alias_name": "other"});
    let answer = refused(&bob, Method::POST, &api("createRoom"), request).await;
    assert_eq!(answer, (400, "M_BAD_ALIAS".to_owned()));

    assert_eq!(bob.get(&api("joined_rooms")).await, json!({"joined_rooms": []}));
    let path = api("directory/room/%23garden%3Amaru.test");
    assert_eq!(bob.get(&path).await["room_id"], json!(garden));
    room(&bob, json!({"room_alias_name": "other"})).await;
}

#[tokio::test]
async fn there_is_one_room_version() {
    let (_server, alice, _bob) = two().await;
    let version = |version| json!({"room_version": version});
    let expected = (400, "M_UNSUPPORTED_ROOM_VERSION".to_owned());
    let answer = refused(&alice, Method::POST, &api("createRoom"), version("10")).await;
    assert_eq!(answer, expected);
    let id = room(&alice, version("11")).await;
    let request = json!({"new_version": "12"});
    let answer = refused(&alice, Method::POST, &at(&id, "upgrade"), request).await;
    assert_eq!(answer, expected);
}

async fn enter(server: &TestServer, client: &TestClient) {
    let user = client.user.clone();
    let write =
        server.homeserver.write(move |tx| Box::pin(async move { enter_home(tx, &user).await }));
    write.await.unwrap();
}

#[tokio::test]
async fn everybody_enters_the_same_home() {
    let (server, alice, bob) = two().await;
    for client in [&alice, &bob, &alice] {
        enter(&server, client).await;
    }
    let home = alice.get(&api("directory/room/%23home%3Amaru.test")).await;
    let home = home["room_id"].as_str().unwrap().to_owned();
    for client in [&alice, &bob] {
        assert_eq!(client.get(&api("joined_rooms")).await, json!({"joined_rooms": [home]}));
    }
    let encryption = bob.get(&at(&home, "state/m.room.encryption/")).await;
    assert_eq!(encryption["algorithm"], "m.megolm.v1.aes-sha2");

    // The first person looks after it; the alias, by which the next one enters, stays.
    let path = api("directory/room/%23home%3Amaru.test");
    assert_eq!(refused(&alice, Method::DELETE, &path, json!({})).await, forbidden());
    alice.post(&at(&home, "ban"), json!({"user_id": bob.user})).await;
    enter(&server, &bob).await;
    assert_eq!(bob.get(&api("joined_rooms")).await, json!({"joined_rooms": []}));
}

#[tokio::test]
async fn a_removed_person_leaves_all_rooms_and_invitations() {
    let (server, alice, bob) = two().await;
    let mut rooms = Vec::new();
    for joins in [true, true, false] {
        let id = room(&alice, json!({"invite": [bob.user]})).await;
        if joins {
            bob.post(&at(&id, "join"), json!({})).await;
        }
        rooms.push(id);
    }
    let user = bob.user.clone();
    let write =
        server.homeserver.write(move |tx| Box::pin(async move { leave_all(tx, &user).await }));
    write.await.unwrap();

    for id in rooms {
        let member = at(&id, &format!("state/m.room.member/{}", encode(bob.user.as_str())));
        assert_eq!(alice.get(&member).await["membership"], "leave");
    }
    assert_eq!(bob.get(&api("joined_rooms")).await, json!({"joined_rooms": []}));
}
