//! Rooms through the router of the homeserver.

mod creating;
mod expire;
mod history;
mod membership;
mod names;
mod redaction;
mod relations;
mod report;
mod search;
mod sending;
mod spaces;
mod strangers;

use axum::http::Method;
use serde_json::{Value, json};

use crate::testing::{TestClient, TestServer};

/// Path of an endpoint that is not part of a room.
fn api(rest: &str) -> String {
    format!("/_matrix/client/v3/{rest}")
}

/// Path of an endpoint of a room.
fn at(room: &str, rest: &str) -> String {
    api(&format!("rooms/{}/{rest}", encode(room)))
}

/// The same of version 1.
fn v1(room: &str, rest: &str) -> String {
    format!("/_matrix/client/v1/rooms/{}/{rest}", encode(room))
}

/// An id as a part of a path.
fn encode(id: &str) -> String {
    ["%25", "%20", "%21", "%23", "%24", "%3A", "%40", "%2F"]
        .iter()
        .zip(["%", " ", "!", "#", "$", ":", "@", "/"])
        .fold(id.to_owned(), |id, (code, character)| id.replace(character, code))
}

/// A server with two people.
async fn two() -> (TestServer, TestClient, TestClient) {
    let server = TestServer::start().await;
    let alice = server.member("alice", "PHONE").await;
    let bob = server.member("bob", "LAPTOP").await;
    (server, alice, bob)
}

/// Makes a room.
async fn room(client: &TestClient, request: Value) -> String {
    let made = client.post(&api("createRoom"), request).await;
    made["room_id"].as_str().unwrap().to_owned()
}

/// Makes a room with both as members.
async fn shared(alice: &TestClient, bob: &TestClient, request: Value) -> String {
    let room = room(alice, request).await;
    invite(alice, bob, &room).await;
    bob.post(&at(&room, "join"), json!({})).await;
    room
}

async fn invite(by: &TestClient, whom: &TestClient, room: &str) {
    by.post(&at(room, "invite"), json!({"user_id": whom.user})).await;
}

/// Sends a text, whose transaction id it is too. Returns the id of the event.
async fn say(client: &TestClient, room: &str, text: &str) -> String {
    send(client, room, "m.room.message", text, json!({"msgtype": "m.text", "body": text})).await
}

/// Sends an event.
async fn send(client: &TestClient, room: &str, kind: &str, txn: &str, content: Value) -> String {
    let sent = client.put(&at(room, &format!("send/{kind}/{}", encode(txn))), content).await;
    sent["event_id"].as_str().unwrap().to_owned()
}

/// Sends a state event with an empty key.
async fn state(client: &TestClient, room: &str, kind: &str, content: Value) -> String {
    let sent = client.put(&at(room, &format!("state/{kind}")), content).await;
    sent["event_id"].as_str().unwrap().to_owned()
}

async fn event(client: &TestClient, room: &str, id: &str) -> Value {
    client.get(&at(room, &format!("event/{}", encode(id)))).await
}

/// Calls an endpoint, which must refuse. Returns the status and the error code.
async fn refused(client: &TestClient, method: Method, path: &str, body: Value) -> (u16, String) {
    let (status, body) = client.call(method, path, body).await;
    let code = body["errcode"].as_str().unwrap_or_default().to_owned();
    (status.as_u16(), code)
}

fn forbidden() -> (u16, String) {
    (403, "M_FORBIDDEN".to_owned())
}

fn not_found() -> (u16, String) {
    (404, "M_NOT_FOUND".to_owned())
}

/// The texts of messages, in the order of the list.
fn texts(events: &Value) -> Vec<String> {
    let bodies = events.as_array().unwrap().iter().map(|event| &event["content"]["body"]);
    bodies.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The ids of events, in the order of the list.
fn ids(events: &Value) -> Vec<String> {
    let ids = events.as_array().unwrap().iter().map(|event| event["event_id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}
