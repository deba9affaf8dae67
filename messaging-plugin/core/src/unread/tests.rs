use proptest::prelude::*;
use ruma::{
    event_id,
    events::receipt::ReceiptThread,
    push::{Action, NewPushRule, NewSimplePushRule, Ruleset},
    room_id,
};
use serde_json::{Value, json};

use super::{Counts, Notification, Receipts, THREADS_MAX, Thread, Unread, evaluate};
use crate::testing::{Room, user};

/// What an event of `@min` in a group means to `@kim`, by the default rules.
fn in_group(kind: &str, content: Value) -> Notification {
    let mut room = Room::new("public").with(&["min", "seo"]);
    let event = room.message("min", kind, content).unwrap();
    let kim = user("kim");
    evaluate(&Ruleset::server_default(&kim), &event, &room.state, &kim, "Kim").unwrap()
}

#[test]
fn the_default_rules_decide() {
    let edit = json!({"body": "* a", "m.relates_to": {"rel_type": "m.replace", "event_id": "$e"}});
    for (kind, content, is_notified, is_highlighted) in [
        ("m.room.message", json!({"msgtype": "m.text", "body": "hi"}), true, false),
        ("m.room.encrypted", json!({"algorithm": "m.megolm.v1.aes-sha2"}), true, false),
        ("m.room.message", json!({"msgtype": "m.notice", "body": "hi"}), false, false),
        (
            "m.room.message",
            json!({"body": "hi", "m.mentions": {"user_ids": ["@kim:maru.test"]}}),
            true,
            true,
        ),
        (
            "m.room.message",
            json!({"body": "hi", "m.mentions": {"user_ids": ["@seo:maru.test"]}}),
            true,
            false,
        ),
        ("m.room.message", edit, false, false),
        (
            "m.reaction",
            json!({"m.relates_to": {"rel_type": "m.annotation", "event_id": "$e", "key": "x"}}),
            false,
            false,
        ),
        ("test", json!({}), false, false),
    ] {
        let notification = in_group(kind, content.clone());
        assert_eq!(
            (notification.is_notified, notification.is_highlighted),
            (is_notified, is_highlighted),
            "{kind} {content}"
        );
    }
}

#[test]
fn only_who_may_mentions_the_room() {
    let mention = json!({"body": "all", "m.mentions": {"room": true}});
    let mut room = Room::new("public").with(&["min", "seo"]);
    let seo = user("seo");
    for (sender, is_highlighted) in [("kim", true), ("min", false)] {
        let event = room.message(sender, "m.room.message", mention.clone()).unwrap();
        let notification =
            evaluate(&Ruleset::server_default(&seo), &event, &room.state, &seo, "Seo").unwrap();
        assert_eq!(notification.is_highlighted, is_highlighted, "{sender}");
    }
}

#[test]
fn ones_own_events_never_notify() {
    let mut room = Room::new("public").with(&["min"]);
    let event = room.message("kim", "m.room.message", json!({"body": "Kim"})).unwrap();
    let kim = user("kim");
    let notification =
        evaluate(&Ruleset::server_default(&kim), &event, &room.state, &kim, "Kim").unwrap();
    assert_eq!(notification, Notification::default());
}

#[test]
fn an_invitation_notifies_and_a_muted_room_does_not() {
    let mut room = Room::new("invite").with(&["min"]);
    let invitation = room.member("kim", "seo", "invite").unwrap();
    let seo = user("seo");
    let rules = Ruleset::server_default(&seo);
    assert!(evaluate(&rules, &invitation, &room.state, &seo, "Seo").unwrap().is_notified);
    let message = room.message("kim", "m.room.message", json!({"body": "hi"})).unwrap();
    let min = user("min");
    let mut rules = Ruleset::server_default(&min);
    assert!(evaluate(&rules, &message, &room.state, &min, "Min").unwrap().is_notified);
    let mute = NewSimplePushRule::new(room_id!("!room:maru.test").to_owned(), Vec::<Action>::new());
    rules.insert(NewPushRule::Room(mute), None, None).unwrap();
    assert!(!evaluate(&rules, &message, &room.state, &min, "Min").unwrap().is_notified);
}

#[test]
fn threads_are_read_from_the_relation() {
    let mut room = Room::new("public");
    let thread = |room: &mut Room, relation: Value| {
        Thread::of(
            &room.message("kim", "m.room.encrypted", json!({"m.relates_to": relation})).unwrap(),
        )
    };
    let root = Thread::Root(event_id!("$root").to_owned());
    assert_eq!(thread(&mut room, json!({"rel_type": "m.thread", "event_id": "$root"})), root);
    for other in [
        json!({"rel_type": "m.replace", "event_id": "$root"}),
        json!({"rel_type": "m.thread"}),
        json!(7),
    ] {
        assert_eq!(thread(&mut room, other), Thread::Main);
    }
    assert_eq!(
        thread(&mut room, json!({"rel_type": "m.thread", "event_id": "root"})),
        Thread::Main
    );
}

fn notified(position: u64, thread: &Thread, is_highlighted: bool) -> (u64, Thread, Notification) {
    (position, thread.clone(), Notification { is_notified: true, is_highlighted })
}

#[test]
fn receipts_reset_their_part_of_the_room() {
    let root = event_id!("$root").to_owned();
    let thread = Thread::Root(root.clone());
    let events = || {
        [
            notified(1, &Thread::Main, false),
            notified(2, &thread, true),
            notified(3, &Thread::Main, true),
            notified(4, &thread, false),
            (5, Thread::Main, Notification::default()),
        ]
    };
    let count = |receipts: &Receipts| {
        let unread = Unread::count(events(), receipts);
        let thread = unread.threads.get(&root).copied().unwrap_or_default();
        (unread.main.notifications, unread.main.highlights, thread.notifications, thread.highlights)
    };
    let mut receipts = Receipts::default();
    assert_eq!(count(&receipts), (2, 1, 2, 1));
    assert_eq!(
        Unread::count(events(), &receipts).total(),
        Counts { notifications: 4, highlights: 2 }
    );
    assert!(receipts.read(&ReceiptThread::Main, 1));
    assert_eq!(count(&receipts), (1, 1, 2, 1));
    assert!(receipts.read(&ReceiptThread::Thread(root.clone()), 2));
    assert_eq!(count(&receipts), (1, 1, 1, 0));
    assert!(receipts.read(&ReceiptThread::Unthreaded, 3));
    assert_eq!(count(&receipts), (0, 0, 1, 0));
    assert!(!receipts.read(&ReceiptThread::Thread(root.clone()), 2), "an older receipt");
    assert!(!receipts.read(&ReceiptThread::Main, 3));
    receipts.sent(thread.clone(), 4);
    assert_eq!(count(&receipts), (0, 0, 0, 0));
    assert!(!receipts.read(&serde_json::from_value(json!("odd")).unwrap(), 9));
}

#[test]
fn receipts_are_bounded() {
    let mut receipts = Receipts::default();
    for position in 0..THREADS_MAX as u64 + 5 {
        let root = format!("$thread{position}").try_into().unwrap();
        receipts.read(&ReceiptThread::Thread(root), position);
    }
    assert_eq!(receipts.threads.len(), THREADS_MAX);
    assert_eq!(receipts.threads.values().min(), Some(&5));
    receipts.read(&ReceiptThread::Unthreaded, u64::MAX);
    assert!(receipts.threads.is_empty());
}

proptest! {
    /// However receipts arrive, nobody's count grows by reading, and after one everywhere only later events count.
    #[test]
    fn reading_never_adds_unread_events(
        events in prop::collection::btree_map(0..50_u64, (0..3_u8, any::<bool>()), 0..20),
        reads in prop::collection::vec((0..4_u8, 0..60_u64), 0..12),
    ) {
        let thread = |number: u8| match number {
            0 => Thread::Main,
            _ => Thread::Root(format!("$t{number}").try_into().unwrap()),
        };
        let all = || events.iter().map(|(&at, (number, highlight))| notified(at, &thread(*number), *highlight));
        let mut receipts = Receipts::default();
        let mut before = Unread::count(all(), &receipts).total();
        for (number, at) in reads {
            let place = match number {
                0 => ReceiptThread::Main,
                3 => ReceiptThread::Unthreaded,
                _ => ReceiptThread::Thread(format!("$t{number}").try_into().unwrap()),
            };
            receipts.read(&place, at);
            let now = Unread::count(all(), &receipts).total();
            prop_assert!(now.notifications <= before.notifications && now.highlights <= now.notifications);
            let later = events.keys().filter(|position| **position > at).count() as u64;
            prop_assert!(number != 3 || now.notifications <= later);
            before = now;
        }
    }
}
