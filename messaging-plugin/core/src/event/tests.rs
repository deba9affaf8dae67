use proptest::prelude::*;
use ruma::{
    CanonicalJsonObject, EventId, OwnedEventId, UInt, canonical_json::redact, event_id,
    events::StateEventType, signatures::reference_hash, uint,
};
use serde_json::json;

use super::{Draft, Event, Head, KEY_MAX, RULES};
use crate::{Error, json};

fn draft(kind: &str, state_key: Option<&str>, content: &serde_json::Value) -> Draft {
    Draft {
        room_id: "!room:maru.test".try_into().unwrap(),
        sender: "@kim:maru.test".try_into().unwrap(),
        kind: kind.into(),
        state_key: state_key.map(str::to_owned),
        content: json::content(content.to_string().as_bytes()).unwrap(),
        time: ruma::MilliSecondsSinceUnixEpoch(uint!(1_700_000_000)),
    }
}

fn head() -> Head {
    Head { event_id: event_id!("$head").to_owned(), depth: uint!(7) }
}

/// A state with every event, each called by its type.
fn full_state(kind: &StateEventType, _: &str) -> Option<OwnedEventId> {
    EventId::parse(format!("${kind}")).ok()
}

fn message(content: &serde_json::Value) -> Result<Event, Error> {
    Event::build(draft("m.room.message", None, content), Some(&head()), full_state)
}

#[test]
fn an_event_names_its_predecessor_and_what_authorises_it() {
    let event = message(&json!({"msgtype": "m.text", "body": "hello"})).unwrap();
    assert_eq!(event.depth, uint!(8));
    assert_eq!(event.previous.as_deref(), Some(event_id!("$head")));
    let auth: Vec<&str> = event.auth_events.iter().map(|id| id.as_str()).collect();
    assert_eq!(auth, ["$m.room.power_levels", "$m.room.member", "$m.room.create"]);
    assert!(event.event_id.as_str().len() == 44 && !event.is_state());
    let create =
        Event::build(draft("m.room.create", Some(""), &json!({})), None, full_state).unwrap();
    assert_eq!((create.depth, create.previous, create.auth_events), (uint!(1), None, vec![]));
}

#[test]
fn a_join_is_authorised_by_the_join_rule() {
    let member = draft("m.room.member", Some("@kim:maru.test"), &json!({"membership": "join"}));
    let event = Event::build(member, Some(&head()), full_state).unwrap();
    let auth: Vec<&str> = event.auth_events.iter().map(|id| id.as_str()).collect();
    let expected =
        ["$m.room.power_levels", "$m.room.member", "$m.room.create", "$m.room.join_rules"];
    assert_eq!(auth, expected);
}

/// Ids computed by an independent script from the specification (server-server API, "Signing Events"; room version 11,
/// "Redactions").
#[test]
fn ids_are_those_of_the_specification() {
    let event = message(&json!({"msgtype": "m.text", "body": "안녕"})).unwrap();
    assert_eq!(event.event_id, "$v6nlm59mhacM7p4zVWKP0RsPGYkbMV0KDf2VkLzYYSQ");
    let content = json!({"membership": "join", "displayname": "Kim"});
    let member = draft("m.room.member", Some("@kim:maru.test"), &content);
    let member = Event::build(member, Some(&head()), full_state).unwrap();
    assert_eq!(member.event_id, "$T7l0ZjVXv6E2bb10LRBEUgFTGtxQLqNEPNgR23MCQgQ");
}

#[test]
fn the_id_is_the_reference_hash() {
    let event = message(&json!({"body": "a"})).unwrap();
    let mut pdu = event.without_hashes(json::content(br#"{"body":"a"}"#).unwrap());
    ruma::signatures::add_content_hash_to_event(&mut pdu).unwrap();
    assert_eq!(event.event_id.as_str(), format!("${}", reference_hash(&pdu, &RULES).unwrap()));
    let redacted = redact(pdu, &RULES.redaction, None).unwrap();
    assert_eq!(event.event_id.as_str(), format!("${}", reference_hash(&redacted, &RULES).unwrap()));
}

#[test]
fn what_is_too_large_is_refused() {
    let sized = |bytes: usize| message(&json!({"body": "a".repeat(bytes)}));
    let fits = (64_000..65_536).rev().find(|&bytes| sized(bytes).is_ok()).unwrap();
    let mut pdu = sized(fits)
        .unwrap()
        .without_hashes(CanonicalJsonObject::from([("body".to_owned(), "a".repeat(fits).into())]));
    ruma::signatures::add_content_hash_to_event(&mut pdu).unwrap();
    assert_eq!(serde_json::to_vec(&pdu).unwrap().len(), json::EVENT_MAX);
    assert!(matches!(sized(fits + 1), Err(Error::TooLarge { .. })));
    let keyed = |kind: usize, key: usize| {
        let draft = draft(&"k".repeat(kind), Some(&"s".repeat(key)), &json!({}));
        Event::build(draft, Some(&head()), full_state)
    };
    assert!(keyed(KEY_MAX, KEY_MAX).is_ok());
    assert!(matches!(keyed(KEY_MAX + 1, 0), Err(Error::TooLarge { .. })));
    assert!(matches!(keyed(1, KEY_MAX + 1), Err(Error::TooLarge { .. })));
    assert!(matches!(keyed(0, 0), Err(Error::InvalidParam(_))));
}

#[test]
fn a_redaction_names_an_event() {
    let redaction = |content: &serde_json::Value| {
        Event::build(draft("m.room.redaction", None, content), Some(&head()), full_state)
    };
    let event = redaction(&json!({"redacts": "$other", "reason": "spam"})).unwrap();
    assert_eq!(event.redacts.as_deref(), Some(event_id!("$other")));
    for bad in [json!({}), json!({"redacts": 1}), json!({"redacts": "other"})] {
        assert!(matches!(redaction(&bad), Err(Error::BadJson(_))));
    }
}

#[test]
fn a_redacted_event_keeps_its_id_and_what_the_rules_need() {
    let event = message(&json!({"body": "secret"})).unwrap();
    let redacted = event.redact().unwrap();
    assert_eq!((redacted.content.get(), &redacted.event_id), ("{}", &event.event_id));
    let content = json!({"membership": "join", "displayname": "Kim"});
    let member = draft("m.room.member", Some("@kim:maru.test"), &content);
    let member = Event::build(member, Some(&head()), full_state).unwrap();
    assert_eq!(member.redact().unwrap().content.get(), r#"{"membership":"join"}"#);
}

#[test]
fn malformed_members_are_refused() {
    for content in [json!({}), json!({"membership": 1})] {
        let draft = draft("m.room.member", Some("@kim:maru.test"), &content);
        assert!(matches!(Event::build(draft, Some(&head()), full_state), Err(Error::BadJson(_))));
    }
}

proptest! {
    /// Two events that differ in anything have two ids; the same draft has the same id.
    #[test]
    fn ids_differ_with_the_event(a in ".{0,40}", b in ".{0,40}", depth in 1..u64::from(u32::MAX)) {
        let head = Head { event_id: event_id!("$head").to_owned(), depth: UInt::try_from(depth).unwrap() };
        let build = |body: &str| {
            Event::build(draft("m.room.message", None, &json!({"body": body})), Some(&head), full_state).unwrap()
        };
        prop_assert_eq!(build(&a).event_id == build(&b).event_id, a == b);
        prop_assert_eq!(u64::from(build(&a).depth), depth + 1);
    }
}
