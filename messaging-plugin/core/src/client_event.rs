//! An event as clients receive it (specification, client-server API, "Room event format").

use ruma::{
    DeviceId, EventId, MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedTransactionId, RoomId,
    UserId, events::room::member::MembershipState, uint,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Error, event::Event};

/// What the server adds to an event for one reader.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// The request that sent the event.
    pub transaction: Option<Transaction>,
    /// The reader's membership in the room at this event.
    pub membership: Option<MembershipState>,
    /// The content of the state that this event replaced.
    pub prev_content: Option<Box<RawValue>>,
    /// The id of the event that it replaced.
    pub replaces_state: Option<ruma::OwnedEventId>,
    /// The redaction of this event, in the format for clients.
    pub redacted_because: Option<Box<RawValue>>,
    /// Bundled edits, threads and references, by relation type.
    pub relations: Option<Box<RawValue>>,
}

/// A request that sent an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The sender's device.
    pub device: OwnedDeviceId,
    /// Its transaction id.
    pub id: OwnedTransactionId,
}

/// Whom an event is written for.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The person.
    pub user: &'a UserId,
    /// The person's device.
    pub device: &'a DeviceId,
}

/// Which fields an event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// In a sync, which names the room elsewhere.
    Sync,
    /// Anywhere else.
    Full,
}

/// An event in the format for clients. `now` gives its age. Only the device that sent the event gets the transaction
/// id.
///
/// `redacts` is in the content (room version 11) and copied to the top, where older clients look for it (specification,
/// room version 11, "Moving the redacts property").
///
/// # Errors
///
/// [`Error::BadJson`] if it cannot be written as JSON.
pub fn write(
    event: &Event,
    format: Format,
    additions: &Additions,
    reader: Option<Reader<'_>>,
    now: MilliSecondsSinceUnixEpoch,
) -> Result<Box<RawValue>, Error> {
    let age = now.get().checked_sub(event.time.get()).unwrap_or(uint!(0));
    // Another device's client would take the event for its own and show it twice.
    let transaction = additions.transaction.as_ref().filter(|transaction| {
        reader.is_some_and(|reader| {
            reader.user == event.sender && reader.device == transaction.device
        })
    });
    let written = ClientEvent {
        content: &event.content,
        event_id: &event.event_id,
        origin_server_ts: event.time,
        redacts: event.redacts.as_deref(),
        room_id: (format == Format::Full).then_some(&*event.room_id),
        sender: &event.sender,
        state_key: event.state_key.as_deref(),
        kind: event.kind.to_string(),
        unsigned: Unsigned {
            age: age.into(),
            membership: additions.membership.as_ref(),
            prev_content: additions.prev_content.as_deref(),
            redacted_because: additions.redacted_because.as_deref(),
            relations: additions.relations.as_deref(),
            replaces_state: additions.replaces_state.as_deref(),
            transaction_id: transaction.map(|transaction| &*transaction.id),
        },
    };
    to_raw(&written)
}

/// A state event as it is shown to somebody who is not in the room (stripped state).
///
/// # Errors
///
/// [`Error::BadJson`] if it cannot be written as JSON.
pub fn write_stripped(event: &Event) -> Result<Box<RawValue>, Error> {
    to_raw(&StrippedEvent {
        content: &event.content,
        sender: &event.sender,
        state_key: event.state_key.as_deref(),
        kind: event.kind.to_string(),
    })
}

fn to_raw(value: &impl Serialize) -> Result<Box<RawValue>, Error> {
    serde_json::value::to_raw_value(value)
        .map_err(|_| Error::BadJson("the event cannot be written as JSON".to_owned()))
}

#[derive(Serialize)]
struct ClientEvent<'a> {
    content: &'a RawValue,
    event_id: &'a EventId,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacts: Option<&'a EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a RoomId>,
    sender: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<&'a str>,
    #[serde(rename = "type")]
    kind: String,
    unsigned: Unsigned<'a>,
}

#[derive(Serialize)]
struct StrippedEvent<'a> {
    content: &'a RawValue,
    sender: &'a UserId,
    state_key: Option<&'a str>,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize)]
struct Unsigned<'a> {
    age: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<&'a MembershipState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_content: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted_because: Option<&'a RawValue>,
    #[serde(rename = "m.relations", skip_serializing_if = "Option::is_none")]
    relations: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces_state: Option<&'a EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<&'a ruma::TransactionId>,
}

#[cfg(test)]
mod tests {
    use ruma::{
        MilliSecondsSinceUnixEpoch, device_id, event_id,
        events::{AnySyncTimelineEvent, room::member::MembershipState},
        uint, user_id,
    };
    use serde_json::{Value, json, value::RawValue};

    use super::{Additions, Format, Reader, Transaction, write, write_stripped};
    use crate::{
        event::{Draft, Event, Head},
        json,
    };

    fn sent() -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(uint!(1_000))
    }

    fn event(kind: &str, state_key: Option<&str>, content: &str) -> Event {
        let draft = Draft {
            room_id: "!room:maru.test".try_into().unwrap(),
            sender: "@kim:maru.test".try_into().unwrap(),
            kind: kind.into(),
            state_key: state_key.map(str::to_owned),
            content: json::content(content.as_bytes()).unwrap(),
            time: sent(),
        };
        let head = Head { event_id: event_id!("$head").to_owned(), depth: uint!(1) };
        Event::build(draft, Some(&head), |_, _| None).unwrap()
    }

    /// A device of the person who sends.
    fn sender(device: &'static str) -> Option<Reader<'static>> {
        Some(Reader { user: user_id!("@kim:maru.test"), device: device.into() })
    }

    fn read(raw: &RawValue) -> Value {
        serde_json::from_str(raw.get()).unwrap()
    }

    #[test]
    fn an_event_is_written_as_clients_read_it() {
        let event = event("m.room.message", None, r#"{"body":"hi","msgtype":"m.text"}"#);
        let later = MilliSecondsSinceUnixEpoch(uint!(1_250));
        let raw = write(&event, Format::Full, &Additions::default(), None, later).unwrap();
        let expected = json!({
            "content": {"body": "hi", "msgtype": "m.text"},
            "event_id": event.event_id,
            "origin_server_ts": 1_000,
            "room_id": "!room:maru.test",
            "sender": "@kim:maru.test",
            "type": "m.room.message",
            "unsigned": {"age": 250},
        });
        assert_eq!(read(&raw), expected);
        let raw = write(&event, Format::Sync, &Additions::default(), None, sent()).unwrap();
        assert_eq!(read(&raw).get("room_id"), None);
        assert!(serde_json::from_str::<AnySyncTimelineEvent>(raw.get()).is_ok());
    }

    #[test]
    fn a_clock_that_was_set_back_gives_age_zero() {
        let event = event("m.room.message", None, "{}");
        let earlier = MilliSecondsSinceUnixEpoch(uint!(1));
        let raw = write(&event, Format::Sync, &Additions::default(), None, earlier).unwrap();
        assert_eq!(read(&raw)["unsigned"]["age"], 0);
    }

    #[test]
    fn additions_are_in_unsigned() {
        let raw = |text: &str| Some(RawValue::from_string(text.to_owned()).unwrap());
        let additions = Additions {
            transaction: Some(Transaction { device: "PHONE".into(), id: "t1".into() }),
            membership: Some(MembershipState::Invite),
            prev_content: raw(r#"{"name":"old"}"#),
            replaces_state: Some(event_id!("$old").to_owned()),
            redacted_because: raw(r#"{"type":"m.room.redaction"}"#),
            relations: raw(r#"{"m.thread":{"count":1}}"#),
        };
        let event = event("m.room.name", Some(""), r#"{"name":"new"}"#);
        let written =
            read(&write(&event, Format::Sync, &additions, sender("PHONE"), sent()).unwrap());
        assert_eq!(written["state_key"], "");
        let expected = json!({
            "age": 0,
            "membership": "invite",
            "prev_content": {"name": "old"},
            "redacted_because": {"type": "m.room.redaction"},
            "m.relations": {"m.thread": {"count": 1}},
            "replaces_state": "$old",
            "transaction_id": "t1",
        });
        assert_eq!(written["unsigned"], expected);
    }

    #[test]
    fn a_transaction_id_is_for_the_device_that_sent_the_event() {
        let event = event("m.room.message", None, "{}");
        let transaction = Some(Transaction { device: "PHONE".into(), id: "t1".into() });
        let additions = Additions { transaction, ..Additions::default() };
        let stranger = Reader { user: user_id!("@min:maru.test"), device: device_id!("PHONE") };
        for (reader, expected) in [
            (sender("PHONE"), json!("t1")),
            (sender("LAPTOP"), json!(null)),
            (Some(stranger), json!(null)),
            (None, json!(null)),
        ] {
            let written = read(&write(&event, Format::Sync, &additions, reader, sent()).unwrap());
            assert_eq!(written["unsigned"]["transaction_id"], expected);
        }
    }

    #[test]
    fn redacts_is_in_the_content_and_at_the_top() {
        let event = event("m.room.redaction", None, r#"{"redacts":"$other"}"#);
        let written =
            read(&write(&event, Format::Full, &Additions::default(), None, sent()).unwrap());
        assert_eq!(
            (&written["redacts"], &written["content"]["redacts"]),
            (&json!("$other"), &json!("$other"))
        );
    }

    #[test]
    fn stripped_state_has_no_id_and_no_time() {
        let event = event("m.room.name", Some(""), r#"{"name":"Home"}"#);
        let expected = json!({
            "content": {"name": "Home"}, "sender": "@kim:maru.test", "state_key": "", "type": "m.room.name",
        });
        assert_eq!(read(&write_stripped(&event).unwrap()), expected);
    }
}
