//! Aliases, summaries, and the list of rooms.

use axum::http::Method;
use serde_json::{Value, json};

use super::{api, at, encode, forbidden, not_found, refused, room, shared, state, two};

fn alias(name: &str) -> String {
    api(&format!("directory/room/{}", encode(name)))
}

#[tokio::test]
async fn an_alias_leads_to_a_room_until_it_is_removed() {
    let (_server, alice, bob) = two().await;
    let id = shared(&alice, &bob, json!({})).await;
    let other = room(&bob, json!({})).await;
    let garden = alias("#garden:maru.test");
    alice.put(&garden, json!({"room_id": id})).await;
    let found = json!({"room_id": id, "servers": ["maru.test"]});
    assert_eq!(bob.get(&garden).await, found);
    let answer = refused(&bob, Method::PUT, &garden, json!({"room_id": other})).await;
    assert_eq!(answer, (409, "M_UNKNOWN".to_owned()));
    for bad in ["#garden:elsewhere.test", "#a b:maru.test", "#:maru.test"] {
        let answer = refused(&bob, Method::PUT, &alias(bad), json!({"room_id": other})).await;
        assert_eq!(answer.0, 400, "{bad}");
    }
    let list = alice.get(&at(&id, "aliases")).await;
    assert_eq!(list, json!({"aliases": ["#garden:maru.test"]}));

    assert_eq!(refused(&bob, Method::DELETE, &garden, json!({})).await, forbidden());
    let content = json!({"alias": "#garden:maru.test"});
    state(&alice, &id, "m.room.canonical_alias", content).await;
    alice.ok(Method::DELETE, &garden, json!({})).await;
    assert_eq!(refused(&bob, Method::GET, &garden, Value::Null).await, not_found());
    assert_eq!(refused(&bob, Method::DELETE, &garden, json!({})).await, not_found());
    assert_eq!(alice.get(&at(&id, "state/m.room.canonical_alias")).await, json!({}));
    bob.put(&garden, json!({"room_id": id})).await;
    bob.ok(Method::DELETE, &garden, json!({})).await;
}

#[tokio::test]
async fn a_room_calls_only_its_own_aliases_its_own() {
    let (_server, alice, bob) = two().await;
    let id = room(&alice, json!({"room_alias_name": "hers"})).await;
    room(&bob, json!({"room_alias_name": "his"})).await;
    let path = at(&id, "state/m.room.canonical_alias");
    for content in [
        json!({"alias": "#his:maru.test"}),
        json!({"alias": "#hers:maru.test", "alt_aliases": ["#none:maru.test"]}),
    ] {
        let answer = refused(&alice, Method::PUT, &path, content).await;
        assert_eq!(answer, (400, "M_BAD_ALIAS".to_owned()));
    }
    let answer = refused(&alice, Method::PUT, &path, json!({"alias": "hers"})).await;
    assert_eq!(answer, (400, "M_INVALID_PARAM".to_owned()));
    alice.put(&alias("#more:maru.test"), json!({"room_id": id})).await;
    alice.put(&path, json!({"alias": "#more:maru.test", "alt_aliases": ["#hers:maru.test"]})).await;
}

#[tokio::test]
async fn a_room_is_joined_by_its_alias() {
    let (_server, alice, bob) = two().await;
    let id = room(&alice, json!({"room_alias_name": "open", "preset": "public_chat"})).await;
    let path = |name: &str| api(&format!("join/{}", encode(name)));
    let joined = bob.post(&path("#open:maru.test"), json!({})).await;
    assert_eq!(joined, json!({"room_id": id}));
    assert_eq!(refused(&bob, Method::POST, &path("#none:maru.test"), json!({})).await, not_found());
}

#[tokio::test]
async fn a_summary_is_shown_to_who_may_enter() {
    let (_server, alice, bob) = two().await;
    let path = |id: &str| format!("/_matrix/client/v1/room_summary/{}", encode(id));
    let request =
        json!({"name": "Open", "topic": "all", "preset": "public_chat", "room_alias_name": "open"});
    let open = room(&alice, request).await;
    let summary = bob.get(&path("#open:maru.test")).await;
    let expected = json!({
        "room_id": open, "name": "Open", "topic": "all", "num_joined_members": 1, "world_readable": false,
        "guest_can_join": false, "canonical_alias": "#open:maru.test", "room_version": "11", "membership": "leave",
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&summary[field], value, "{field}");
    }
    let secret = room(&alice, json!({"name": "Secret"})).await;
    assert_eq!(refused(&bob, Method::GET, &path(&secret), Value::Null).await, not_found());
    super::invite(&alice, &bob, &secret).await;
    let summary = bob.get(&path(&secret)).await;
    assert_eq!((&summary["name"], &summary["membership"]), (&json!("Secret"), &json!("invite")));
}

#[tokio::test]
async fn the_list_has_rooms_that_were_put_on_it() {
    let (_server, alice, bob) = two().await;
    let public = |name: &str| json!({"name": name, "visibility": "public"});
    let small = room(&alice, public("Small garden")).await;
    let large = shared(&alice, &bob, public("Large kitchen")).await;
    let hidden = room(&alice, json!({"name": "Hidden", "preset": "public_chat"})).await;
    let listed = |list: &Value| {
        let rooms = list["chunk"].as_array().unwrap().iter();
        rooms.map(|room| room["room_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let list = bob.get(&api("publicRooms")).await;
    assert_eq!(listed(&list), [large.clone(), small.clone()]);
    assert_eq!(list["total_room_count_estimate"], 2);
    let rules = [&list["chunk"][0]["join_rule"], &list["chunk"][1]["join_rule"]];
    assert_eq!(rules, ["public", "public"]);
    let first = bob.get(&api("publicRooms?limit=1")).await;
    let query = format!("publicRooms?limit=1&since={}", first["next_batch"].as_str().unwrap());
    let second = bob.get(&api(&query)).await;
    assert_eq!((listed(&second), second.get("next_batch")), (vec![small.clone()], None));
    let search = json!({"filter": {"generic_search_term": "GARDEN"}});
    assert_eq!(listed(&bob.post(&api("publicRooms"), search).await), [small]);

    let path = api(&format!("directory/list/room/{}", encode(&large)));
    let request = json!({"visibility": "private"});
    assert_eq!(refused(&bob, Method::PUT, &path, request.clone()).await, forbidden());
    assert_eq!(bob.get(&path).await, json!({"visibility": "public"}));
    alice.put(&path, request).await;
    assert_eq!(bob.get(&path).await, json!({"visibility": "private"}));
    let path = api(&format!("directory/list/room/{}", encode(&hidden)));
    alice.put(&path, json!({"visibility": "public"})).await;
    let spaces = json!({"filter": {"room_types": ["m.space"]}});
    assert_eq!(listed(&bob.post(&api("publicRooms"), spaces).await), Vec::<String>::new());
}
