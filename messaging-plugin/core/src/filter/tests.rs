use proptest::prelude::*;
use ruma::{
    api::client::filter::{LazyLoadOptions, RoomEventFilter},
    room_id, uint,
};
use serde_json::{Value, json};

use super::{
    ENTRIES_MAX, LIMIT_DEFAULT, LIMIT_MAX, PATTERN_MAX, SENT_MEMBERS_MAX, SentMembers,
    check_events, is_match, limit, matches, matches_data, matches_room, matches_room_data, parse,
};
use crate::{
    Error,
    testing::{Room, user},
};

fn events(filter: &Value) -> RoomEventFilter {
    let filter = serde_json::from_value(filter.clone()).unwrap();
    check_events(&filter).unwrap();
    filter
}

/// The filter that Element Web's library stores, as it was recorded.
#[test]
fn a_stock_filter_is_read() {
    let filter = parse(
        br#"{"room":{"timeline":{"limit":8,"unread_thread_notifications":true},
        "state":{"lazy_load_members":true}}}"#,
    )
    .unwrap();
    assert_eq!(limit(filter.room.timeline.limit), 8);
    assert!(filter.room.timeline.unread_thread_notifications);
    assert!(!filter.room.state.lazy_load_options.is_disabled());
    assert!(matches_room(&filter.room, room_id!("!room:maru.test")));
}

#[test]
fn a_filter_is_bounded() {
    let many =
        |count: usize| json!({"room": {"timeline": {"types": vec!["a"; count]}}}).to_string();
    assert!(parse(many(ENTRIES_MAX).as_bytes()).is_ok());
    assert!(matches!(parse(many(ENTRIES_MAX + 1).as_bytes()), Err(Error::TooLarge { .. })));
    let long = |length: usize| {
        let filter = serde_json::from_value(json!({"not_types": ["a".repeat(length)]})).unwrap();
        check_events(&filter)
    };
    assert!(long(PATTERN_MAX).is_ok());
    assert!(matches!(long(PATTERN_MAX + 1), Err(Error::TooLarge { .. })));
    let huge = format!("{{\"room\":{{}}}}{}", " ".repeat(70_000));
    assert!(matches!(parse(huge.as_bytes()), Err(Error::TooLarge { .. })));
    let spread = json!({
        "presence": {"senders": vec!["@a:b"; 400]},
        "account_data": {"not_types": vec!["a"; 400]},
        "room": {"not_rooms": vec!["!a:b"; 201]},
    });
    assert!(matches!(parse(spread.to_string().as_bytes()), Err(Error::TooLarge { .. })));
    for bad in [
        "",
        "[]",
        "1",
        r#"{"room":1}"#,
        r#"{"room":{"timeline":{"types":"a"}}}"#,
        r#"{"presence":{"senders":["x"]}}"#,
    ] {
        assert!(matches!(parse(bad.as_bytes()), Err(Error::BadJson(_))), "{bad}");
    }
}

#[test]
fn a_limit_is_bounded() {
    assert_eq!(limit(None), LIMIT_DEFAULT);
    assert_eq!(limit(Some(uint!(0))), 0);
    assert_eq!(limit(Some(ruma::UInt::MAX)), LIMIT_MAX);
}

#[test]
fn events_are_chosen_by_type_sender_room_and_url() {
    let mut room = Room::new("public").with(&["min"]);
    let event = room.message("min", "m.room.message", json!({"url": "mxc://a/b"})).unwrap();
    for (filter, expected) in [
        (json!({}), true),
        (json!({"types": ["m.room.message"]}), true),
        (json!({"types": ["m.room.*"]}), true),
        (json!({"types": ["m.room.name"]}), false),
        (json!({"types": []}), false),
        (json!({"not_types": ["m.room.*"]}), false),
        (json!({"types": ["*"], "not_types": ["m.room.message"]}), false),
        (json!({"senders": ["@min:maru.test"]}), true),
        (json!({"senders": ["@kim:maru.test"]}), false),
        (json!({"senders": []}), false),
        (json!({"not_senders": ["@min:maru.test"]}), false),
        (json!({"rooms": ["!room:maru.test"]}), true),
        (json!({"rooms": ["!other:maru.test"]}), false),
        (json!({"not_rooms": ["!room:maru.test"]}), false),
        (json!({"contains_url": true}), true),
        (json!({"contains_url": false}), false),
    ] {
        assert_eq!(matches(&events(&filter), &event), expected, "{filter}");
    }
    let plain = room.message("min", "m.room.message", json!({"url": 7})).unwrap();
    assert!(!matches(&events(&json!({"contains_url": true})), &plain));
    assert!(matches(&events(&json!({"contains_url": false})), &plain));
}

#[test]
fn data_is_chosen_by_type_and_room() {
    let filter = events(&json!({"types": ["m.receipt"], "not_rooms": ["!other:maru.test"]}));
    assert!(matches_room_data(&filter, "m.receipt", room_id!("!room:maru.test")));
    assert!(!matches_room_data(&filter, "m.typing", room_id!("!room:maru.test")));
    assert!(!matches_room_data(&filter, "m.receipt", room_id!("!other:maru.test")));
    let filter =
        parse(br#"{"presence":{"not_senders":["@min:maru.test"]},"account_data":{"types":[]}}"#)
            .unwrap();
    assert!(!matches_data(&filter.presence, "m.presence", Some(&user("min"))));
    assert!(matches_data(&filter.presence, "m.presence", Some(&user("kim"))));
    assert!(!matches_data(&filter.account_data, "m.direct", None));
}

#[test]
fn stars_stand_for_any_text() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("*", "", true),
        ("a*", "a", true),
        ("a*c", "abc", true),
        ("a*c", "abcd", false),
        ("*b*", "abc", true),
        ("a*a", "a", false),
        ("**", "x", true),
        ("a*b*b", "ab", false),
        ("*가*", "나가다", true),
        ("", "a", false),
    ] {
        assert_eq!(is_match(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn members_are_sent_once_and_again_when_they_change() {
    let id = room_id!("!room:maru.test");
    let lazy = LazyLoadOptions::Enabled { include_redundant_members: false };
    let (kim, min, gone) = (user("kim"), user("min"), user("gone"));
    let mut room = Room::new("public").with(&["min"]);
    let mut sent = SentMembers::default();
    let both = sent.add(&lazy, id, [&*kim, &*min, &*kim, &*gone], &room.state);
    assert_eq!(both.len(), 2);
    assert!(sent.add(&lazy, id, [&*kim, &*min], &room.state).is_empty());
    let other = room_id!("!other:maru.test");
    assert_eq!(sent.add(&lazy, other, [&*kim], &room.state).len(), 1);
    let renamed = json!({"membership": "join", "displayname": "M"});
    room.state("min", "m.room.member", min.as_str(), renamed).unwrap();
    assert_eq!(sent.add(&lazy, id, [&*kim, &*min], &room.state)[0].sender, min);
    let redundant = LazyLoadOptions::Enabled { include_redundant_members: true };
    assert_eq!(sent.add(&redundant, id, [&*kim, &*kim], &room.state).len(), 1);
    sent.forget(id);
    assert_eq!(sent.add(&lazy, id, [&*min], &room.state).len(), 1);
    assert!(sent.add(&LazyLoadOptions::Disabled, id, [&*kim], &room.state).is_empty());
    sent.forget(room_id!("!never:maru.test"));
}

#[test]
fn sent_members_are_bounded() {
    let mut sent = SentMembers::default();
    let event = ruma::event_id!("$e").to_owned();
    let id = room_id!("!room:maru.test");
    for number in 0..SENT_MEMBERS_MAX + 10 {
        assert!(sent.remember(id, &user(&format!("p{number}")), &event));
    }
    assert_eq!(sent.count, 10);
    assert!(sent.remember(id, &user("p0"), &event), "a forgotten member is sent again");
}

/// The same by dynamic programming.
fn is_match_slow(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skip| is_match_slow(rest, &text[skip..])),
        Some((first, rest)) => text
            .split_first()
            .is_some_and(|(head, tail)| head == first && is_match_slow(rest, tail)),
    }
}

proptest! {
    #[test]
    fn patterns_match_as_defined(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        prop_assert_eq!(is_match(&pattern, &text), is_match_slow(&chars(&pattern), &chars(&text)));
    }

    #[test]
    fn any_bytes_are_a_filter_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }
}
