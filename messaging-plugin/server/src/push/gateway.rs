//! Publishing: the push gateway of Matrix, and topics as such.
//!
//! telmeet itself publishes what it pushes without a request. The endpoints are for apps that test their own pusher, and
//! for programs of the same person: a topic takes messages from the person's nodes alone.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::address;
use crate::{error::Error, homeserver::Homeserver, matrix::Bytes, session::Visitor};

/// Largest message, in bytes (UnifiedPush, "Server").
const MESSAGE_MAX: usize = 4 << 10;
/// Most devices of a notification.
const DEVICES_MAX: usize = 16;

/// A notification (specification, push gateway API), as far as a gateway reads it.
#[derive(Debug, Deserialize)]
struct Body {
    notification: Notification,
}

#[derive(Debug, Deserialize)]
struct Notification {
    devices: Vec<Device>,
}

#[derive(Debug, Deserialize)]
struct Device {
    pushkey: String,
}

/// `GET /_matrix/push/v1/notify`: apps that find no gateway here would take a public one (UnifiedPush, "Gateway").
pub(super) async fn discover() -> Json<Value> {
    Json(json!({"unifiedpush": {"gateway": "matrix"}}))
}

/// `POST /_matrix/push/v1/notify`.
pub(super) async fn notify(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    let person = visitor.person()?.id;
    let text = message(&body)?;
    let parsed = serde_json::from_str::<Body>(text);
    let parsed = parsed.map_err(|_| Error::bad_json("the notification is malformed"))?;
    let now = homeserver.now().as_secs().into();
    let mut rejected = Vec::new();
    for (index, Device { pushkey }) in parsed.notification.devices.into_iter().enumerate() {
        let topic = address::topic(&pushkey, &homeserver.network);
        let topic = topic.filter(|_| index < DEVICES_MAX);
        let published = topic.map(|it| homeserver.push.topics.publish(person, &it, text, now));
        if !matches!(published, Some(Ok(_))) {
            rejected.push(pushkey);
        }
    }
    Ok(Json(json!({"rejected": rejected})))
}

/// `POST /{topic}`: publishes the body to a topic of the person's.
pub(super) async fn publish(
    State(homeserver): State<Arc<Homeserver>>,
    visitor: Visitor,
    Path(topic): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    let (person, text) = (visitor.person()?.id, message(&body)?);
    let now = homeserver.now().as_secs().into();
    let message = homeserver.push.topics.publish(person, &topic, text, now)?;
    let published = serde_json::from_str(&message.line);
    published.map(Json).map_err(|_| Error::bad_json("the message cannot be written as JSON"))
}

/// The text of a message.
fn message(body: &Bytes) -> Result<&str, Error> {
    let bytes = body.0.bytes();
    if bytes.len() > MESSAGE_MAX {
        return Err(telmeet_core::Error::TooLarge { what: "a message", max: "4 KiB" }.into());
    }
    std::str::from_utf8(bytes).map_err(|_| Error::bad_json("a message is UTF-8"))
}
