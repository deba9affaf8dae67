use axum::http::{Method, StatusCode};
use ruma::RoomId;
use serde_json::{Value, json};

use super::{content, keys, texts};
use crate::testing::{TestClient, TestServer};

const SYNC: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

/// The request of an app's list of rooms.
fn list(limit: u64) -> Value {
    json!({
        "conn_id": "room-list",
        "lists": {"all": {
            "ranges": [[0, 19]], "timeline_limit": limit, "filters": {},
            "required_state": [
                ["m.room.name", ""], ["m.room.encryption", ""], ["m.room.member", "$LAZY"], ["m.room.member", "$ME"],
            ],
        }},
        "extensions": {
            "account_data": {"enabled": true}, "receipts": {"enabled": true, "rooms": ["*"]},
            "typing": {"enabled": true},
        },
    })
}

async fn poll(client: &TestClient, last: Option<&Value>, query: &str, request: &Value) -> Value {
    let pos =
        last.map(|last| format!("pos={}&", last["pos"].as_str().unwrap())).unwrap_or_default();
    client.post(&format!("{SYNC}?{pos}{query}"), request.clone()).await
}

fn room<'a>(response: &'a Value, room: &RoomId) -> &'a Value {
    &response["rooms"][room.as_str()]
}

#[tokio::test]
async fn the_first_poll_shows_rooms_and_the_next_only_what_is_new() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let home = server.room_of(&kim, &[&min]).await;
    server.say(&kim, &home, "hello").await;
    let request = list(1);
    let first = poll(&min, None, "timeout=60000", &request).await;
    assert_eq!(first["lists"]["all"]["count"], 1);
    let shown = room(&first, &home);
    assert_eq!((&shown["initial"], &shown["limited"]), (&json!(true), &json!(true)));
    assert_eq!(texts(&shown["timeline"]), ["hello"]);
    let mut members = keys(&shown["required_state"], "m.room.member");
    members.sort_unstable();
    assert_eq!(members, [kim.user.as_str(), min.user.as_str()]);
    assert_eq!(
        (&shown["joined_count"], &shown["notification_count"], &shown["num_live"]),
        (&json!(2), &json!(1), &json!(0))
    );
    assert_eq!(shown["heroes"], json!([{"user_id": kim.user}]));
    assert!(shown["bump_stamp"].is_u64() && shown["prev_batch"].is_string());

    let second = poll(&min, Some(&first), "", &request).await;
    assert_eq!((&second["rooms"], &second["lists"]["all"]["count"]), (&Value::Null, &json!(1)));
    server.say(&kim, &home, "more").await;
    server.state(&kim, &home, ("m.room.name", ""), json!({"name": "Home"})).await;
    let third = poll(&min, Some(&second), "", &list(5)).await;
    let shown = room(&third, &home);
    assert_eq!(texts(&shown["timeline"]), ["hello", "more"], "the limit was raised");
    let fourth = poll(&min, Some(&third), "", &list(5)).await;
    server.say(&kim, &home, "last").await;
    let fifth = poll(&min, Some(&fourth), "", &list(5)).await;
    let shown = room(&fifth, &home);
    assert_eq!(
        (texts(&shown["timeline"]), &shown["num_live"], &shown["initial"]),
        (vec!["last"], &json!(1), &Value::Null)
    );
    assert_eq!(keys(&shown["required_state"], "m.room.member"), [kim.user.as_str()]);
    assert_eq!((&shown["name"], &shown["heroes"]), (&json!("Home"), &Value::Null));
}

#[tokio::test]
async fn an_unknown_pos_starts_anew_and_the_last_two_are_known() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let home = server.room_of(&kim, &[]).await;
    let request = list(1);
    let first = poll(&kim, None, "", &request).await;
    let second = poll(&kim, Some(&first), "", &request).await;
    server.say(&kim, &home, "hello").await;
    let lost = poll(&kim, Some(&second), "", &request).await;
    assert_eq!(texts(&room(&lost, &home)["timeline"]), ["hello"]);
    let repeated = poll(&kim, Some(&second), "", &request).await;
    assert_eq!(texts(&room(&repeated, &home)["timeline"]), ["hello"], "the response was lost");
    for pos in [first["pos"].as_str().unwrap(), "nonsense"] {
        let (status, body) =
            kim.call(Method::POST, &format!("{SYNC}?pos={pos}"), request.clone()).await;
        assert_eq!((status, &body["errcode"]), (StatusCode::BAD_REQUEST, &json!("M_UNKNOWN_POS")));
    }
    let server = server.restart().await;
    let kim = server.client(&kim);
    let path = format!("{SYNC}?pos={}", repeated["pos"].as_str().unwrap());
    let (_, body) = kim.call(Method::POST, &path, request.clone()).await;
    assert_eq!(body["errcode"], "M_UNKNOWN_POS");
    assert_eq!(room(&poll(&kim, None, "", &request).await, &home)["initial"], true);
}

/// An app drops its poll whenever a room is opened, and asks again. Both polls are woken, and in either order.
#[tokio::test]
async fn a_poll_that_was_dropped_does_not_end_the_connection() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let home = server.room_of(&kim, &[]).await;
    let request = list(1);
    let first = poll(&kim, None, "", &request).await;
    let asks = || poll(&kim, Some(&first), "timeout=60000", &request);
    let (dropped, kept, _) = tokio::join!(asks(), asks(), server.say(&kim, &home, "hello"));
    for shown in [&dropped, &kept] {
        assert_eq!(texts(&room(shown, &home)["timeline"]), ["hello"]);
    }
    assert_ne!(dropped["pos"], kept["pos"]);
    server.say(&kim, &home, "more").await;
    // The last response that was made is not the one that arrived.
    let positions = [&dropped, &kept].map(|shown| shown["pos"].as_str().unwrap());
    let arrived = if positions[0] < positions[1] { &dropped } else { &kept };
    let next = poll(&kim, Some(arrived), "", &request).await;
    assert_eq!(texts(&room(&next, &home)["timeline"]), ["more"]);
}

#[tokio::test]
async fn an_accepted_invitation_is_shown_whole() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let home = server.room(&kim, |request| request.name = Some("Home".to_owned())).await;
    server.membership(&kim, &home, &min, "invite").await;
    let request = list(5);
    let first = poll(&min, None, "", &request).await;
    let shown = room(&first, &home);
    assert_eq!(content(&shown["invite_state"], "m.room.name")["name"], "Home");
    assert_eq!((&shown["timeline"], &shown["required_state"]), (&Value::Null, &Value::Null));
    server.membership(&min, &home, &min, "join").await;
    let second = poll(&min, Some(&first), "", &request).await;
    let shown = room(&second, &home);
    assert_eq!((&shown["initial"], &shown["invite_state"]), (&json!(true), &Value::Null));
    assert_eq!(content(&shown["required_state"], "m.room.name")["name"], "Home");
}

#[tokio::test]
async fn a_removal_is_shown_and_nothing_after_it() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let home = server.room_of(&kim, &[&min]).await;
    let request = list(5);
    let first = poll(&min, None, "", &request).await;
    server.membership(&kim, &home, &min, "ban").await;
    server.say(&kim, &home, "secret").await;
    let second = poll(&min, Some(&first), "", &request).await;
    let shown = room(&second, &home);
    assert_eq!(content(&shown["required_state"], "m.room.member")["membership"], "ban");
    assert_eq!(texts(&shown["timeline"]), Vec::<&str>::new());
    assert_eq!(second["lists"]["all"]["count"], 0);
    server.say(&kim, &home, "secret").await;
    assert_eq!(poll(&min, Some(&second), "", &request).await["rooms"], Value::Null);
}

#[tokio::test]
async fn a_poll_waits_for_a_message() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let home = server.room_of(&kim, &[&min]).await;
    let request = list(5);
    let first = poll(&min, None, "", &request).await;
    let wait = poll(&min, Some(&first), "timeout=60000", &request);
    let (waited, _) = tokio::join!(wait, server.say(&kim, &home, "now"));
    assert_eq!(texts(&room(&waited, &home)["timeline"]), ["now"]);
}

#[tokio::test]
async fn extensions_show_account_data_receipts_and_typing() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let home = server.room_of(&kim, &[&min]).await;
    let event = server.say(&kim, &home, "hello").await;
    let request = list(5);
    let first = poll(&kim, None, "", &request).await;
    let global = &first["extensions"]["account_data"]["global"];
    assert!(content(global, "m.push_rules")["global"].is_object());
    assert!(first["extensions"]["typing"].is_null() && first["extensions"]["receipts"].is_null());

    let data = format!("/_matrix/client/v3/user/{}", kim.user);
    kim.put(&format!("{data}/account_data/test"), json!({"a": 1})).await;
    kim.put(&format!("{data}/rooms/{home}/account_data/m.marked_unread"), json!({"unread": true}))
        .await;
    let rooms = format!("/_matrix/client/v3/rooms/{home}");
    min.post(&format!("{rooms}/receipt/m.read/{event}"), json!({})).await;
    min.put(&format!("{rooms}/typing/{}", min.user), json!({"typing": true, "timeout": 60_000}))
        .await;
    let second = poll(&kim, Some(&first), "", &request).await;
    let shown = &second["extensions"];
    assert_eq!(shown["account_data"]["global"], json!([{"type": "test", "content": {"a": 1}}]));
    assert_eq!(
        content(&shown["account_data"]["rooms"][home.as_str()], "m.marked_unread"),
        &json!({"unread": true})
    );
    let receipts = &shown["receipts"]["rooms"][home.as_str()];
    assert!(
        receipts["content"][event.as_str()]["m.read"][min.user.as_str()]["ts"].is_u64(),
        "{receipts}"
    );
    assert_eq!(shown["typing"]["rooms"][home.as_str()]["content"]["user_ids"], json!([min.user]));
    let third = poll(&kim, Some(&second), "", &request).await;
    assert!(third["extensions"].is_null(), "{third}");
}

#[tokio::test]
async fn who_types_is_shown_again_after_a_lost_response() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let home = server.room_of(&kim, &[&min]).await;
    let request = list(1);
    let typing = format!("/_matrix/client/v3/rooms/{home}/typing/{}", min.user);
    let who = |shown: &Value| {
        shown["extensions"]["typing"]["rooms"][home.as_str()]["content"]["user_ids"].clone()
    };
    let mut last = poll(&kim, None, "", &request).await;
    for (change, expected) in [
        (json!({"typing": true, "timeout": 60_000}), json!([min.user])),
        (json!({"typing": false}), json!([])),
    ] {
        min.put(&typing, change).await;
        let lost = poll(&kim, Some(&last), "", &request).await;
        let repeated = poll(&kim, Some(&last), "", &request).await;
        assert_eq!([who(&lost), who(&repeated)], [expected.clone(), expected]);
        last = poll(&kim, Some(&repeated), "", &request).await;
        assert!(who(&last).is_null(), "{last}");
    }
}

#[tokio::test]
async fn lists_are_filtered_by_direct_rooms_and_invitations() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let (group, direct) = (server.room_of(&kim, &[]).await, server.room_of(&kim, &[]).await);
    let invited = server.room(&min, |_| {}).await;
    server.membership(&min, &invited, &kim, "invite").await;
    let path = format!("/_matrix/client/v3/user/{}/account_data", kim.user);
    kim.put(&format!("{path}/m.direct"), json!({(min.user.as_str()): [direct]})).await;
    for (filters, expected) in [
        (json!({"is_dm": true}), vec![direct.as_str()]),
        (json!({"is_invite": true}), vec![invited.as_str()]),
        (json!({"is_dm": false, "is_invite": false}), vec![group.as_str()]),
    ] {
        let request =
            json!({"lists": {"l": {"ranges": [[0, 9]], "timeline_limit": 1, "filters": filters}}});
        let response = poll(&kim, None, "", &request).await;
        let rooms: Vec<_> = response["rooms"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(rooms, expected, "{filters}");
    }
    kim.put(
        &format!("{path}/m.ignored_user_list"),
        json!({"ignored_users": {(min.user.as_str()): {}}}),
    )
    .await;
    let request = json!({"lists": {"l": {"ranges": [[0, 9]], "timeline_limit": 1}}});
    assert_eq!(
        poll(&kim, None, "", &request).await["lists"]["l"]["count"],
        2,
        "the invitation is ignored"
    );
}
