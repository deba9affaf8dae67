use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{code, contents, refused, sync};
use crate::testing::TestServer;

#[tokio::test]
async fn a_profile_changes_in_every_room() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let rooms = [server.room_of(&kim, &[&min]).await, server.room_of(&min, &[&kim]).await];
    let left = server.room_of(&min, &[&kim]).await;
    server.membership(&kim, &left, &kim, "leave").await;
    let first = sync(&min, None).await;
    let path = format!("/_matrix/client/v3/profile/{}", kim.user);
    kim.put(&format!("{path}/displayname"), json!({"displayname": " Kim\u{202e}  A "})).await;
    kim.put(&format!("{path}/avatar_url"), json!({"avatar_url": "mxc://maru.test/abc"})).await;
    let expected = json!({"displayname": "Kim A", "avatar_url": "mxc://maru.test/abc"});
    assert_eq!(min.get(&path).await, expected);
    assert_eq!(min.get(&format!("{path}/displayname")).await, json!({"displayname": "Kim A"}));
    let second = sync(&min, Some(&first)).await;
    for room in &rooms {
        let events = &second["rooms"]["join"][room.as_str()]["timeline"]["events"];
        let content = contents(events, "m.room.member").pop().unwrap();
        assert_eq!(
            (&content["displayname"], &content["avatar_url"]),
            (&expected["displayname"], &expected["avatar_url"])
        );
        assert_eq!(content["membership"], "join");
    }
    assert!(second["rooms"]["join"][left.as_str()].is_null());
    kim.put(&format!("{path}/displayname"), json!({"displayname": "Kim A"})).await;
    assert_eq!(
        sync(&min, Some(&second)).await["rooms"],
        json!({}),
        "the same name changes nothing"
    );
    kim.ok(Method::DELETE, &format!("{path}/displayname"), Value::Null).await;
    kim.put(&format!("{path}/avatar_url"), json!({"avatar_url": ""})).await;
    assert_eq!(min.get(&path).await, json!({}));
    assert_eq!(min.get(&format!("{path}/avatar_url")).await, json!({}));
}

#[tokio::test]
async fn profiles_of_others_are_readable_and_not_writable() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let path = format!("/_matrix/client/v3/profile/{}", kim.user);
    let forbidden = code(StatusCode::FORBIDDEN, "M_FORBIDDEN");
    let name = json!({"displayname": "x"});
    assert_eq!(refused(&min, Method::PUT, &format!("{path}/displayname"), name).await, forbidden);
    assert_eq!(
        refused(&min, Method::DELETE, &format!("{path}/displayname"), Value::Null).await,
        forbidden
    );
    let not_found = code(StatusCode::NOT_FOUND, "M_NOT_FOUND");
    for path in
        ["@nobody:maru.test", "@kim:example.org", "@kim:maru.test/nonsense", "@kim:maru.test/m.tz"]
    {
        let path = format!("/_matrix/client/v3/profile/{path}");
        assert_eq!(refused(&kim, Method::GET, &path, Value::Null).await, not_found, "{path}");
    }
    for avatar in ["https://example.org/a.png", "mxc://maru.test", "nonsense"] {
        let body = json!({"avatar_url": avatar});
        let refusal = refused(&kim, Method::PUT, &format!("{path}/avatar_url"), body).await;
        assert_eq!(refusal, code(StatusCode::BAD_REQUEST, "M_INVALID_PARAM"), "{avatar}");
    }
}

#[tokio::test]
async fn the_directory_lists_the_networks_people() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    server.member("kimberly", "PHONE").await;
    server.member("min", "PHONE").await;
    let path = format!("/_matrix/client/v3/profile/{}/displayname", kim.user);
    kim.put(&path, json!({"displayname": "Minister"})).await;
    let search = async |term: &str, limit: u64| {
        let body = json!({"search_term": term, "limit": limit});
        let found = kim.post("/_matrix/client/v3/user_directory/search", body).await;
        let ids = found["results"].as_array().unwrap().iter().map(|user| user["user_id"].clone());
        (ids.collect::<Vec<_>>(), found["limited"].clone())
    };
    assert_eq!(
        search("KIM", 10).await,
        (vec![json!("@kim:maru.test"), json!("@kimberly:maru.test")], json!(false))
    );
    assert_eq!(search("min", 10).await.0, [json!("@kim:maru.test"), json!("@min:maru.test")]);
    assert_eq!(search("", 1).await, (vec![json!("@kim:maru.test")], json!(true)));
    assert_eq!(search("nobody", 10).await, (vec![], json!(false)));
}
