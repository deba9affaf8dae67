use axum::http::{Method, StatusCode};
use ruma::RoomId;
use serde_json::{Value, json};

use super::{content, keys, texts};
use crate::{
    sync::devices::WAITING_MAX,
    testing::{TestClient, TestServer},
};

const SYNC: &str = "/_matrix/client/v3/sync";
const LAZY: &str = "%7B%22room%22:%7B%22state%22:%7B%22lazy_load_members%22:true%7D,\
     %22timeline%22:%7B%22limit%22:2%7D%7D%7D";
const SHORT: &str = "%7B%22room%22:%7B%22timeline%22:%7B%22limit%22:2%7D%7D%7D";

/// Syncs without waiting.
async fn sync(client: &TestClient, query: &str) -> Value {
    client.get(&format!("{SYNC}?{query}")).await
}

/// The same from the `next_batch` of another.
async fn next(client: &TestClient, last: &Value) -> Value {
    sync(client, &format!("since={}", token(last))).await
}

fn token(sync: &Value) -> &str {
    sync["next_batch"].as_str().unwrap()
}

fn joined<'a>(sync: &'a Value, room: &RoomId) -> &'a Value {
    &sync["rooms"]["join"][room.as_str()]
}

#[tokio::test]
async fn the_first_sync_shows_everything_and_the_next_only_what_is_new() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    server.say(&kim, &room, "hello").await;

    let first = sync(&min, "").await;
    let shown = joined(&first, &room);
    assert_eq!(texts(&shown["timeline"]["events"]), ["hello"]);
    assert_eq!(shown["summary"]["m.joined_member_count"], 2);
    assert_eq!(shown["summary"]["m.heroes"], json!([kim.user]));
    assert_eq!(
        content(&first["account_data"]["events"], "m.push_rules")["global"]["override"][0]["default"],
        true
    );
    assert!(shown["timeline"]["events"][0]["room_id"].is_null(), "the room is named outside");

    let second = next(&min, &first).await;
    assert_eq!(second["rooms"], json!({}));
    server.say(&kim, &room, "more").await;
    let third = next(&min, &second).await;
    let shown = joined(&third, &room);
    assert_eq!(texts(&shown["timeline"]["events"]), ["more"]);
    assert_eq!((&shown["state"], &shown["timeline"]["limited"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn rooms_of_others_are_not_shown() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[]).await;
    let first = sync(&min, "").await;
    assert_eq!(first["rooms"], json!({}));
    server.say(&kim, &room, "secret").await;
    assert_eq!(next(&min, &first).await["rooms"], json!({}));
}

#[tokio::test]
async fn an_unknown_token_means_a_full_sync() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let room = server.room_of(&kim, &[]).await;
    let first = sync(&kim, "").await;
    for since in ["s9_1", "nonsense", "s1_99999", "s1_1~d9_1"] {
        let again = sync(&kim, &format!("since={since}&timeout=30000")).await;
        assert_eq!(joined(&again, &room)["state"], joined(&first, &room)["state"], "{since}");
        assert!(!content(&again["account_data"]["events"], "m.push_rules").is_null(), "{since}");
    }
}

#[tokio::test]
async fn a_token_survives_a_restart() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let room = server.room_of(&kim, &[]).await;
    let first = sync(&kim, "").await;
    let server = server.restart().await;
    let kim = server.client(&kim);
    server.say(&kim, &room, "after").await;
    let second = next(&kim, &first).await;
    assert_eq!(texts(&joined(&second, &room)["timeline"]["events"]), ["after"]);
    assert!(joined(&second, &room)["state"].is_null());
}

#[tokio::test]
async fn a_long_gap_is_limited_and_its_state_comes_before_the_timeline() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    let first = sync(&min, "").await;
    server.state(&kim, &room, ("m.room.name", ""), json!({"name": "One"})).await;
    server.state(&kim, &room, ("m.room.topic", ""), json!({"topic": "t"})).await;
    for text in ["a", "b", "c"] {
        server.say(&kim, &room, text).await;
    }
    server.state(&kim, &room, ("m.room.name", ""), json!({"name": "Two"})).await;

    let second = sync(&min, &format!("since={}&filter={SHORT}", token(&first))).await;
    let shown = joined(&second, &room);
    assert_eq!(texts(&shown["timeline"]["events"]), ["c"]);
    assert_eq!(shown["timeline"]["limited"], true);
    let state = &shown["state"]["events"];
    assert_eq!(
        content(state, "m.room.name")["name"],
        "One",
        "the state is that before the timeline"
    );
    assert_eq!(content(state, "m.room.topic")["topic"], "t");
    assert_eq!(state.as_array().unwrap().len(), 2, "only what changed: {state}");
    assert_eq!(content(&shown["timeline"]["events"], "m.room.name")["name"], "Two");
    assert!(shown["timeline"]["prev_batch"].as_str().unwrap().starts_with('p'));
}

#[tokio::test]
async fn a_sync_waits_for_a_message() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    let first = sync(&min, "").await;
    let query = format!("since={}&timeout=60000", token(&first));
    let (waited, _) = tokio::join!(sync(&min, &query), server.say(&kim, &room, "now"));
    assert_eq!(texts(&joined(&waited, &room)["timeline"]["events"]), ["now"]);
}

#[tokio::test]
async fn a_sync_waits_for_account_data_of_another_app() {
    let server = TestServer::start().await;
    let (phone, laptop) =
        (server.member("kim", "PHONE").await, server.member("kim", "LAPTOP").await);
    let first = sync(&phone, "").await;
    let query = format!("since={}&timeout=60000", token(&first));
    let path = format!("/_matrix/client/v3/user/{}/account_data/test", phone.user);
    let (waited, _) = tokio::join!(sync(&phone, &query), laptop.put(&path, json!({"a": 1.5})));
    assert_eq!(content(&waited["account_data"]["events"], "test"), &json!({"a": 1.5}));
}

#[tokio::test]
async fn too_many_waiting_syncs_of_a_device_are_refused() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let key = (kim.user.clone(), kim.device.clone());
    let permits: Vec<_> =
        (0..WAITING_MAX).map(|_| server.homeserver.syncs.wait(&key).unwrap()).collect();
    let (status, body) = kim.call(Method::GET, &format!("{SYNC}?timeout=1000"), Value::Null).await;
    assert_eq!(
        (status, &body["errcode"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("M_LIMIT_EXCEEDED"))
    );
    assert!(body["retry_after_ms"].is_u64());
    sync(&kim, "timeout=0").await;
    drop(permits);
    sync(&kim, "timeout=1").await;
}

#[tokio::test]
async fn typing_is_shown_when_it_starts_and_when_it_ends() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    let first = sync(&min, "").await;
    assert!(joined(&first, &room)["ephemeral"].is_null());
    let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", kim.user);
    let query = format!("since={}&timeout=60000", token(&first));
    let start = kim.put(&path, json!({"typing": true, "timeout": 50}));
    let (second, _) = tokio::join!(sync(&min, &query), start);
    let typing =
        |sync: &Value| content(&joined(sync, &room)["ephemeral"]["events"], "m.typing").clone();
    assert_eq!(typing(&second), json!({"user_ids": [kim.user]}));
    // Nobody says that it stopped: the time is over. Until then it may be shown again.
    let mut third = second;
    while typing(&third) == json!({"user_ids": [kim.user]}) {
        third = sync(&min, &format!("since={}&timeout=60000", token(&third))).await;
    }
    assert_eq!(typing(&third), json!({"user_ids": []}));
    let fourth = next(&min, &third).await;
    assert_eq!(fourth["rooms"], json!({}));
}

#[tokio::test]
async fn typing_goes_on_after_a_message_until_the_app_ends_it() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let room = server.room_of(&kim, &[]).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", kim.user);
    let who = async || {
        let sync = sync(&kim, "").await;
        joined(&sync, &room)["ephemeral"]["events"][0]["content"]["user_ids"].clone()
    };
    kim.put(&path, json!({"typing": true, "timeout": 120_000})).await;
    // The AI shows a reply that grows.
    server.say(&kim, &room, "Two").await;
    assert_eq!(who().await, json!([kim.user]));
    kim.put(&path, json!({"typing": false})).await;
    assert_eq!(who().await, Value::Null);
}

#[tokio::test]
async fn a_transaction_id_is_shown_to_the_sending_device_only() {
    let server = TestServer::start().await;
    let (phone, laptop) =
        (server.member("kim", "PHONE").await, server.member("kim", "LAPTOP").await);
    let room = server.room_of(&phone, &[]).await;
    server.say(&phone, &room, "hello").await;
    for (client, expected) in [(&phone, true), (&laptop, false)] {
        let shown = sync(client, "").await;
        let events = joined(&shown, &room)["timeline"]["events"].as_array().unwrap().clone();
        let unsigned = &events.last().unwrap()["unsigned"];
        assert_eq!(unsigned["transaction_id"].is_string(), expected);
        assert!(unsigned["age"].is_u64());
    }
}

#[tokio::test]
async fn members_are_loaded_lazily_once_and_again_after_a_lost_response() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let (min, seo) = (server.member("min", "PHONE").await, server.member("seo", "PHONE").await);
    let (joon, jin) = (server.member("joon", "PHONE").await, server.member("jin", "PHONE").await);
    let room = server.room_of(&kim, &[&min, &seo, &joon, &jin]).await;
    server.state(&kim, &room, ("m.room.name", ""), json!({"name": "Home"})).await;
    for text in ["a", "b"] {
        server.say(&min, &room, text).await;
    }
    let first = sync(&kim, &format!("filter={LAZY}")).await;
    let state = &joined(&first, &room)["state"]["events"];
    assert_eq!(keys(state, "m.room.member"), [min.user.as_str(), kim.user.as_str()]);
    assert_eq!(keys(state, "m.room.power_levels"), [""]);

    server.say(&min, &room, "c").await;
    server.say(&jin, &room, "d").await;
    let query = format!("since={}&filter={LAZY}", token(&first));
    let second = sync(&kim, &query).await;
    let members = keys(&joined(&second, &room)["state"]["events"], "m.room.member");
    assert_eq!(members, [jin.user.as_str()], "min was sent before");
    let repeated = sync(&kim, &query).await;
    let members = keys(&joined(&repeated, &room)["state"]["events"], "m.room.member");
    assert_eq!(members, [min.user.as_str(), jin.user.as_str()], "the response may have been lost");
}

#[tokio::test]
async fn an_invitation_is_stripped_and_a_join_is_whole() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room(&kim, |request| request.name = Some("Home".to_owned())).await;
    server.say(&kim, &room, "before").await;
    let first = sync(&min, "").await;
    server.membership(&kim, &room, &min, "invite").await;
    let second = next(&min, &first).await;
    let state = &second["rooms"]["invite"][room.as_str()]["invite_state"]["events"];
    assert_eq!(content(state, "m.room.name")["name"], "Home");
    assert_eq!(keys(state, "m.room.member"), [kim.user.as_str(), min.user.as_str()]);
    assert!(state.as_array().unwrap().iter().all(|event| event.get("event_id").is_none()));
    assert_eq!(next(&min, &second).await["rooms"], json!({}), "it is shown once");
    assert_eq!(
        &sync(&min, "").await["rooms"]["invite"][room.as_str()]["invite_state"]["events"],
        state
    );

    server.membership(&min, &room, &min, "join").await;
    let third = next(&min, &second).await;
    let shown = joined(&third, &room);
    assert_eq!(shown["timeline"]["limited"], true);
    assert_eq!(content(&shown["state"]["events"], "m.room.name")["name"], "Home");
    assert_eq!(
        texts(&shown["timeline"]["events"]),
        Vec::<&str>::new(),
        "it was said before the invitation"
    );
}

#[tokio::test]
async fn invitations_and_messages_of_ignored_people_are_not_shown() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let (min, seo) = (server.member("min", "PHONE").await, server.member("seo", "PHONE").await);
    let room = server.room_of(&kim, &[&min, &seo]).await;
    let path = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", kim.user);
    kim.put(&path, json!({"ignored_users": {(min.user.as_str()): {}}})).await;
    let first = sync(&kim, "").await;
    let other = server.room(&min, |_| {}).await;
    server.membership(&min, &other, &kim, "invite").await;
    server.say(&min, &room, "ignored").await;
    server.say(&seo, &room, "shown").await;
    server
        .state(&min, &room, ("m.room.member", min.user.as_str()), json!({"membership": "leave"}))
        .await;
    let second = next(&kim, &first).await;
    assert_eq!(texts(&joined(&second, &room)["timeline"]["events"]), ["shown"]);
    assert_eq!(
        keys(&joined(&second, &room)["timeline"]["events"], "m.room.member"),
        [min.user.as_str()]
    );
    assert!(second["rooms"]["invite"].is_null());
}

#[tokio::test]
async fn a_room_that_was_left_is_shown_once_up_to_the_leave() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    let first = sync(&min, "").await;
    server.say(&kim, &room, "last").await;
    server.membership(&kim, &room, &min, "leave").await;
    server.say(&kim, &room, "secret").await;
    let second = next(&min, &first).await;
    let left = &second["rooms"]["leave"][room.as_str()];
    assert_eq!(texts(&left["timeline"]["events"]), ["last"]);
    assert_eq!(keys(&left["timeline"]["events"], "m.room.member"), [min.user.as_str()]);
    assert!(left["state"].is_null());
    assert!(second["rooms"]["join"].is_null());
    server.say(&kim, &room, "secret").await;
    assert_eq!(next(&min, &second).await["rooms"], json!({}));
    assert_eq!(sync(&min, "").await["rooms"], json!({}));
    let asked = sync(&min, "filter=%7B%22room%22:%7B%22include_leave%22:true%7D%7D").await;
    let left = &asked["rooms"]["leave"][room.as_str()];
    assert_eq!(texts(&left["timeline"]["events"]), ["last"]);
}

#[tokio::test]
async fn a_declined_invitation_shows_nothing_of_the_room() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room(&kim, |request| request.name = Some("Home".to_owned())).await;
    server.membership(&kim, &room, &min, "invite").await;
    let first = sync(&min, "").await;
    server.membership(&min, &room, &min, "leave").await;
    let second = next(&min, &first).await;
    let left = &second["rooms"]["leave"][room.as_str()];
    assert!(left["state"].is_null(), "{left}");
    let kinds: Vec<_> =
        left["timeline"]["events"].as_array().unwrap().iter().map(|it| &it["type"]).collect();
    assert_eq!(
        kinds,
        ["m.room.member", "m.room.member"],
        "the invitation, and that it was declined"
    );
}

#[tokio::test]
async fn a_room_on_which_the_person_knocked_is_shown_alone() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room(&kim, |_| {}).await;
    server.state(&kim, &room, ("m.room.join_rules", ""), json!({"join_rule": "knock"})).await;
    let first = sync(&min, "").await;
    server.membership(&min, &room, &min, "knock").await;
    let second = next(&min, &first).await;
    let state = &second["rooms"]["knock"][room.as_str()]["knock_state"]["events"];
    assert_eq!(keys(state, "m.room.member"), [min.user.as_str()]);
}

#[tokio::test]
async fn coming_back_shows_the_room_anew() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    server.membership(&min, &room, &min, "leave").await;
    let first = sync(&min, "").await;
    server.state(&kim, &room, ("m.room.name", ""), json!({"name": "New"})).await;
    server.membership(&kim, &room, &min, "invite").await;
    server.membership(&min, &room, &min, "join").await;
    let second = next(&min, &first).await;
    let shown = joined(&second, &room);
    assert_eq!(content(&shown["state"]["events"], "m.room.name")["name"], "New");
    assert_eq!(shown["timeline"]["limited"], true);
}

#[tokio::test]
async fn state_that_was_set_while_the_person_was_away_is_shown() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    server
        .state(
            &kim,
            &room,
            ("m.room.history_visibility", ""),
            json!({"history_visibility": "joined"}),
        )
        .await;
    let first = sync(&min, "").await;
    server.membership(&min, &room, &min, "leave").await;
    server.state(&kim, &room, ("m.room.topic", ""), json!({"topic": "new"})).await;
    server.say(&kim, &room, "secret").await;
    server.membership(&kim, &room, &min, "invite").await;
    server.membership(&min, &room, &min, "join").await;
    let second = next(&min, &first).await;
    let shown = joined(&second, &room);
    assert_eq!(texts(&shown["timeline"]["events"]), Vec::<&str>::new());
    assert_eq!(content(&shown["state"]["events"], "m.room.topic")["topic"], "new");
}

#[tokio::test]
async fn stored_filters_are_applied() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let room = server.room_of(&kim, &[]).await;
    server.say(&kim, &room, "a").await;
    server.say(&kim, &room, "b").await;
    let path = format!("/_matrix/client/v3/user/{}/filter", kim.user);
    let body = json!({"room": {"timeline": {"limit": 1}, "account_data": {"types": []}}, "account_data": {"types": ["m.*"]}});
    let id = kim.post(&path, body.clone()).await["filter_id"].as_str().unwrap().to_owned();
    assert_eq!(
        kim.post(&path, body).await["filter_id"],
        id.as_str(),
        "the same filter is stored once"
    );
    let shown = sync(&kim, &format!("filter={id}")).await;
    assert_eq!(texts(&joined(&shown, &room)["timeline"]["events"]), ["b"]);
    assert_eq!(kim.get(&format!("{path}/{id}")).await["room"]["timeline"]["limit"], 1);
    for id in ["7", "x", "-1"] {
        let (status, body) =
            kim.call(Method::GET, &format!("{SYNC}?filter={id}"), Value::Null).await;
        assert_eq!(
            (status, &body["errcode"]),
            (StatusCode::NOT_FOUND, &json!("M_NOT_FOUND")),
            "{id}"
        );
    }
    let types: Vec<String> = (0..1_001).map(|number| number.to_string()).collect();
    let large = json!({"room": {"timeline": {"types": types}}});
    let (status, _) = kim.call(Method::POST, &path, large).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let min = server.member("min", "PHONE").await;
    let (status, _) = min.call(Method::GET, &format!("{path}/{id}"), Value::Null).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}
