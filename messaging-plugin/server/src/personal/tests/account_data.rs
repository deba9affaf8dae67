use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{code, contents, refused, sync};
use crate::{personal::account_data::CONTENT_MAX, testing::TestServer};

#[tokio::test]
async fn account_data_is_stored_and_shown_in_syncs() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let path =
        format!("/_matrix/client/v3/user/{}/account_data/m.secret_storage.default_key", kim.user);
    assert_eq!(
        refused(&kim, Method::GET, &path, Value::Null).await,
        code(StatusCode::NOT_FOUND, "M_NOT_FOUND")
    );
    let first = sync(&kim, None).await;
    kim.put(&path, json!({"key": "a"})).await;
    kim.put(&path, json!({"key": "b"})).await;
    assert_eq!(kim.get(&path).await, json!({"key": "b"}));
    let second = sync(&kim, Some(&first)).await;
    let shown = contents(&second["account_data"]["events"], "m.secret_storage.default_key");
    assert_eq!(shown, [&json!({"key": "b"})], "once, as it is now");
    assert_eq!(sync(&kim, Some(&second)).await["account_data"], json!({}));
}

#[tokio::test]
async fn account_data_of_rooms_and_tags_are_shown_with_the_room() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let room = server.room_of(&kim, &[]).await;
    let path = format!("/_matrix/client/v3/user/{}/rooms/{room}", kim.user);
    let first = sync(&kim, None).await;
    kim.put(&format!("{path}/account_data/m.marked_unread"), json!({"unread": true})).await;
    kim.put(&format!("{path}/tags/m.favourite"), json!({"order": 0.25})).await;
    kim.put(&format!("{path}/tags/u.work"), json!({})).await;
    kim.ok(Method::DELETE, &format!("{path}/tags/u.work"), Value::Null).await;
    assert_eq!(
        kim.get(&format!("{path}/tags")).await,
        json!({"tags": {"m.favourite": {"order": 0.25}}})
    );
    assert_eq!(
        kim.get(&format!("{path}/account_data/m.marked_unread")).await,
        json!({"unread": true})
    );
    let second = sync(&kim, Some(&first)).await;
    let shown = &second["rooms"]["join"][room.as_str()]["account_data"]["events"];
    assert_eq!(contents(shown, "m.tag"), [&json!({"tags": {"m.favourite": {"order": 0.25}}})]);
    assert_eq!(contents(shown, "m.marked_unread"), [&json!({"unread": true})]);
    assert_eq!(second["account_data"], json!({}), "not for the person");
}

#[tokio::test]
async fn account_data_is_private_and_bounded() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[]).await;
    let path = format!("/_matrix/client/v3/user/{}", kim.user);
    kim.put(&format!("{path}/account_data/test"), json!({"a": 1})).await;
    let forbidden = code(StatusCode::FORBIDDEN, "M_FORBIDDEN");
    for user in [kim.user.as_str(), "@nobody:maru.test"] {
        let path = format!("/_matrix/client/v3/user/{user}/account_data/test");
        assert_eq!(refused(&min, Method::GET, &path, Value::Null).await, forbidden);
        assert_eq!(refused(&min, Method::PUT, &path, json!({})).await, forbidden);
    }
    let of_room = format!("/_matrix/client/v3/user/{}/rooms/{room}", min.user);
    let not_found = code(StatusCode::NOT_FOUND, "M_NOT_FOUND");
    for path in ["account_data/test", "tags/m.favourite"] {
        assert_eq!(
            refused(&min, Method::PUT, &format!("{of_room}/{path}"), json!({})).await,
            not_found
        );
    }
    for kind in ["m.push_rules", "m.fully_read"] {
        let path = format!("{path}/account_data/{kind}");
        let expected = code(StatusCode::METHOD_NOT_ALLOWED, "M_BAD_JSON");
        assert_eq!(refused(&kim, Method::PUT, &path, json!({})).await, expected, "{kind}");
    }
    let large = json!({"a": "x".repeat(CONTENT_MAX)});
    let expected = code(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE");
    assert_eq!(
        refused(&kim, Method::PUT, &format!("{path}/account_data/test"), large).await,
        expected
    );
    let (status, _) = kim.call(Method::PUT, &format!("{path}/account_data/test"), json!([1])).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let long = "x".repeat(256);
    assert_eq!(
        refused(&kim, Method::PUT, &format!("{path}/account_data/{long}"), json!({})).await,
        expected
    );
    assert_eq!(kim.get(&format!("{path}/account_data/test")).await, json!({"a": 1}));
}
