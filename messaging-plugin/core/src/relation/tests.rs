use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;
use ruma::{event_id, events::relation::RelationType};
use serde_json::{Value, json, value::RawValue};

use super::{
    REFERENCES_MAX, Relation, ThreadSummary, bundle, check, has_participated, is_edit, latest_edit,
};
use crate::{
    Error,
    event::Event,
    testing::{Room, user},
};

fn related(
    room: &mut Room,
    sender: &str,
    kind: &str,
    rel_type: &str,
    target: &Event,
) -> Arc<Event> {
    let relation = json!({"rel_type": rel_type, "event_id": target.event_id, "key": "👍"});
    room.message(sender, kind, json!({"m.relates_to": relation})).unwrap()
}

#[test]
fn relations_are_read() {
    let mut room = Room::new("public");
    let mut read =
        |content: Value| Relation::of(&room.message("kim", "m.room.encrypted", content).unwrap());
    let reaction =
        read(json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": "$e", "key": "👍"}}));
    let expected = Relation {
        kind: RelationType::Annotation,
        event_id: event_id!("$e").to_owned(),
        key: Some("👍".to_owned()),
    };
    assert_eq!(reaction, Some(expected));
    let other = read(json!({"m.relates_to": {"rel_type": "x.other", "event_id": "$e"}})).unwrap();
    assert_eq!((other.kind.as_str(), other.key), ("x.other", None));
    for none in [
        json!({}),
        json!({"m.relates_to": 1}),
        json!({"m.relates_to": {"rel_type": "m.thread"}}),
        json!({"m.relates_to": {"event_id": "$e"}}),
        json!({"m.relates_to": {"rel_type": "m.thread", "event_id": "e"}}),
        json!({"m.relates_to": {"rel_type": 1, "event_id": "$e"}}),
        json!({"m.relates_to": {"m.in_reply_to": {"event_id": "$e"}}}),
    ] {
        assert_eq!(read(none.clone()), None, "{none}");
    }
}

#[test]
fn a_reaction_is_sent_once_and_a_thread_starts_at_a_plain_event() {
    let mut room = Room::new("public");
    let plain = room.message("kim", "m.room.message", json!({})).unwrap();
    let reply = related(&mut room, "kim", "m.room.message", "m.thread", &plain);
    let relation =
        |kind: &str| Relation { kind: kind.into(), event_id: plain.event_id.clone(), key: None };
    assert_eq!(check(&relation("m.annotation"), Some(&plain), false), Ok(()));
    let again = check(&relation("m.annotation"), Some(&plain), true).unwrap_err();
    assert_eq!((again.kind().errcode().as_str(), again.status()), ("M_DUPLICATE_ANNOTATION", 400));
    assert_eq!(check(&relation("m.thread"), Some(&plain), true), Ok(()));
    assert!(matches!(
        check(&relation("m.thread"), Some(&reply), false),
        Err(Error::InvalidParam(_))
    ));
    assert_eq!(check(&relation("m.thread"), None, false), Ok(()));
}

#[test]
fn only_the_author_edits_and_only_messages_of_the_same_type() {
    let mut room = Room::new("public").with(&["min"]);
    let text = room.message("min", "m.room.message", json!({"body": "a"})).unwrap();
    let edit = related(&mut room, "min", "m.room.message", "m.replace", &text);
    assert!(is_edit(&edit, &text));
    let foreign = related(&mut room, "kim", "m.room.message", "m.replace", &text);
    let other_type = related(&mut room, "min", "m.sticker", "m.replace", &text);
    let of_edit = related(&mut room, "min", "m.room.message", "m.replace", &edit);
    let reaction = related(&mut room, "min", "m.room.message", "m.annotation", &text);
    for (event, target) in [
        (&foreign, &text),
        (&other_type, &text),
        (&of_edit, &edit),
        (&reaction, &text),
        (&edit, &edit),
    ] {
        assert!(!is_edit(event, target));
    }
    let name = room.state("kim", "m.room.name", "", json!({"name": "x"})).unwrap();
    let edit_of_state = related(&mut room, "kim", "m.room.name", "m.replace", &name);
    assert!(!is_edit(&edit_of_state, &name));
}

#[test]
fn the_last_edit_is_shown() {
    let mut room = Room::new("public").with(&["min"]);
    let text = room.message("min", "m.room.message", json!({"body": "a"})).unwrap();
    let first = related(&mut room, "min", "m.room.message", "m.replace", &text);
    let last = related(&mut room, "min", "m.room.message", "m.replace", &text);
    let foreign = related(&mut room, "kim", "m.room.message", "m.replace", &text);
    let latest = latest_edit(&text, [&*last, &*first, &*foreign]).unwrap();
    assert_eq!(latest.event_id, last.event_id);
    assert!(latest_edit(&text, [&*foreign]).is_none());
}

#[test]
fn relations_are_bundled() {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let nothing = BTreeSet::new();
    assert!(bundle(None, None, &nothing).unwrap().is_none());
    let thread = ThreadSummary { latest: raw(r#"{"type":"t"}"#), count: 2, has_participated: true };
    let references = BTreeSet::from([event_id!("$r").to_owned()]);
    let written =
        bundle(Some(&raw(r#"{"type":"e"}"#)), Some(&thread), &references).unwrap().unwrap();
    let expected = json!({
        "m.replace": {"type": "e"},
        "m.thread": {"latest_event": {"type": "t"}, "count": 2, "current_user_participated": true},
        "m.reference": {"chunk": [{"event_id": "$r"}]},
    });
    assert_eq!(serde_json::from_str::<Value>(written.get()).unwrap(), expected);
    let many =
        (0..=REFERENCES_MAX).map(|number| format!("$e{number}").try_into().unwrap()).collect();
    let written: Value =
        serde_json::from_str(bundle(None, None, &many).unwrap().unwrap().get()).unwrap();
    assert_eq!(written["m.reference"]["chunk"].as_array().unwrap().len(), REFERENCES_MAX);
}

#[test]
fn who_writes_in_a_thread_takes_part() {
    let mut room = Room::new("public").with(&["min"]);
    let root = room.message("kim", "m.room.message", json!({})).unwrap();
    let (kim, min) = (user("kim"), user("min"));
    assert!(has_participated(&root, [], &kim) && !has_participated(&root, [], &min));
    assert!(has_participated(&root, [&*min], &min));
}

proptest! {
    /// Whatever the content, reading it is harmless, and a relation names an event.
    #[test]
    fn any_content_has_a_relation_or_none(
        kind in ".{0,12}", target in "\\$?[a-z]{0,8}", key in prop::option::of(".{0,4}"),
    ) {
        let mut room = Room::new("public");
        let content = json!({"m.relates_to": {"rel_type": kind, "event_id": target, "key": key}});
        let event = room.message("kim", "test", content).unwrap();
        let relation = Relation::of(&event);
        prop_assert_eq!(relation.is_some(), target.starts_with('$'));
        prop_assert!(!is_edit(&event, &event));
    }
}
