//! The database server and the clock do what they should not.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use store::Database;
use testkit::{eventually, postgres::Postgres};

use crate::testing::{TestClient, TestServer};

const HOUR: i64 = 60 * 60 * 1000;

/// A room of Kim and Min, as a part of paths.
async fn room(kim: &TestClient, min: &TestClient) -> String {
    let made = kim.post("/_matrix/client/v3/createRoom", json!({"preset": "public_chat"})).await;
    let room = made["room_id"].as_str().unwrap().replace('!', "%21").replace(':', "%3A");
    min.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await;
    room
}

async fn say(client: &TestClient, room: &str, text: &str) -> (StatusCode, Value) {
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{text}");
    client.call(Method::PUT, &path, json!({"msgtype": "m.text", "body": text})).await
}

/// The messages of the next sync, and its token. Each has its text, and its time in Unix milliseconds.
async fn sync(client: &TestClient, since: &str) -> (Vec<(String, i64)>, String) {
    let sync = client.get(&format!("/_matrix/client/v3/sync{since}")).await;
    let rooms = sync["rooms"]["join"].as_object().into_iter().flatten();
    let events = rooms.flat_map(|(_, room)| room["timeline"]["events"].as_array().unwrap());
    let messages = events.filter(|event| event["type"] == "m.room.message").map(|event| {
        let text = event["content"]["body"].as_str().unwrap().to_owned();
        (text, event["origin_server_ts"].as_i64().unwrap())
    });
    (messages.collect(), format!("?since={}", sync["next_batch"].as_str().unwrap()))
}

/// A commit whose answer is lost was made: the message that it holds is there once, and everybody gets it.
#[tokio::test]
#[ignore = "needs: postgres"]
async fn a_commit_whose_answer_is_lost_is_found_again() {
    let postgres = Postgres::with_slow_commits(Duration::ZERO);
    let server = TestServer::start_on(Database::Postgres(postgres.url())).await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = room(&kim, &min).await;
    let (_, since) = sync(&min, "").await;
    let waiting = format!("{since}&timeout=60000");

    postgres.loses_next_commit();
    let (status, _) = say(&kim, &room, "first").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "it is not known whether it was stored");
    let waits = async {
        // The app of Kim repeats it, while the one of Min waits.
        tokio::join!(sync(&min, &waiting), say(&kim, &room, "first"))
    };
    let ((received, since), again) = waits.await;
    assert_eq!(again.0, StatusCode::OK, "{}", again.1);
    assert_eq!(received.iter().map(|(text, _)| text).collect::<Vec<_>>(), ["first"]);
    assert_eq!(say(&kim, &room, "second").await.0, StatusCode::OK);
    let (received, _) = sync(&min, &since).await;
    assert_eq!(received.iter().map(|(text, _)| text).collect::<Vec<_>>(), ["second"]);
}

/// A server that restarts breaks all connections.
#[tokio::test]
#[ignore = "needs: postgres"]
async fn a_database_server_that_restarts_signs_nobody_out_and_loses_nothing() {
    let postgres = Postgres::start();
    let server = TestServer::start_on(Database::Postgres(postgres.url())).await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = room(&kim, &min).await;
    let (_, mut since) = sync(&min, "").await;
    for text in ["1", "2", "3"] {
        assert_eq!(say(&kim, &room, text).await.0, StatusCode::OK);
        postgres.restart();
        let again = format!("{text} again");
        for text in [text, &again] {
            let say = async || {
                let (status, response) = say(&kim, &room, &text.replace(' ', "-")).await;
                assert_ne!(status, StatusCode::UNAUTHORIZED, "{response}");
                (status == StatusCode::OK).then_some(()).ok_or(response)
            };
            eventually("messages are stored", say).await;
        }
        let (received, next) = sync(&min, &since).await;
        let again = again.replace(' ', "-");
        assert_eq!(received.iter().map(|(text, _)| text).collect::<Vec<_>>(), [text, &again]);
        since = next;
    }
}

/// Positions, tokens and what waits in memory do not depend on the wall clock: only the times of messages do.
#[tokio::test]
async fn whatever_the_clock_says_messages_keep_their_order() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = room(&kim, &min).await;
    let (_, since) = sync(&min, "").await;
    let mut expected = Vec::new();
    let offsets = [0, -HOUR, -365 * 24 * HOUR, 365 * 24 * HOUR, 0];
    let started = Instant::now();
    let now = i64::from(server.homeserver.now().get());
    for (number, ahead) in offsets.into_iter().enumerate() {
        server.ahead.store(ahead, Ordering::Relaxed);
        assert_eq!(say(&kim, &room, &number.to_string()).await.0, StatusCode::OK);
        // The same request again, at another time.
        assert_eq!(say(&kim, &room, &number.to_string()).await.0, StatusCode::OK);
        expected.push(number.to_string());
    }
    let took = i64::try_from(started.elapsed().as_millis()).unwrap() + 1;
    let (received, next) = sync(&min, &since).await;
    assert_eq!(received.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>(), expected);
    for ((_, time), ahead) in received.iter().zip(offsets) {
        assert!((now + ahead..=now + ahead + took).contains(time), "{time}");
    }
    // Another start, with the clock a year back.
    server.ahead.store(-365 * 24 * HOUR, Ordering::Relaxed);
    let server = server.restart().await;
    let (kim, min) = (server.client(&kim), server.client(&min));
    assert_eq!(say(&kim, &room, "last").await.0, StatusCode::OK);
    let (received, _) = sync(&min, &next).await;
    assert_eq!(received.iter().map(|(text, _)| text).collect::<Vec<_>>(), ["last"]);
}

/// A code lives half a minute, by a clock that nobody sets.
#[tokio::test]
async fn a_clock_that_is_set_changes_no_rate_and_voids_no_password() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let password = kim.post("/maru/v1/rooms/login", json!({})).await;
    server.ahead.store(365 * 24 * HOUR, Ordering::Relaxed);
    let login = json!({
        "type": "m.login.password", "password": password["password"],
        "identifier": {"type": "m.id.user", "user": password["user_id"]},
    });
    let signed_in = kim.post("/_matrix/client/v3/login", login.clone()).await;
    assert!(signed_in["access_token"].is_string(), "{signed_in}");
    // It works once, whatever the clock says.
    server.ahead.store(-365 * 24 * HOUR, Ordering::Relaxed);
    let again = kim.call(Method::POST, "/_matrix/client/v3/login", login).await;
    assert_eq!(again.0, StatusCode::FORBIDDEN, "{}", again.1);
}
