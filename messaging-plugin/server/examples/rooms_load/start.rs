//! Apps that start.

use std::time::Instant;

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    Failure,
    client::{Client, FILTER, Target, next_batch, text},
    numbers::Times,
};

/// How often each is measured.
const ROUNDS: usize = 9;
/// Rooms of the person whose Element X starts.
const ROOMS: usize = 50;
/// What Element X asks for of each room (its SDK, 0.18).
const STATE: &[(&str, &str)] = &[
    ("m.room.avatar", ""),
    ("m.room.encryption", ""),
    ("m.room.member", "$LAZY"),
    ("m.room.member", "$ME"),
    ("m.room.name", ""),
    ("m.room.topic", ""),
    ("m.room.canonical_alias", ""),
    ("m.room.power_levels", ""),
    ("m.space.child", "*"),
    ("m.space.parent", "*"),
    ("m.room.join_rules", ""),
    ("m.room.history_visibility", ""),
    ("m.room.tombstone", ""),
    ("m.room.create", ""),
    ("m.room.pinned_events", ""),
];

/// The first sliding sync of an app whose person has 50 rooms: the first 20 of its list, as Element X asks.
pub(crate) async fn sliding(target: &Target, number: usize) -> Result<Value, Failure> {
    let mut client = Client::sign_in(target, number).await?;
    for room in 0..ROOMS {
        let create = json!({"preset": "private_chat", "name": format!("Room {room}")});
        let created = client.call(Method::POST, "/_matrix/client/v3/createRoom", create).await?;
        let room = text(&created, "room_id")?.replace('!', "%21").replace(':', "%3A");
        client.say(&room, "a text of the length that people write").await?;
    }
    let (mut times, mut bytes) = (Times::default(), 0);
    for round in 0..ROUNDS {
        let body = json!({
            "conn_id": format!("c{round}"),
            "lists": {"all_rooms": {"ranges": [[0, 19]], "required_state": STATE, "timeline_limit": 1}},
            "extensions": {
                "account_data": {"enabled": true}, "receipts": {"enabled": true}, "typing": {"enabled": true},
                "e2ee": {"enabled": true}, "to_device": {"enabled": true},
            },
        });
        let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0";
        let begun = Instant::now();
        let response = client.send(Method::POST, path, body.to_string().into()).await?;
        times.add(begun.elapsed());
        bytes = response.len();
    }
    let mut figures = times.figures();
    figures["rooms"] = ROOMS.into();
    figures["bytes"] = bytes.into();
    Ok(figures)
}

/// The first sync of an app, as desktop apps ask, and the next one, after a message.
pub(crate) async fn sync(client: &mut Client, room: &str) -> Result<Value, Failure> {
    let (mut first, mut next, mut bytes) = (Times::default(), Times::default(), 0);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let path = format!("/_matrix/client/v3/sync?timeout=0&{FILTER}");
        let response = client.get(&path).await?;
        first.add(begun.elapsed());
        bytes = response.len();
        let since = next_batch(&response)?;
        client.say(room, "a text of the length that people write").await?;
        let begun = Instant::now();
        client.get(&format!("{path}&since={since}")).await?;
        next.add(begun.elapsed());
    }
    let mut figures = first.figures();
    figures["bytes"] = bytes.into();
    figures["next"] = next.figures();
    Ok(figures)
}
