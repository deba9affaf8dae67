use std::{os::unix::fs::MetadataExt as _, sync::Arc};

use axum::http::StatusCode;
use chassis::unix::{Access, Connector};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::{
    api,
    testing::{NETWORK, TestServer},
};

struct Link {
    connector: Connector,
    _folder: tempfile::TempDir,
}

impl Link {
    /// Serves this uid.
    fn start(server: &TestServer, uid: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rooms/http.sock");
        let socket = Socket::bind(&path, Access::Group).unwrap();
        tokio::spawn(serve(socket, uid, api::router(Arc::clone(&server.homeserver))));
        Self { connector: Connector::new(folder.path(), &path), _folder: folder }
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Value,
    ) -> Option<(StatusCode, Value)> {
        let stream = self.connector.connect().await.unwrap();
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .body(Full::<Bytes>::from(body.to_string()))
            .unwrap();
        let response = chassis::client::send(stream, request).await.ok()?;
        let status = response.status();
        let body = chassis::body::whole(response.into_body(), 1 << 20, testkit::PATIENCE);
        let body = body.await.unwrap();
        let text = || String::from_utf8(body.to_vec()).unwrap().into();
        Some((status, serde_json::from_slice(&body).unwrap_or_else(|_| text())))
    }

    async fn sign_in(&self) -> String {
        let login = json!({ "type": LOGIN, "device_id": "HOME" });
        let (status, body) =
            self.call("POST", "/_matrix/client/v3/login", "", login).await.unwrap();
        assert_eq!(
            (status, &body["user_id"]),
            (StatusCode::OK, &json!(format!("@maru:{NETWORK}")))
        );
        body["access_token"].as_str().unwrap().to_owned()
    }
}

fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

#[tokio::test]
async fn the_process_of_the_participant_is_the_ai_and_its_token_works_on_its_socket_alone() {
    let server = TestServer::start().await;
    let link = Link::start(&server, own_uid());
    let token = link.sign_in().await;
    let who = "/_matrix/client/v3/account/whoami";
    let (status, body) = link.call("GET", who, &token, Value::Null).await.unwrap();
    assert_eq!((status, &body["device_id"]), (StatusCode::OK, &json!("HOME")));

    let mut alice = server.member("alice", "PHONE").await;
    let found = json!({ "search_term": "maru" });
    let found = alice.post("/_matrix/client/v3/user_directory/search", found).await;
    let results = found["results"].as_array().unwrap();
    let is_found = |id: &str| results.iter().any(|result| result["user_id"] == id);
    assert!(is_found(&format!("@maru:{NETWORK}")), "{found}");
    let rooms = link.call("GET", "/_matrix/client/v3/joined_rooms", &token, Value::Null).await;
    assert_eq!(rooms.unwrap().1["joined_rooms"], json!([]));

    alice.token = token;
    let (status, _) = alice.call(axum::http::Method::GET, who, Value::Null).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

/// Whoever takes the participant over is a person without the others' things.
#[tokio::test]
async fn on_its_link_the_ai_is_a_person_like_others() {
    let server = TestServer::start().await;
    let link = Link::start(&server, own_uid());
    let alice = server.member("alice", "PHONE").await;
    let room = server.room(&alice, |_| {}).await;
    let token = link.sign_in().await;
    let room = crate::testing::TestClient::room(&room);
    let name = json!({ "displayname": "alice" });
    for (method, path, token, status) in [
        ("GET", "/_matrix/client/v3/account/whoami".to_owned(), &alice.token, 401),
        ("GET", format!("/_matrix/client/v3/rooms/{room}/state"), &token, 403),
        ("POST", format!("/_matrix/client/v3/join/{room}"), &token, 403),
        ("PUT", format!("/_matrix/client/v3/profile/{}/displayname", alice.user), &token, 403),
        ("GET", "/maru/v1/rooms".to_owned(), &token, 404),
        ("DELETE", format!("/maru/v1/rooms/{room}"), &token, 404),
    ] {
        let answer = link.call(method, &path, token, name.clone()).await.unwrap();
        assert_eq!(answer.0.as_u16(), status, "{method} {path}: {}", answer.1);
    }
    let export = link.call("GET", "/maru/v1/rooms/export", &token, Value::Null).await.unwrap();
    assert!(!export.1.to_string().contains("alice"), "{}", export.1);
    // It is within a person's limits.
    let mut refused = None;
    for _ in 0..20_000 {
        let path = "/_matrix/client/v3/rooms/%21none%3Amaru.test/leave";
        let answer = link.call("POST", path, &token, json!({})).await.unwrap();
        if answer.0 == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer.1);
            break;
        }
    }
    assert_eq!(refused.unwrap()["errcode"], "M_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn another_process_and_a_node_with_the_number_of_the_ai_are_refused() {
    let server = TestServer::start().await;
    let link = Link::start(&server, own_uid() + 1);
    let login = json!({ "type": LOGIN });
    assert!(link.call("POST", "/_matrix/client/v3/login", "", login.clone()).await.is_none());

    let mut alice = server.member("alice", "PHONE").await;
    let path = "/_matrix/client/v3/login";
    let (status, _) = alice.call(axum::http::Method::POST, path, login.clone()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    alice.header = header();
    let (status, _) = alice.call(axum::http::Method::POST, path, login).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}
