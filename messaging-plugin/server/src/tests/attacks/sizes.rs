//! Bodies and rooms that are as large, deep or many as a member can make them.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use crate::{
    api,
    testing::{TestClient, TestServer},
};

/// Far below the memory of telmeet's container.
const RESPONSE_MAX: usize = 8 << 20;

fn deep() -> Vec<u8> {
    format!("{}{}", "{\"a\":".repeat(10_000), "1").into_bytes()
}

/// Whatever comes is refused, and no answer is a failure of the server.
#[tokio::test]
async fn every_endpoint_refuses_what_is_no_request() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let mut filter = String::from("{\"room\":{\"rooms\":[");
    filter.push_str(&"\"!a:b\",".repeat(20_000));
    filter.push_str("\"!a:b\"]}}");
    let bodies = [
        deep(),
        [deep(), b"}".repeat(10_000)].concat(),
        b"[".repeat(100_000),
        b"{\"a\":\"\xff\xfe\"}".to_vec(),
        b"\xff".to_vec(),
        b"null".to_vec(),
        filter.into_bytes(),
        vec![b' '; (1 << 20) + 1],
    ];
    for route in api::routes().iter().filter(|route| route.method != Method::GET) {
        // An upload is any bytes, and signing out has no body.
        let takes_any = ["/_matrix/media/", "/logout", "/account/deactivate"];
        if takes_any.iter().any(|path| route.path.contains(path)) {
            continue;
        }
        let path = route.path.replace(['{', '}'], "");
        for (number, body) in bodies.iter().enumerate() {
            let request = Request::builder().method(route.method.clone()).uri(&path);
            let request = request.header("content-type", "application/json");
            let response = kim.send(request.body(Body::from(body.clone())).unwrap()).await;
            assert!(
                !response.status().is_server_error(),
                "{} {path}, body {number}: {}",
                route.method,
                response.status()
            );
        }
    }
    kim.get("/_matrix/client/v3/sync").await;
}

#[tokio::test]
async fn a_path_or_query_that_is_no_text_is_refused() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let long = "x".repeat(60_000);
    for path in [
        "/_matrix/client/v3/rooms/%FF%FE/state".to_owned(),
        "/_matrix/client/v3/sync?filter=%FF".to_owned(),
        format!(
            "/_matrix/client/v3/sync?filter=%7B%22room%22%3A%7B%22rooms%22%3A%5B%22{long}%22%5D%7D%7D"
        ),
        format!("/_matrix/client/v3/sync?filter={}", "%5B".repeat(10_000)),
        format!("/_matrix/client/v3/rooms/!{long}/state"),
    ] {
        let (status, body) = kim.call(Method::GET, &path, Value::Null).await;
        assert!(status.is_client_error(), "{}: {status} {body}", &path[..60]);
    }
}

async fn fill(server: &TestServer, by: &TestClient, room: &ruma::RoomId, messages: usize) {
    for _ in 0..messages {
        server.say(by, room, &"x".repeat(60_000)).await;
    }
}

fn events(room: &Value) -> usize {
    room["timeline"]["events"].as_array().unwrap().len()
}

/// A member who filled two rooms of another's before the first sync.
#[tokio::test]
async fn a_sync_of_full_rooms_is_cut_and_its_rest_is_read_in_pages() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let mut rooms = Vec::new();
    for _ in 0..2 {
        let room = server.room_of(&kim, &[&min]).await;
        fill(&server, &kim, &room, 120).await;
        rooms.push(room);
    }
    let filter = "%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A500%7D%7D%7D";
    let sync = min.get(&format!("/_matrix/client/v3/sync?filter={filter}")).await;
    assert!(sync.to_string().len() < RESPONSE_MAX);
    let shown = rooms.iter().map(|room| &sync["rooms"]["join"][room.as_str()]);
    let mut counts: Vec<_> = shown.clone().map(events).collect();
    counts.sort_unstable();
    assert!(counts[0] == 1 && counts[1] < 120, "{counts:?}");
    assert!(shown.clone().all(|room| room["timeline"]["limited"] == true));

    let mut read = events(&sync["rooms"]["join"][rooms[0].as_str()]);
    let mut from = sync["rooms"]["join"][rooms[0].as_str()]["timeline"]["prev_batch"].clone();
    while let Some(token) = from.as_str() {
        let room = TestClient::room(&rooms[0]);
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=500&from={token}");
        let page = min.get(&path).await;
        assert!(page.to_string().len() < RESPONSE_MAX);
        let chunk = page["chunk"].as_array().unwrap();
        read += chunk.iter().filter(|event| event["type"] == "m.room.message").count();
        from = page["end"].clone();
    }
    assert_eq!(read, 120);

    let list = json!({"ranges": [[0, 9]], "timeline_limit": 100, "required_state": [["*", "*"]]});
    let sliding = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0";
    let sync = min.post(sliding, json!({"lists": {"all": list}})).await;
    assert!(sync.to_string().len() < RESPONSE_MAX);
    assert_eq!(sync["rooms"].as_object().unwrap().len(), 2);
}

/// More rooms than are kept in memory.
#[tokio::test]
async fn a_person_in_very_many_rooms_syncs() {
    const ROOMS: usize = 1_100;
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    for _ in 0..ROOMS / 100 {
        let user = kim.user.clone();
        let write = server.homeserver.write(move |tx| {
            async move {
                use telmeet_core::create::{Context, Profile, create};
                for _ in 0..100 {
                    let room_id = crate::random::room_id(crate::testing::NETWORK)?;
                    let context = Context { room_id, creator: user.clone(), time: tx.now() };
                    let request = ruma::api::client::room::create_room::v3::Request::new();
                    tx.create(&create(&request, &context, |_| Some(Profile::default()))?).await?;
                }
                Ok(())
            }
            .boxed()
        });
        write.await.unwrap();
    }
    let sync = kim.get("/_matrix/client/v3/sync").await;
    assert_eq!(sync["rooms"]["join"].as_object().unwrap().len(), ROOMS);
    assert!(sync.to_string().len() < RESPONSE_MAX);
    let list = json!({"ranges": [[0, 9_999]], "timeline_limit": 1, "required_state": []});
    let sliding = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0";
    let sync = kim.post(sliding, json!({"lists": {"all": list}})).await;
    assert_eq!(sync["rooms"].as_object().unwrap().len(), ROOMS);
    let (status, _) = kim.call(Method::GET, "/_matrix/client/v3/joined_rooms", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
}
