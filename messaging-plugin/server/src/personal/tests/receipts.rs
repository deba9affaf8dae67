use axum::http::{Method, StatusCode};
use ruma::RoomId;
use serde_json::{Value, json};

use super::{code, contents, refused, sync};
use crate::testing::TestServer;

fn receipt(sync: &Value, room: &RoomId) -> Value {
    let events = &sync["rooms"]["join"][room.as_str()]["ephemeral"]["events"];
    contents(events, "m.receipt").first().map_or(Value::Null, |content| (*content).clone())
}

#[tokio::test]
async fn receipts_are_shown_and_never_go_back() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    let (one, two) = (server.say(&kim, &room, "1").await, server.say(&kim, &room, "2").await);
    let first = sync(&kim, None).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read");
    min.post(&format!("{path}/{two}"), Value::Null).await;
    let second = sync(&kim, Some(&first)).await;
    assert!(receipt(&second, &room)[two.as_str()]["m.read"][min.user.as_str()]["ts"].is_u64());
    min.post(&format!("{path}/{one}"), Value::Null).await;
    min.post(&format!("{path}/{two}"), Value::Null).await;
    assert_eq!(
        sync(&kim, Some(&second)).await["rooms"],
        json!({}),
        "an older receipt changes nothing"
    );
    min.post(&format!("{path}/{one}"), json!({"thread_id": "main"})).await;
    let third = sync(&kim, Some(&second)).await;
    assert_eq!(
        receipt(&third, &room)[one.as_str()]["m.read"][min.user.as_str()]["thread_id"],
        "main"
    );
}

#[tokio::test]
async fn private_receipts_and_markers_are_for_the_own_apps() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    let (one, two) = (server.say(&kim, &room, "1").await, server.say(&kim, &room, "2").await);
    let (of_kim, of_min) = (sync(&kim, None).await, sync(&min, None).await);
    let path = format!("/_matrix/client/v3/rooms/{room}/read_markers");
    min.post(&path, json!({"m.fully_read": two, "m.read.private": two})).await;
    assert_eq!(sync(&kim, Some(&of_kim)).await["rooms"], json!({}));
    let own = sync(&min, Some(&of_min)).await;
    assert!(receipt(&own, &room)[two.as_str()]["m.read.private"].is_object());
    let marker = |sync: &Value| {
        let data = &sync["rooms"]["join"][room.as_str()]["account_data"]["events"];
        contents(data, "m.fully_read").first().map(|content| content["event_id"].clone())
    };
    assert_eq!(marker(&own), Some(json!(two)));
    assert_eq!(
        own["rooms"]["join"][room.as_str()]["unread_notifications"]["notification_count"],
        0
    );
    let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.fully_read");
    min.post(&format!("{path}/{one}"), json!({})).await;
    assert_eq!(marker(&sync(&min, Some(&own)).await), None, "it does not go back");
}

#[tokio::test]
async fn receipts_of_what_the_person_may_not_read_are_refused() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let (room, other) = (server.room(&kim, |_| {}).await, server.room_of(&kim, &[]).await);
    let before = server.say(&kim, &room, "before").await;
    let elsewhere = server.say(&kim, &other, "elsewhere").await;
    server.membership(&kim, &room, &min, "invite").await;
    let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read");
    let forbidden = code(StatusCode::FORBIDDEN, "M_FORBIDDEN");
    assert_eq!(
        refused(&min, Method::POST, &format!("{path}/{before}"), json!({})).await,
        forbidden
    );
    server.membership(&min, &room, &min, "join").await;
    for event in [before.as_str(), elsewhere.as_str(), "$none"] {
        let refusal = refused(&min, Method::POST, &format!("{path}/{event}"), json!({})).await;
        assert_eq!(refusal, code(StatusCode::NOT_FOUND, "M_NOT_FOUND"), "{event}");
    }
    let after = server.say(&kim, &room, "after").await;
    let (status, _) =
        min.call(Method::POST, &format!("{path}/{after}"), json!({"thread_id": "nonsense"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let path = format!("/_matrix/client/v3/rooms/{room}/receipt/test/{after}");
    let refusal = refused(&min, Method::POST, &path, json!({})).await;
    assert_eq!(refusal, code(StatusCode::BAD_REQUEST, "M_INVALID_PARAM"));
}

#[tokio::test]
async fn only_members_type_and_only_for_themselves() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[]).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/typing");
    let body = json!({"typing": true, "timeout": 30_000});
    let forbidden = code(StatusCode::FORBIDDEN, "M_FORBIDDEN");
    for user in [&min.user, &kim.user] {
        assert_eq!(
            refused(&min, Method::PUT, &format!("{path}/{user}"), body.clone()).await,
            forbidden
        );
    }
    kim.put(&format!("{path}/{}", kim.user), json!({"typing": false})).await;
}
