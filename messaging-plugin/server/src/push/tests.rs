//! A phone: the app ntfy subscribes, a messenger sets its pusher, and somebody writes.

use axum::{
    body::{Body, BodyDataStream},
    http::{Method, Request, StatusCode},
};
use futures_util::StreamExt as _;
use mesh_identity::Header;
use ruma::RoomId;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::testing::{TestClient, TestServer};

const SET: &str = "/_matrix/client/v3/pushers/set";
const GATEWAY: &str = "/_matrix/push/v1/notify";

/// What Element X sets.
fn pusher(topic: &str) -> Value {
    json!({
        "pushkey": format!("https://rooms.maru.test/{topic}?up=1"), "app_id": "io.element.android.x", "kind": "http",
        "append": false, "lang": "en", "profile_tag": "mobile_1", "app_display_name": "Element X",
        "device_display_name": "Phone",
        "data": {
            "url": format!("https://rooms.maru.test{GATEWAY}"), "format": "event_id_only",
            "default_payload": {"cs": "client-secret"},
        },
    })
}

/// A request of a node without an access token, as ntfy sends it.
async fn ask(
    server: &TestServer,
    header: &Header,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, Body) {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path).extension(header.clone());
    let response = server.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, body)
}

async fn answer(
    server: &TestServer,
    client: &TestClient,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let (status, body) = ask(server, &client.header, method, path, body).await;
    let body = chassis::body::whole(body, 1 << 20, testkit::PATIENCE).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// A subscription that lasts.
struct Stream(BodyDataStream);

impl Stream {
    async fn open(server: &TestServer, client: &TestClient, path: &str) -> Self {
        let (status, body) = ask(server, &client.header, Method::GET, path, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let mut stream = Self(body.into_data_stream());
        assert_eq!(stream.line().await["event"], "open");
        stream
    }

    async fn line(&mut self) -> Value {
        let line = timeout(testkit::PATIENCE, self.0.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(line.last(), Some(&b'\n'));
        serde_json::from_slice(&line).unwrap()
    }

    /// The notification of the next message.
    async fn notification(&mut self) -> Value {
        let line = self.line().await;
        assert_eq!(line["event"], "message", "{line}");
        let text: Value = serde_json::from_str(line["message"].as_str().unwrap()).unwrap();
        text["notification"].clone()
    }
}

impl Stream {
    /// The next notification of an event; there are others of counts alone.
    async fn event(&mut self) -> Value {
        loop {
            let notification = self.notification().await;
            if notification.get("event_id").is_some() {
                return notification;
            }
        }
    }
}

/// Kim with a phone that has a pusher and a subscription, and Min, in one room.
struct Phone {
    server: TestServer,
    kim: TestClient,
    min: TestClient,
    room: ruma::OwnedRoomId,
    stream: Stream,
}

async fn phone() -> Phone {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let room = server.room_of(&kim, &[&min]).await;
    let stream = Stream::open(&server, &kim, "/upAAAA/json").await;
    kim.post(SET, pusher("upAAAA")).await;
    Phone { server, kim, min, room, stream }
}

fn path(room: &RoomId, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}/{rest}", TestClient::room(room))
}

#[tokio::test]
async fn apps_find_the_gateway_and_the_unifiedpush_server() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let get = async |path: &str| answer(&server, &kim, Method::GET, path, Value::Null).await;
    let gateway = json!({"unifiedpush": {"gateway": "matrix"}});
    assert_eq!(get(GATEWAY).await, (StatusCode::OK, gateway));
    let version = json!({"unifiedpush": {"version": 1}});
    assert_eq!(get("/upAAAA?up=1").await, (StatusCode::OK, version));
    assert_eq!(get("/upAAAA").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get("/upAAAA/auth").await, (StatusCode::OK, json!({"success": true})));
}

#[tokio::test]
async fn a_message_reaches_the_phone_as_ids_and_counts_alone() {
    let Phone { server, kim, min, room, mut stream } = phone().await;
    let device = json!([{
        "app_id": "io.element.android.x", "pushkey": "https://rooms.maru.test/upAAAA?up=1",
        "data": {"format": "event_id_only", "default_payload": {"cs": "client-secret"}},
    }]);
    let event = server.say(&min, &room, "a private text").await;
    let expected = json!({
        "event_id": event, "room_id": room, "prio": "high", "counts": {"unread": 1}, "devices": device,
    });
    assert_eq!(stream.notification().await, expected);

    let other = server.room_of(&min, &[&kim]).await;
    assert_eq!(stream.event().await["room_id"], other.as_str(), "an invitation");
    let event = server.say(&min, &other, "again").await;
    let heard = stream.event().await;
    assert_eq!((&heard["event_id"], &heard["counts"]), (&json!(event), &json!({"unread": 2})));

    kim.post(&path(&other, &format!("receipt/m.read/{event}")), json!({})).await;
    let read = json!({"prio": "high", "counts": {"unread": 1}, "devices": device});
    assert_eq!(stream.notification().await, read);
    // Who writes has read.
    server.say(&kim, &room, "an answer").await;
    assert_eq!(stream.notification().await["counts"], json!({"unread": 0}));
}

#[tokio::test]
async fn push_rules_and_ignored_people_are_respected() {
    let Phone { server, kim, min, room, mut stream } = phone().await;
    let ada = server.member("ada", "PHONE").await;
    server.membership(&kim, &room, &ada, "invite").await;
    server.membership(&ada, &room, &ada, "join").await;
    let ignored = format!("/_matrix/client/v3/user/{}/account_data/m.ignored_user_list", kim.user);
    kim.put(&ignored, json!({"ignored_users": {ada.user.as_str(): {}}})).await;
    server.say(&ada, &room, "nobody listens").await;
    let notice = json!({"msgtype": "m.notice", "body": "no rule notifies of it"});
    server.try_event(&min, &room, ("m.room.message", None), notice).await.unwrap();
    let event = server.say(&min, &room, "hello").await;
    assert_eq!(stream.event().await["event_id"], event.as_str());
}

#[tokio::test]
async fn a_topic_is_its_persons_alone_also_after_a_restart() {
    let Phone { server, kim, min, room, stream } = phone().await;
    drop(stream);
    let body = json!({"notification": {"devices": [
        {"pushkey": "https://rooms.maru.test/upAAAA?up=1"}, {"pushkey": "https://ntfy.sh/upAAAA"},
    ]}});
    let hidden = async |server: &TestServer, min: &TestClient| {
        for (method, path, status) in [
            (Method::GET, "/upAAAA/json?poll=1&since=all", StatusCode::FORBIDDEN),
            (Method::GET, "/upOTHER,upAAAA/json", StatusCode::FORBIDDEN),
            (Method::GET, "/upAAAA/auth", StatusCode::FORBIDDEN),
            (Method::POST, "/upAAAA", StatusCode::NOT_FOUND),
            (Method::PUT, "/upNONE", StatusCode::NOT_FOUND),
        ] {
            let answer = answer(server, min, method.clone(), path, json!({})).await;
            assert_eq!(answer.0, status, "{method} {path}: {}", answer.1);
        }
        answer(server, min, Method::POST, GATEWAY, body.clone()).await
    };
    let rejected = hidden(&server, &min).await.1;
    assert_eq!(rejected["rejected"].as_array().unwrap().len(), 2);
    let rejected = answer(&server, &kim, Method::POST, GATEWAY, body.clone()).await.1;
    assert_eq!(rejected, json!({"rejected": ["https://ntfy.sh/upAAAA"]}), "an app tests its own");

    let server = server.restart().await;
    let (kim, min) = (server.client(&kim), server.client(&min));
    hidden(&server, &min).await;
    let mut stream = Stream::open(&server, &kim, "/upAAAA/json").await;
    let event = server.say(&min, &room, "still").await;
    assert_eq!(stream.notification().await["event_id"], event.as_str());
}

#[tokio::test]
async fn a_phone_that_was_away_asks_for_what_it_missed() {
    let Phone { server, kim, min, room, mut stream } = phone().await;
    server.say(&min, &room, "one").await;
    let first = stream.line().await;
    server.say(&min, &room, "two").await;
    let second = stream.line().await;
    drop(stream);
    let (status, body) = ask(
        &server,
        &kim.header,
        Method::GET,
        &format!("/upBBBB,upAAAA/json?poll=1&since={}", first["id"].as_str().unwrap()),
        Value::Null,
    )
    .await;
    let body = chassis::body::whole(body, 1 << 20, testkit::PATIENCE).await.unwrap();
    assert_eq!((status, &body[..]), (StatusCode::OK, format!("{second}\n").as_bytes()));
    let mut stream = Stream::open(&server, &kim, "/upAAAA/json?since=all").await;
    assert_eq!((stream.line().await, stream.line().await), (first, second));
    let wrong = answer(&server, &kim, Method::GET, "/upAAAA/json?since=x", Value::Null).await;
    assert_eq!(wrong.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_app_that_signs_out_is_not_pushed_any_more() {
    let Phone { server, kim, min, room, mut stream } = phone().await;
    let tablet = server.member("kim", "TABLET").await;
    let mut tablets = Stream::open(&server, &tablet, "/upTABLET/json").await;
    let mut own = pusher("upTABLET");
    own["append"] = json!(true);
    tablet.post(SET, own).await;
    kim.post("/_matrix/client/v3/logout", json!({})).await;
    server.say(&min, &room, "hello").await;
    tablets.notification().await;
    let sent = json!({"topic": "is still there"});
    assert_eq!(
        answer(&server, &kim, Method::POST, "/upAAAA", sent.clone()).await.0,
        StatusCode::OK
    );
    assert_eq!(stream.line().await["message"], sent.to_string(), "nothing came before it");
}

#[tokio::test]
async fn a_node_has_so_many_subscriptions_and_a_message_so_many_bytes() {
    let Phone { server, kim, stream: _first, .. } = phone().await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(Stream::open(&server, &kim, "/upAAAA/json").await);
    }
    let more = answer(&server, &kim, Method::GET, "/upAAAA/json", Value::Null).await;
    assert_eq!(more.0, StatusCode::TOO_MANY_REQUESTS);
    streams.pop();
    Stream::open(&server, &kim, "/upAAAA/json").await;
    let long = json!("x".repeat(4_096));
    let long = answer(&server, &kim, Method::POST, "/upAAAA", long).await;
    assert_eq!(long.0, StatusCode::PAYLOAD_TOO_LARGE);
    let topics = format!("/{}/json", vec!["up"; 65].join(","));
    let many = answer(&server, &kim, Method::GET, &topics, Value::Null).await;
    assert_eq!(many.0, StatusCode::BAD_REQUEST);
}
