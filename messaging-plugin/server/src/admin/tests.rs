use axum::{
    body::Body,
    http::{Method, Request},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::PATIENCE;
use tower::ServiceExt as _;

use super::*;
use crate::testing::{TestClient, TestServer};

async fn ask(server: &TestServer, method: Method, path: &str) -> (StatusCode, Value) {
    let router = endpoint::router(served()).with_state(Arc::clone(&server.homeserver));
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = chassis::body::whole(response.into_body(), 1 << 20, PATIENCE).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn get<T: DeserializeOwned>(server: &TestServer, path: &str) -> T {
    let (status, body) = ask(server, Method::GET, path).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_value(body).unwrap()
}

async fn say(client: &TestClient, room: &str, text: &str) {
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{text}");
    client.put(&path, json!({"msgtype": "m.text", "body": text})).await;
}

#[tokio::test]
async fn root_sees_rooms_and_members_and_removes_a_room() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let lee = server.member("lee", "PHONE").await;
    let request = json!({
        "name": "Garden", "room_alias_name": "garden", "preset": "public_chat",
        "invite": [min.user, lee.user],
    });
    let room = kim.post("/_matrix/client/v3/createRoom", request).await;
    let id = room["room_id"].as_str().unwrap().to_owned();
    let path = id.replace('!', "%21").replace(':', "%3A");
    min.post(&format!("/_matrix/client/v3/join/{path}"), json!({})).await;
    for text in ["one", "two"] {
        say(&min, &path, text).await;
    }
    let encrypted = json!({
        "initial_state": [{"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}],
    });
    kim.post("/_matrix/client/v3/createRoom", encrypted).await;

    let rooms: Vec<Room> = get(&server, "/maru/v1/rooms").await;
    let garden = rooms.iter().find(|room| room.id == id).unwrap();
    assert_eq!(garden.name.as_deref(), Some("Garden"));
    assert_eq!(garden.alias.as_deref(), Some("#garden:maru.test"));
    assert_eq!((garden.members, garden.messages, garden.encrypted), (2, 2, false));
    assert!(garden.last_event.as_ref().unwrap().starts_with("20"));
    assert_eq!(rooms.iter().filter(|room| room.encrypted).count(), 1);
    let totals: Totals = get(&server, "/maru/v1/totals").await;
    assert_eq!(totals, Totals { rooms: 2, encrypted: 1, messages: 2 });
    let members: Vec<RoomMember> =
        get(&server, "/maru/v1/rooms/%23garden%3Amaru.test/members").await;
    let is = |user: &str| {
        let member = members.iter().find(|member| member.user_id == user).unwrap();
        (member.membership.clone(), member.power)
    };
    assert_eq!(is("@kim:maru.test"), ("join".to_owned(), 100));
    assert_eq!(is("@lee:maru.test"), ("invite".to_owned(), 0));

    let since = min.get("/_matrix/client/v3/sync").await["next_batch"].clone();
    let (status, removed) = ask(&server, Method::DELETE, &format!("/maru/v1/rooms/{path}")).await;
    assert_eq!((status, &removed["name"]), (StatusCode::OK, &json!("Garden")));
    let sync = format!("/_matrix/client/v3/sync?since={}", since.as_str().unwrap());
    let news = min.get(&sync).await;
    assert!(news["rooms"]["leave"][&id].is_object(), "{news}");
    let rooms: Vec<Room> = get(&server, "/maru/v1/rooms").await;
    assert!(rooms.iter().all(|room| room.id != id));
    let totals: Totals = get(&server, "/maru/v1/totals").await;
    assert_eq!(totals.messages, 0);
    let alias = "/_matrix/client/v3/directory/room/%23garden%3Amaru.test";
    assert_eq!(kim.call(Method::GET, alias, Value::Null).await.0, StatusCode::NOT_FOUND);
    for (method, what) in [(Method::DELETE, ""), (Method::GET, "/members")] {
        for name in ["%21none%3Amaru.test", "%23garden%3Amaru.test", "garden"] {
            let path = format!("/maru/v1/rooms/{name}{what}");
            let (status, problem) = ask(&server, method.clone(), &path).await;
            assert_eq!(
                (status, &problem["type"]),
                (StatusCode::NOT_FOUND, &json!("urn:maru:problem:not-found"))
            );
        }
    }
}
