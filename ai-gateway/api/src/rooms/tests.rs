use proptest::prelude::*;
use serde_json::json;

use super::*;

fn id() -> impl Strategy<Value = Id> {
    "[!$@][a-zA-Z0-9:._]{0,40}".prop_map(|text| text.parse().unwrap())
}

fn sender() -> impl Strategy<Value = Sender> {
    (id(), any::<String>()).prop_map(|(id, name)| Sender { id, name })
}

fn recent() -> impl Strategy<Value = RecentMessage> {
    (id(), sender(), any::<bool>(), any::<String>(), any::<u64>()).prop_map(
        |(event_id, sender, own, text, sent_at)| RecentMessage {
            event_id,
            sender,
            own,
            text,
            sent_at,
        },
    )
}

prop_compose! {
    fn message()(
        (event_id, attempt) in (id(), any::<u32>()),
        (room, name, direct) in (id(), any::<Option<String>>(), any::<bool>()),
        sender in sender(),
        mention in any::<bool>(),
        text in any::<String>(),
        recent in prop::collection::vec(recent(), 0..4),
    ) -> RoomMessage {
        let room = Room { id: room, name, direct };
        RoomMessage { version: Version, event_id, attempt, room, sender, mention, text, recent }
    }
}

proptest! {
    #[test]
    fn a_message_survives_the_wire(message in message()) {
        let body = serde_json::to_vec(&message).unwrap();
        prop_assert!(RoomMessage::decode(body).unwrap() == message);
    }

    #[test]
    fn arbitrary_bytes_never_panic(name in any::<String>(), bytes in any::<Vec<u8>>()) {
        let _ = RoomMessage::decode(bytes.as_slice());
        for name in [name.as_str(), event::DELTA, event::FINAL] {
            let _ = ReplyEvent::decode(name, &bytes);
        }
    }

    #[test]
    fn an_id_is_short_and_steers_nothing(text in "(?s).{0,260}") {
        let wrong = text.is_empty() || text.len() > MAX_ID || text.chars().any(foreign::steers);
        prop_assert_eq!(text.parse::<Id>().is_err(), wrong);
    }
}

fn body(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let mut body = json!({
        "version": 1, "event_id": "$e", "room": {"id": "!r"}, "sender": {"id": "@a"}, "text": "hi",
    });
    change(&mut body);
    body.to_string().into_bytes()
}

#[test]
fn what_a_message_may_leave_out_has_a_default() {
    let message = RoomMessage::decode(body(|_| ())).unwrap();
    assert_eq!((message.attempt, message.mention, message.room.direct), (0, false, false));
    assert!(message.recent.is_empty() && message.sender.name.is_empty());
    for field in ["event_id", "room", "sender", "text"] {
        let without = body(|body| drop(body.as_object_mut().unwrap().remove(field)));
        let error = RoomMessage::decode(without).unwrap_err();
        assert!(matches!(error, MessageError::Decode(DecodeError::Json(_))), "{field}");
    }
}

#[test]
fn another_version_is_named() {
    let error = RoomMessage::decode(body(|body| body["version"] = json!(2))).unwrap_err();
    assert!(matches!(error, MessageError::Decode(DecodeError::Version { found: 2, known: 1 })));
}

#[test]
fn long_messages_and_ids_that_steer_are_refused() {
    let recent = json!({"event_id": "$f", "sender": {"id": "@a"}, "text": "x"});
    let most = body(|body| {
        body["text"] = json!("x".repeat(MAX_TEXT));
        body["recent"] = json!(vec![&recent; MAX_RECENT]);
    });
    assert!(RoomMessage::decode(most).is_ok());
    for long in [
        body(|body| body["text"] = json!("x".repeat(MAX_TEXT + 1))),
        body(|body| body["recent"] = json!(vec![&recent; MAX_RECENT + 1])),
    ] {
        assert!(matches!(RoomMessage::decode(long), Err(MessageError::TooLong)));
    }
    for wrong in ["", "!a\nb", "!a\u{202e}b", &"x".repeat(MAX_ID + 1)] {
        let error = RoomMessage::decode(body(|body| body["room"]["id"] = json!(wrong)));
        assert!(matches!(error, Err(MessageError::Decode(DecodeError::Json(_)))), "{wrong:?}");
    }
}

#[test]
fn a_group_requires_a_mention_unless_it_or_the_star_says_otherwise() {
    let room: Id = "!a".parse().unwrap();
    let mut settings = Settings::default();
    assert!(settings.requires_mention(&room));
    settings.groups.insert("*".to_owned(), Group { require_mention: false });
    assert!(!settings.requires_mention(&room));
    settings.groups.insert("!a".to_owned(), Group::default());
    assert!(settings.requires_mention(&room));
}

#[test]
fn a_message_is_printed_without_text() {
    let message = RoomMessage::decode(body(|body| body["text"] = json!("a secret"))).unwrap();
    assert_eq!(format!("{message:?}"), "attempt 0 at $e, after 0 messages");
}
