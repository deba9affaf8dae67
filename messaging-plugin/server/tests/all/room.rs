//! A room as an app sees it that asks for its history, or syncs on.

use serde_json::Value;

use crate::process::Person;

/// Events of one page.
const PAGE: usize = 100;

/// A message: its id, its sender and its text.
pub(crate) type Message = (String, String, String);

/// What an app was shown.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) messages: Vec<Message>,
    /// Messages from device to device: the sender and the text.
    pub(crate) to_device: Vec<(String, String)>,
}

fn messages(events: &Value) -> impl Iterator<Item = Message> {
    let events = events.as_array().into_iter().flatten();
    let events = events.filter(|event| event["type"] == "m.room.message");
    events.map(|event| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&event["event_id"]), text(&event["sender"]), text(&event["content"]["body"]))
    })
}

/// Syncs from `since` on, until that is all. Returns what it was shown.
pub(crate) fn follow(
    person: &Person,
    room: &str,
    mut since: String,
    is_all: impl Fn(&Shown) -> bool,
) -> Shown {
    let filter = format!("%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A{PAGE}%7D%7D%7D");
    let mut shown = Shown::default();
    while !is_all(&shown) {
        let path = format!("/_matrix/client/v3/sync?since={since}&timeout=200&filter={filter}");
        let sync = person.must("GET", &path, &Value::Null);
        since = sync["next_batch"].as_str().unwrap().to_owned();
        let timeline = &sync["rooms"]["join"][room]["timeline"];
        if timeline["limited"] == true {
            let token = timeline["prev_batch"].as_str().unwrap();
            let mut missed = history(person, room, ("b", token), shown.messages.last());
            missed.reverse();
            shown.messages.append(&mut missed);
        }
        shown.messages.extend(messages(&timeline["events"]));
        let to_device = sync["to_device"]["events"].as_array().into_iter().flatten();
        shown.to_device.extend(to_device.map(|event| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&event["sender"]), text(&event["content"]["text"]))
        }));
    }
    shown
}

/// The history in a direction, from a token if there is one, up to a message that is known.
pub(crate) fn history(
    person: &Person,
    room: &str,
    (direction, token): (&str, &str),
    known: Option<&Message>,
) -> Vec<Message> {
    let path =
        format!("/_matrix/client/v3/rooms/{}/messages?dir={direction}&limit={PAGE}", escaped(room));
    let (mut found, mut from) = (Vec::new(), token.to_owned());
    loop {
        let more = if from.is_empty() { String::new() } else { format!("&from={from}") };
        let page = person.must("GET", &format!("{path}{more}"), &Value::Null);
        for message in messages(&page["chunk"]) {
            if Some(&message) == known {
                return found;
            }
            found.push(message);
        }
        match page["end"].as_str() {
            Some(end) => end.clone_into(&mut from),
            None => return found,
        }
    }
}

pub(crate) fn escaped(room: &str) -> String {
    room.replace('!', "%21").replace(':', "%3A")
}
