//! Both syncs, through the router.

mod encryption;
mod membership;
mod memory;
mod notifications;
mod sliding;
mod unread;
mod v3;

use serde_json::Value;

/// The texts of messages in a timeline.
fn texts(events: &Value) -> Vec<&str> {
    let events = events.as_array().into_iter().flatten();
    events.filter_map(|event| event["content"]["body"].as_str()).collect()
}

/// The state keys of events of a type.
fn keys<'a>(events: &'a Value, kind: &str) -> Vec<&'a str> {
    let events = events.as_array().into_iter().flatten().filter(|event| event["type"] == kind);
    events.filter_map(|event| event["state_key"].as_str()).collect()
}

/// The content of the first event of a type.
fn content<'a>(events: &'a Value, kind: &str) -> &'a Value {
    let events = events.as_array().into_iter().flatten();
    events
        .into_iter()
        .find(|event| event["type"] == kind)
        .map_or(&Value::Null, |event| &event["content"])
}
