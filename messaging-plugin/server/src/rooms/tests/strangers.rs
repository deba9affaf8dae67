//! Who is not in a room cannot tell whether there is one.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{api, at, encode, room, say, two, v1};

/// A room that does not exist.
const NONE: &str = "!AAAAAAAAAAAAAAAAAAAAAA:maru.test";

#[tokio::test]
async fn a_room_of_others_answers_as_one_that_does_not_exist() {
    let (server, alice, bob) = two().await;
    let carol = server.member("carol", "PHONE").await;
    let id = room(&alice, json!({"invite": [carol.user], "name": "secret"})).await;
    let said = say(&alice, &id, "secret").await;
    let event = encode(&said);
    let member = encode(alice.user.as_str());
    let own = encode(bob.user.as_str());
    let who = json!({"user_id": carol.user});
    let calls: Vec<(Method, String, Value)> = vec![
        (Method::GET, "state".to_owned(), Value::Null),
        (Method::GET, "state/m.room.name".to_owned(), Value::Null),
        (Method::GET, "members".to_owned(), Value::Null),
        (Method::GET, "joined_members".to_owned(), Value::Null),
        (Method::GET, "aliases".to_owned(), Value::Null),
        (Method::GET, "messages?dir=b".to_owned(), Value::Null),
        (Method::GET, format!("event/{event}"), Value::Null),
        (Method::GET, format!("context/{event}"), Value::Null),
        (Method::PUT, "send/m.room.message/t".to_owned(), json!({"body": "hi"})),
        (Method::PUT, format!("redact/{event}/t"), json!({})),
        (Method::PUT, "state/m.room.name".to_owned(), json!({"name": "mine"})),
        (Method::PUT, format!("state/m.room.member/{own}"), json!({"membership": "join"})),
        (Method::PUT, format!("state/m.room.member/{member}"), json!({"membership": "leave"})),
        (Method::POST, "join".to_owned(), json!({})),
        (Method::POST, "leave".to_owned(), json!({})),
        (Method::POST, "forget".to_owned(), json!({})),
        (Method::POST, "invite".to_owned(), who.clone()),
        (Method::POST, "kick".to_owned(), who.clone()),
        (Method::POST, "ban".to_owned(), who.clone()),
        (Method::POST, "unban".to_owned(), who),
        (Method::POST, "upgrade".to_owned(), json!({"new_version": "11"})),
    ];
    for (method, path, body) in calls {
        let theirs = bob.call(method.clone(), &at(&id, &path), body.clone()).await;
        let none = bob.call(method.clone(), &at(NONE, &path), body).await;
        assert_eq!(theirs, none, "{method} {path}");
        assert!([StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&theirs.0), "{theirs:?}");
    }
    for path in [format!("relations/{event}"), "threads".to_owned(), "hierarchy".to_owned()] {
        let theirs = bob.call(Method::GET, &v1(&id, &path), Value::Null).await;
        assert_eq!(theirs, bob.call(Method::GET, &v1(NONE, &path), Value::Null).await, "{path}");
        assert!(theirs.0.is_client_error());
    }
    let others = [
        (Method::POST, "join/ID".to_owned(), json!({})),
        (Method::POST, "knock/ID".to_owned(), json!({})),
        (Method::GET, "directory/list/room/ID".to_owned(), Value::Null),
        (Method::PUT, "directory/list/room/ID".to_owned(), json!({"visibility": "public"})),
    ];
    for (method, path, body) in others {
        let path = |room: &str| api(&path.replace("ID", &encode(room)));
        let theirs = bob.call(method.clone(), &path(&id), body.clone()).await;
        let none = bob.call(method.clone(), &path(NONE), body).await;
        assert_eq!(theirs, none, "{method}");
    }
    let summary = |room: &str| format!("/_matrix/client/v1/room_summary/{}", encode(room));
    let theirs = bob.call(Method::GET, &summary(&id), Value::Null).await;
    assert_eq!(theirs, bob.call(Method::GET, &summary(NONE), Value::Null).await);
    assert_eq!(alice.get(&at(&id, "state/m.room.name")).await, json!({"name": "secret"}));
}

/// An event id of a room does not lead to it from another room.
#[tokio::test]
async fn an_event_of_another_room_is_not_in_this_one() {
    let (_server, alice, bob) = two().await;
    let secret = room(&alice, json!({})).await;
    let said = encode(&say(&alice, &secret, "secret").await);
    let own = room(&bob, json!({})).await;
    for path in [format!("event/{said}"), format!("context/{said}")] {
        let (status, _) = bob.call(Method::GET, &at(&own, &path), Value::Null).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    let (status, _) =
        bob.call(Method::GET, &v1(&own, &format!("relations/{said}")), Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
