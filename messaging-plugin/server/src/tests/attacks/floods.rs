//! One person who asks, invites or reads without end.

use axum::http::{Method, StatusCode};
use futures_util::{FutureExt as _, future};
use serde_json::{Value, json};

use crate::testing::{TestClient, TestServer};

/// Far more requests than a person may make at once.
const FLOOD: usize = 50_000;
const WHO: &str = "/_matrix/client/v3/account/whoami";

#[tokio::test]
async fn who_reads_without_end_is_refused_and_nobody_else_waits() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let mut refused = None;
    for _ in 0..FLOOD {
        let (status, body) = kim.call(Method::GET, WHO, Value::Null).await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(body);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused["errcode"], "M_LIMIT_EXCEEDED");
    assert!(refused["retry_after_ms"].as_u64().is_some_and(|wait| wait <= 1_000), "{refused}");
    min.get(WHO).await;
    // Writing goes on.
    let name = "/_matrix/client/v3/profile/%40kim%3Amaru.test/displayname";
    kim.put(name, json!({"displayname": "K"})).await;
}

async fn invite(by: &TestClient, whom: &TestClient, room: &ruma::RoomId) -> (StatusCode, Value) {
    let path = format!("/_matrix/client/v3/rooms/{}/invite", TestClient::room(room));
    by.call(Method::POST, &path, json!({"user_id": whom.user})).await
}

#[tokio::test]
async fn a_member_sends_a_person_so_many_invitations_that_wait() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let jun = server.member("jun", "PHONE").await;
    let mut rooms = Vec::new();
    for _ in 0..50 {
        let room = server.room(&kim, |_| {}).await;
        assert_eq!(invite(&kim, &min, &room).await.0, StatusCode::OK);
        rooms.push(room);
    }
    let last = server.room(&kim, |_| {}).await;
    let (status, refused) = invite(&kim, &min, &last).await;
    assert_eq!((status, &refused["errcode"]), (StatusCode::FORBIDDEN, &json!("M_FORBIDDEN")));
    assert!(refused["error"].as_str().unwrap().starts_with("50 of your invitations"), "{refused}");
    let create = json!({"invite": [min.user]});
    let path = "/_matrix/client/v3/createRoom";
    assert_eq!(kim.call(Method::POST, path, create).await.0, StatusCode::FORBIDDEN);
    // Others invite, and the member again after an answer.
    let other = server.room(&jun, |_| {}).await;
    assert_eq!(invite(&jun, &min, &other).await.0, StatusCode::OK);
    let leave = format!("/_matrix/client/v3/rooms/{}/leave", TestClient::room(&rooms[0]));
    min.post(&leave, json!({})).await;
    assert_eq!(invite(&kim, &min, &last).await.0, StatusCode::OK);
}

#[tokio::test]
async fn so_many_invitations_of_all_members_wait() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let jun = server.member("jun", "PHONE").await;
    let room = server.room(&jun, |_| {}).await;
    assert_eq!(invite(&jun, &min, &room).await.0, StatusCode::OK);
    // As if many members had invited.
    let user = min.user.to_string();
    let write = server.homeserver.write(move |tx| {
        async move {
            for number in 1..500 {
                let query = "INSERT INTO memberships (user_id, room_id, membership, position, joined_at, is_forgotten) \
                     SELECT $1, $2, 'invite', position, 0, 0 FROM memberships WHERE user_id = $1 LIMIT 1";
                let query = sqlx::query(query).bind(user.clone()).bind(format!("!{number}:maru.test"));
                query.execute(tx.connection()).await?;
            }
            Ok(())
        }
        .boxed()
    });
    write.await.unwrap();
    let room = server.room(&kim, |_| {}).await;
    let (status, refused) = invite(&kim, &min, &room).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(refused["error"].as_str().unwrap().starts_with("500 invitations wait"), "{refused}");
}

/// A topic or a name that fills the first sync of whoever is invited.
#[tokio::test]
async fn an_invitation_is_short() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room(&kim, |_| {}).await;
    let long = "x".repeat(60_000);
    server.state(&kim, &room, ("m.room.topic", ""), json!({"topic": long})).await;
    server.state(&kim, &room, ("m.room.name", ""), json!({"name": "Home"})).await;
    let reason = json!({"user_id": min.user, "reason": long});
    let path = format!("/_matrix/client/v3/rooms/{}/invite", TestClient::room(&room));
    let (status, _) = kim.call(Method::POST, &path, reason).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(invite(&kim, &min, &room).await.0, StatusCode::OK);
    let sync = min.get("/_matrix/client/v3/sync").await;
    let shown = sync["rooms"]["invite"][room.as_str()].to_string();
    assert!(shown.contains("Home") && shown.len() < 8_000, "{} bytes", shown.len());
}

/// After a restart no room is in memory: each sync reads its rooms, and must not wait for a second connection meanwhile.
#[tokio::test]
async fn many_apps_that_sync_at_once_are_all_answered() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    for _ in 0..20 {
        server.room(&kim, |_| {}).await;
    }
    let server = server.restart().await;
    let kim = server.client(&kim);
    let sliding = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0";
    let list = json!({"ranges": [[0, 30]], "timeline_limit": 1, "required_state": []});
    let syncs = (0..30).map(async |number| {
        if number % 5 == 0 {
            let request = json!({"conn_id": format!("{number}"), "lists": {"all": list}});
            kim.call(Method::POST, sliding, request).await.0
        } else {
            kim.call(Method::GET, "/_matrix/client/v3/sync", Value::Null).await.0
        }
    });
    let answers = future::join_all(syncs).await;
    assert_eq!(answers, [StatusCode::OK; 30]);
}
