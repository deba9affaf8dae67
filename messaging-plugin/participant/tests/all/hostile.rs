//! A telmeet that is under somebody's control: it changes what it answers the participant.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use matrix_sdk_crypto::{OlmMachine, types::requests::AnyOutgoingRequest};
use ruma::UserId;
use serde_json::{Value, json};
use testkit::{
    eventually,
    http::rest,
    server::{Request, Server, read_request, response},
};
use tokio::{io::AsyncWriteExt as _, net::UnixStream};

use crate::{home::Home, person::Person};

/// Changes a response to the participant.
pub(crate) type Tamper = Arc<dyn Fn(&Request, &mut Value) + Send + Sync>;

const MINA: &str = "@mina:maru.home.arpa";

/// Stands between the participant and telmeet, whose socket is at this path.
pub(crate) fn between(root: &Path, honest: &str, tamper: Tamper) -> Server {
    let (path, honest) = (services::ROOMS_LINK.path(root), root.join(honest));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    Server::unix(&path, move |mut stream| {
        let (honest, tamper) = (honest.clone(), Arc::clone(&tamper));
        async move {
            // The participant closes connections, too.
            let Ok(request) = read_request(&mut stream).await else { return };
            let mut telmeet = UnixStream::connect(honest).await.unwrap();
            telmeet.write_all(request.head.as_bytes()).await.unwrap();
            telmeet.write_all(&request.body).await.unwrap();
            let answer = rest(&mut telmeet).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
            let status = head.lines().next().unwrap_or_default();
            let mut body = serde_json::from_str(body).unwrap_or_default();
            tamper(&request, &mut body);
            let status = status.trim_start_matches("HTTP/1.1 ");
            let answer = response(status, "application/json", &body.to_string());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
}

fn is_sync(request: &Request) -> bool {
    request.path().starts_with("/_matrix/client/v3/sync")
}

/// What the gateway was asked.
fn asked(home: &Home) -> Vec<String> {
    let texts = home.gateway.asked();
    texts.iter().map(|it| it["text"].as_str().unwrap().to_owned()).collect()
}

/// The keys of a device that its owner has not signed, and its one-time keys.
async fn unsigned_device(owner: &str) -> (Value, Value) {
    let owner = UserId::parse(owner).unwrap();
    let machine = OlmMachine::new(&owner, "EVIL".into()).await;
    let requests = machine.outgoing_requests().await.unwrap();
    let keys = requests.iter().find_map(|request| {
        let AnyOutgoingRequest::KeysUpload(keys) = request.request() else { return None };
        Some((json!(keys.device_keys), json!(keys.one_time_keys)))
    });
    keys.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_telmeet_adds_to_a_person_gets_no_keys() {
    let (device, one_time) = unsigned_device(MINA).await;
    let sent = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&sent);
    let home = Home::start_hostile(Arc::new(move |request, body| {
        let path = request.path();
        if path.ends_with("/keys/query") && body["device_keys"][MINA].is_object() {
            body["device_keys"][MINA]["EVIL"] = device.clone();
        } else if path.ends_with("/keys/claim") {
            body["one_time_keys"][MINA]["EVIL"] = one_time.clone();
        } else if is_sync(request) {
            body["device_lists"]["changed"] = json!([MINA]);
        } else if path.contains("/sendToDevice/m.room.encrypted/") {
            // Others say that there is no key for a device.
            seen.lock().unwrap().push(String::from_utf8(request.body.clone()).unwrap());
        }
    }))
    .await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    mina.keys_of_ai().await;
    let room = mina.create_direct().await;
    mina.say(&room, "first").await;
    mina.sees("an answer", |shown| shown.text.contains("first")).await;
    let sent = sent.lock().unwrap();
    assert!(sent.iter().any(|it| it.contains(MINA)), "she got the room's key");
    assert!(!sent.iter().any(|it| it.contains("EVIL")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_telmeet_shows_again_is_answered_once() {
    let home = Home::start_hostile(Arc::new(|request, body| {
        if !is_sync(request) {
            return;
        }
        let rooms = body.pointer_mut("/rooms/join").and_then(Value::as_object_mut);
        for (_, joined) in rooms.into_iter().flatten() {
            let events = joined.pointer_mut("/timeline/events").and_then(Value::as_array_mut);
            let Some(events) = events else { continue };
            let is_message =
                |event: &&Value| event["sender"] == MINA && event["type"] == "m.room.encrypted";
            let of_mina = events.iter().filter(is_message);
            let mut again: Vec<Value> = of_mina.cloned().collect();
            again.extend(again.clone());
            let half = again.len() / 2;
            for (number, event) in again.iter_mut().enumerate() {
                // The same event, and the same message as another event.
                if number >= half {
                    let id = event["event_id"].as_str().unwrap();
                    event["event_id"] = format!("$AAAAAAAA{}", &id[9..]).into();
                }
            }
            events.extend(again);
        }
    }))
    .await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    mina.keys_of_ai().await;
    let room = mina.create_direct().await;
    for text in ["first", "last"] {
        mina.say(&room, text).await;
        mina.sees("an answer", |shown| shown.text.contains(text)).await;
    }
    mina.say(&room, "end").await;
    mina.sees("an answer", |shown| shown.text.contains("end")).await;
    assert_eq!(asked(&home), ["first", "last", "end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_another_network_whom_telmeet_adds_makes_the_ai_leave() {
    let home = Home::start_hostile(Arc::new(|request, body| {
        let spy = json!({
            "type": "m.room.member", "state_key": "@spy:evil.example", "sender": "@spy:evil.example",
            "event_id": "$spy", "origin_server_ts": 1, "content": { "membership": "join" },
        });
        if request.path().ends_with("/state")
            && let Some(state) = body.as_array_mut()
        {
            state.push(spy);
        }
    }))
    .await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    mina.keys_of_ai().await;
    let room = mina.create_direct().await;
    mina.say(&room, "secret").await;
    eventually("the AI leaves", async || {
        let membership = mina.membership_of_ai(&room).await?;
        (membership == "leave").then_some(())
    })
    .await;
    assert_eq!(asked(&home), [""; 0]);
}

/// Responses that are too large, that are no responses, and messages from nobody.
#[tokio::test(flavor = "multi_thread")]
async fn the_ai_survives_whatever_telmeet_answers() {
    let turn = Mutex::new(0);
    let home = Home::start_hostile(Arc::new(move |request, body| {
        if !is_sync(request) {
            return;
        }
        let mut turn = turn.lock().unwrap();
        *turn += 1;
        let nobody = json!([
            { "type": "m.room_key", "sender": "@nobody:maru.home.arpa", "content": {
                "algorithm": "m.megolm.v1.aes-sha2", "room_id": "!a:b", "session_id": "x", "session_key": "x",
            } },
            { "type": "m.room.encrypted", "sender": "@nobody:maru.home.arpa", "content": {
                "algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": "x", "ciphertext": {},
            } },
            { "type": 7 },
            "text",
        ]);
        match *turn {
            1 => *body = json!({ "next_batch": "x".repeat(21 << 20) }),
            2 => *body = json!(["no sync"]),
            3 => body["rooms"]["join"] = json!({ "!a:b": { "timeline": { "events": [7, {}, null] } } }),
            _ => {
                let mut events = nobody.as_array().unwrap().clone();
                let others = body.pointer("/to_device/events").and_then(Value::as_array);
                events.extend(others.into_iter().flatten().cloned());
                body["to_device"] = json!({ "events": events });
            }
        }
    }))
    .await;
    let mina = Person::sign_in(&home, 1, "mina", "phone").await;
    mina.keys_of_ai().await;
    let room = mina.create_direct().await;
    mina.say(&room, "first").await;
    mina.sees("an answer", |shown| shown.text.contains("first")).await;
}
