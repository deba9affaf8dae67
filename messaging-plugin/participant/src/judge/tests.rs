use proptest::prelude::*;
use ruma::user_id;
use serde_json::json;

use super::*;

fn me() -> &'static UserId {
    user_id!("@maru:maru.test")
}

fn event(content: Value) -> Value {
    json!({
        "type": "m.room.message", "event_id": "$e:maru.test", "sender": "@mina:maru.test",
        "origin_server_ts": 7, "content": content,
    })
}

fn text(body: &str) -> Message {
    Message::read(&event(json!({ "msgtype": "m.text", "body": body })), me()).unwrap()
}

fn member(user: &str, membership: &str, name: Option<&str>) -> Value {
    let content = json!({ "membership": membership, "displayname": name });
    json!({ "type": "m.room.member", "state_key": user, "event_id": "$m", "content": content })
}

#[test]
fn a_room_is_read_from_its_state() {
    let state = json!([
        member("@maru:maru.test", "join", Some("Maru")),
        member("@mina:maru.test", "join", Some("Mi\u{202e}na")),
        member("@jun:maru.test", "leave", None),
        member("no user", "join", None),
        { "type": "m.room.name", "state_key": "", "content": { "name": "Kitchen" } },
        { "type": "m.room.encryption", "state_key": "", "content": {} },
        { "type": "m.room.encryption" },
        7,
    ]);
    let view = RoomView::read(&state, me());
    let names: Vec<_> = view.people.values().map(String::as_str).collect();
    assert_eq!(names, ["Maru", "Mi\u{fffd}na"]);
    assert!(view.is_direct() && view.is_encrypted && view.is_of("maru.test"));
    assert_eq!((view.name.as_deref(), view.joined_by.as_deref()), (Some("Kitchen"), Some("$m")));

    let state = json!([
        member("@mina:maru.test", "invite", None),
        member("@eve:evil.test", "invite", None)
    ]);
    let view = RoomView::read(&state, me());
    assert!(!view.is_of("maru.test"));
    assert_eq!(view.people[user_id!("@mina:maru.test")], "mina");
}

#[test]
fn only_texts_of_other_people_are_messages() {
    assert_eq!(text(" hello ").text, "hello");
    let no_message = [
        json!({ "msgtype": "m.notice", "body": "a program" }),
        json!({ "msgtype": "m.image", "body": "a.png" }),
        json!({ "msgtype": "m.text" }),
        json!({ "msgtype": "m.text", "body": "* x", "m.relates_to": { "rel_type": "m.replace", "event_id": "$a" } }),
    ];
    for content in no_message {
        assert_eq!(Message::read(&event(content.clone()), me()), None, "{content}");
    }
    let mut own = event(json!({ "msgtype": "m.text", "body": "mine" }));
    own["sender"] = me().as_str().into();
    assert_eq!(Message::read(&own, me()), None);
    let long = text(&"마".repeat(TEXT_MAX));
    assert!(long.text.len() <= TEXT_MAX && long.text.ends_with('마'));
}

#[test]
fn a_reply_loses_its_quote_and_a_thread_is_no_reply() {
    let relation = json!({ "m.in_reply_to": { "event_id": "$a" } });
    let body = "> <@maru:maru.test> eggs\n> more\n\nwhich?";
    let content = json!({ "msgtype": "m.text", "body": body, "m.relates_to": relation });
    let reply = Message::read(&event(content), me()).unwrap();
    assert_eq!((reply.text.as_str(), reply.replies_to.as_deref()), ("which?", Some("$a")));
    assert_eq!(text("> a quote\nof mine").text, "> a quote\nof mine");

    let relation = json!({
        "rel_type": "m.thread", "event_id": "$t", "is_falling_back": true,
        "m.in_reply_to": { "event_id": "$a" },
    });
    let content = json!({ "msgtype": "m.text", "body": "x", "m.relates_to": relation });
    let thread = Message::read(&event(content), me()).unwrap();
    assert_eq!((thread.thread.as_deref(), thread.replies_to), (Some("$t"), None));
}

#[test]
fn the_ai_is_mentioned_by_mention_id_or_name() {
    let mentions = |body: &str| text(body).mentions(me(), &["Maru", "마루"]);
    for named in ["Maru, what?", "hey maru!", "@maru:maru.test x", "마루야 뭐해", "(maru)"] {
        assert!(mentions(named), "{named}");
    }
    for other in ["Marual", "tamaru", "what?", "산마루", ""] {
        assert!(!mentions(other), "{other}");
    }
    let content = json!({
        "msgtype": "m.text", "body": "you", "m.mentions": { "user_ids": ["@maru:maru.test"] },
    });
    assert!(Message::read(&event(content), me()).unwrap().mentions(me(), &[""]));
    assert!(!text("anything").mentions(me(), &["", " "]));
}

#[test]
fn words_and_reactions_stop_and_ask_again() {
    assert!(text("!STOP").stops() && text("/stop").stops() && !text("stop it").stops());
    let reaction = |key: &str| {
        let relation = json!({ "rel_type": "m.annotation", "event_id": "$r", "key": key });
        let event = json!({
            "type": "m.reaction", "sender": "@mina:maru.test", "content": { "m.relates_to": relation },
        });
        Reaction::read(&event, me())
    };
    for key in ["⏹", "⏹\u{fe0f}", "🛑"] {
        assert_eq!(reaction(key), Some(Reaction::Stop("$r".to_owned())), "{key}");
    }
    assert_eq!(reaction("🔄"), Some(Reaction::Again("$r".to_owned())));
    assert_eq!(reaction("👍"), None);
    assert_eq!(reaction("🔄🔄"), None);
    assert_eq!(reaction(""), None);
}

#[test]
fn settings_say_what_is_answered() {
    let settings = |value: Value| -> Settings { serde_json::from_value(value).unwrap() };
    let base = json!({
        "version": 1, "directPolicy": "open", "groupPolicy": "open", "groups": {},
        "assistantName": "Maru",
    });
    let room: Id = "!r:maru.test".parse().unwrap();
    let open = settings(base.clone());
    assert!(is_answered(&open, &room, true, false));
    assert!(!is_answered(&open, &room, false, false) && is_answered(&open, &room, false, true));

    let mut talkative = base.clone();
    talkative["groups"] = json!({ "!r:maru.test": { "requireMention": false } });
    assert!(is_answered(&settings(talkative.clone()), &room, false, false));

    talkative["groupPolicy"] = "allowlist".into();
    assert!(is_answered(&settings(talkative.clone()), &room, false, true));
    let other: Id = "!other:maru.test".parse().unwrap();
    assert!(!is_answered(&settings(talkative), &other, false, true));

    let mut none = base;
    (none["groupPolicy"], none["directPolicy"]) = ("disabled".into(), "disabled".into());
    assert!(!is_answered(&settings(none.clone()), &room, false, true));
    assert!(!is_answered(&settings(none), &room, true, true));
}

proptest! {
    /// Whatever a member's app sends, reading it does not fail.
    #[test]
    fn any_json_is_read(text in "\\PC{0,60}", key in "\\PC{0,4}", depth in 0..3_usize) {
        let mut value = json!({ "body": text, "msgtype": "m.text", "key": key });
        for _ in 0..depth {
            value = json!({ "content": value, "m.relates_to": value, "sender": text });
        }
        let event = json!({ "type": "m.room.message", "content": value, "sender": "@a:b", "event_id": key });
        let _ = Message::read(&event, me());
        let _ = Reaction::read(&event, me());
        let _ = RoomView::read(&json!([event, value]), me());
        let _ = has_word(&text, &key);
    }
}
