//! Reports for the admin.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::testing::{TestClient, TestServer};

#[tokio::test]
async fn only_what_a_person_sees_is_reported() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[]).await;
    let event = server.say(&kim, &room, "bad").await;
    let room = TestClient::room(&room);
    let reason = json!({"reason": "it is bad"});
    for path in [format!("rooms/{room}/report/{event}"), format!("rooms/{room}/report")] {
        let path = format!("/_matrix/client/v3/{path}");
        kim.post(&path, reason.clone()).await;
        let refused = min.call(Method::POST, &path, reason.clone()).await;
        assert_eq!(refused.0, StatusCode::FORBIDDEN, "{path}");
    }
    for person in ["@min:maru.test", "@nobody:maru.test"] {
        kim.post(&format!("/_matrix/client/v3/users/{person}/report"), reason.clone()).await;
    }
}
