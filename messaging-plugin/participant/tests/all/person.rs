//! A person with an app: a device of its own, in rooms.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chassis::unix::Connector;
use maru_participant::{
    device::{Device, SyncedKeys},
    homeserver::{Homeserver, room_path, segment},
    records::Records,
};
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Value, json, value::RawValue};
use store::DatabaseLock;
use testkit::eventually;
use tokio::sync::Mutex;

use crate::home::Home;

/// The AI.
pub(crate) const AI: &str = "@maru:maru.home.arpa";

/// What an app shows of a message: its text after all edits, and the event to which it replies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) replies_to: Option<String>,
    pub(crate) edits: usize,
}

#[derive(Default)]
struct Timeline {
    since: Option<String>,
    /// Messages of the AI, by their event, in their order.
    order: Vec<String>,
    messages: BTreeMap<String, Shown>,
    /// Events that could not be read.
    unread: Vec<(OwnedRoomId, Box<RawValue>)>,
}

pub(crate) struct Person {
    pub(crate) user: OwnedUserId,
    server: Arc<Homeserver>,
    pub(crate) device: Device,
    seen: Mutex<Timeline>,
    _lock: DatabaseLock,
}

impl Person {
    /// Signs an app of a person in, on a node of this name.
    pub(crate) async fn sign_in(home: &Home, id: u64, login: &str, node: &str) -> Self {
        let node = home.node(id, login, node);
        let connector = Connector::new(home.root(), &node);
        let server = Arc::new(Homeserver::new(connector, "rooms.maru.home.arpa"));
        let password = server.post("/maru/v1/rooms/login", Value::Null).await.unwrap();
        let login_request = json!({
            "type": "m.login.password", "password": password["password"],
            "identifier": { "type": "m.id.user", "user": login },
        });
        let signed_in = server.log_in(login_request).await.unwrap();
        let path = node.with_extension("sqlite");
        let (records, lock) = Records::open(&path, &[9; 32]).await.unwrap();
        let (user, device) = (signed_in.user_id.clone(), &signed_in.device_id);
        let device = Device::open(Arc::clone(&server), Arc::new(records), &user, device);
        let device = device.await.unwrap();
        device.publish().await.unwrap();
        Self { user, server, device, seen: Mutex::default(), _lock: lock }
    }

    /// The keys of the AI's device and its master key, once they are published.
    pub(crate) async fn keys_of_ai(&self) -> Value {
        let query = json!({ "device_keys": { AI: [] } });
        eventually("the AI has published its keys", async || {
            let path = "/_matrix/client/v3/keys/query";
            let keys = self.server.post(path, query.clone()).await.unwrap();
            let (devices, master) = (&keys["device_keys"][AI], &keys["master_keys"][AI]["keys"]);
            let device = devices.as_object()?.values().next()?;
            let is_signed = device["signatures"][AI].as_object()?.len() > 1;
            (is_signed && !master.is_null()).then(|| json!([devices, master]))
        })
        .await
    }

    /// Makes a room with the AI and others.
    pub(crate) async fn create(&self, request: Value) -> OwnedRoomId {
        let room = self.server.post("/_matrix/client/v3/createRoom", request).await.unwrap();
        serde_json::from_value(room["room_id"].clone()).unwrap()
    }

    /// Makes an encrypted chat with the AI alone, as apps do.
    pub(crate) async fn create_direct(&self) -> OwnedRoomId {
        let encryption = json!({
            "type": "m.room.encryption", "state_key": "",
            "content": { "algorithm": "m.megolm.v1.aes-sha2" },
        });
        let request = json!({
            "preset": "trusted_private_chat", "is_direct": true, "invite": [AI],
            "initial_state": [encryption],
        });
        self.create(request).await
    }

    /// Joins a room.
    pub(crate) async fn join(&self, room: &RoomId) {
        let path = format!("/_matrix/client/v3/join/{}", segment(room.as_str()));
        self.server.post(&path, json!({})).await.unwrap();
    }

    /// Sets a part of a room's state.
    pub(crate) async fn set_state(&self, room: &RoomId, kind: &str, content: Value) {
        let path = room_path(room, &format!("state/{}/", segment(kind)));
        self.server.put(&path, content).await.unwrap();
    }

    /// What the AI is in a room, such as `join`.
    pub(crate) async fn membership_of_ai(&self, room: &RoomId) -> Option<String> {
        let path = room_path(room, &format!("state/m.room.member/{}", segment(AI)));
        let member = self.server.get(&path).await.ok()?;
        member["membership"].as_str().map(str::to_owned)
    }

    /// Invites somebody.
    pub(crate) async fn invite(&self, room: &RoomId, request: Value) {
        self.server.post(&room_path(room, "invite"), request).await.unwrap();
    }

    /// Sends an event that is not encrypted.
    pub(crate) async fn send(&self, room: &RoomId, kind: &str, id: &str, content: Value) -> String {
        let path = room_path(room, &format!("send/{kind}/{id}"));
        let sent = self.server.put(&path, content).await.unwrap();
        sent["event_id"].as_str().unwrap().to_owned()
    }

    /// Sends an encrypted text to the AI's room.
    pub(crate) async fn say(&self, room: &RoomId, text: &str) -> String {
        let people = [self.user.clone(), AI.try_into().unwrap()];
        let content = json!({ "msgtype": "m.text", "body": text });
        let content = self.device.encrypt(room, &people, "m.room.message", &content).await.unwrap();
        let id = format!("t{}", text.len() + rand(text));
        self.send(room, "m.room.encrypted", &id, content).await
    }

    /// Reacts to a message.
    pub(crate) async fn react(&self, room: &RoomId, event: &str, key: &str) {
        let relation = json!({ "rel_type": "m.annotation", "event_id": event, "key": key });
        let id = format!("r{}", rand(key) + rand(event));
        self.send(room, "m.reaction", &id, json!({ "m.relates_to": relation })).await;
    }

    /// Syncs until a message of the AI is as wanted, and returns its event.
    pub(crate) async fn sees(&self, what: &str, is: impl Fn(&Shown) -> bool) -> (String, Shown) {
        eventually(what, async || {
            self.sync().await;
            let seen = self.seen.lock().await;
            let found =
                seen.order.iter().map(|event| (event.clone(), seen.messages[event].clone()));
            found.into_iter().find(|(_, shown)| is(shown))
        })
        .await
    }

    /// Whether the AI types in a room.
    pub(crate) async fn sees_typing(&self, room: &RoomId) -> bool {
        let body = self.server.sync("", Duration::ZERO).await.unwrap();
        let synced: Value = serde_json::from_slice(&body).unwrap();
        let ephemeral = &synced["rooms"]["join"][room.as_str()]["ephemeral"]["events"];
        let mut typing = ephemeral.as_array().into_iter().flatten();
        typing.any(|event| event["content"]["user_ids"] == json!([AI]))
    }

    /// The AI's messages so far.
    pub(crate) async fn messages(&self) -> Vec<Shown> {
        self.sync().await;
        let seen = self.seen.lock().await;
        seen.order.iter().map(|event| seen.messages[event].clone()).collect()
    }

    async fn sync(&self) {
        let mut seen = self.seen.lock().await;
        let query = match &seen.since {
            Some(since) => format!("since={}", segment(since)),
            None => String::new(),
        };
        let body = self.server.sync(&query, Duration::from_millis(200)).await.unwrap();
        let keys: SyncedKeys = serde_json::from_slice(&body).unwrap();
        let synced: Value = serde_json::from_slice(&body).unwrap();
        self.device.receive(keys).await.unwrap();
        seen.since = synced["next_batch"].as_str().map(str::to_owned);
        let mut events = std::mem::take(&mut seen.unread);
        for (room, joined) in synced["rooms"]["join"].as_object().into_iter().flatten() {
            for event in joined["timeline"]["events"].as_array().into_iter().flatten() {
                let event = serde_json::value::to_raw_value(event).unwrap();
                events.push((room.as_str().try_into().unwrap(), event));
            }
        }
        for (room, raw) in events {
            let event: Value = serde_json::from_str(raw.get()).unwrap();
            if event["sender"] != AI {
                continue;
            }
            let event = if event["type"] == "m.room.encrypted" {
                self.device.follow(&[AI.try_into().unwrap()]).await.unwrap();
                let Some(event) = self.device.decrypt(&room, &raw).await.unwrap() else {
                    seen.unread.push((room, raw));
                    continue;
                };
                event
            } else {
                event
            };
            if event["type"] == "m.room.message" {
                seen.take(&event);
            }
        }
    }
}

impl Timeline {
    fn take(&mut self, event: &Value) {
        let (content, id) = (&event["content"], event["event_id"].as_str().unwrap());
        let relation = &content["m.relates_to"];
        if relation["rel_type"] == "m.replace" {
            let shown = self.messages.get_mut(relation["event_id"].as_str().unwrap()).unwrap();
            shown.text = content["m.new_content"]["body"].as_str().unwrap().to_owned();
            shown.edits += 1;
            return;
        }
        let replies_to = relation["m.in_reply_to"]["event_id"].as_str().map(str::to_owned);
        let text = content["body"].as_str().unwrap().to_owned();
        self.order.push(id.to_owned());
        self.messages.insert(id.to_owned(), Shown { text, replies_to, edits: 0 });
    }
}

/// A number that differs from text to text.
fn rand(text: &str) -> usize {
    text.bytes().fold(7, |sum, byte| (sum * 31 + usize::from(byte)) % 1_000_003)
}
