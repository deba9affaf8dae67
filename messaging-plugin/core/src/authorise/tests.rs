use proptest::prelude::*;
use ruma::{events::TimelineEventType, room_id};
use serde_json::json;

use super::{check_redaction, may_preview, remove_server_fields, restricted_join};
use crate::{
    Error, json,
    testing::{Room, user},
};

/// A room with an admin (`kim`, 100), a moderator (`mod`, 50), a member (`min`, 0), and `x` with a membership.
fn room(join_rule: &str, membership: &str) -> Room {
    let mut room = Room::new("invite").with(&["mod", "min"]);
    let users = json!({"@kim:maru.test": 100, "@mod:maru.test": 50});
    room.state("kim", "m.room.power_levels", "", json!({"users": users, "invite": 50})).unwrap();
    if membership == "join" {
        room = room.with(&["x"]);
    }
    room.state("kim", "m.room.join_rules", "", json!({"join_rule": join_rule})).unwrap();
    match membership {
        "invite" | "ban" => drop(room.member("kim", "x", membership).unwrap()),
        "knock" => drop(room.member("x", "x", "knock").unwrap()),
        _ => {}
    }
    room
}

/// Every change of a membership, under every join rule, by everybody: who may is written out.
#[test]
fn memberships_change_as_the_rules_say() {
    // Membership before, change, sender, and the join rules under which it is allowed.
    const ALL: &[&str] = &["public", "invite", "knock", "restricted", "private"];
    const NONE: &[&str] = &[];
    let table: &[(&str, &str, &str, &[&str])] = &[
        // Joining by oneself.
        ("none", "join", "x", &["public"]),
        ("invite", "join", "x", &["public", "invite", "knock", "restricted"]),
        ("join", "join", "x", &["public", "invite", "knock", "restricted"]),
        ("ban", "join", "x", NONE),
        // Nobody joins for somebody else.
        ("none", "join", "kim", NONE),
        ("invite", "join", "kim", NONE),
        // Knocking.
        ("none", "knock", "x", &["knock"]),
        ("invite", "knock", "x", NONE),
        ("join", "knock", "x", NONE),
        ("ban", "knock", "x", NONE),
        ("none", "knock", "kim", NONE),
        // Inviting needs a member with power 50 here.
        ("none", "invite", "kim", ALL),
        ("none", "invite", "mod", ALL),
        ("none", "invite", "min", NONE),
        ("none", "invite", "stranger", NONE),
        ("none", "invite", "x", NONE),
        ("invite", "invite", "kim", ALL),
        ("join", "invite", "kim", NONE),
        ("ban", "invite", "kim", NONE),
        // Leaving, and declining an invitation.
        ("none", "leave", "x", NONE),
        ("invite", "leave", "x", ALL),
        ("join", "leave", "x", ALL),
        ("ban", "leave", "x", NONE),
        // Kicking, withdrawing an invitation, unbanning.
        ("join", "leave", "kim", ALL),
        ("join", "leave", "mod", ALL),
        ("join", "leave", "min", NONE),
        ("join", "leave", "stranger", NONE),
        ("invite", "leave", "mod", ALL),
        ("invite", "leave", "min", NONE),
        ("ban", "leave", "mod", ALL),
        ("ban", "leave", "min", NONE),
        // Banning.
        ("none", "ban", "mod", ALL),
        ("join", "ban", "mod", ALL),
        ("join", "ban", "min", NONE),
        ("join", "ban", "stranger", NONE),
        ("join", "ban", "x", NONE),
        ("join", "none of these", "x", NONE),
    ];
    for (before, change, sender, allowed) in table {
        for rule in ALL {
            let result = room(rule, before).member(sender, "x", change);
            let at = format!("{before} -> {change} by {sender} under {rule}");
            assert_eq!(result.is_ok(), allowed.contains(rule), "{at}");
            assert!(matches!(result, Ok(_) | Err(Error::Forbidden(_))), "{at}");
        }
    }
}

#[test]
fn who_knocked_is_let_in_or_refused() {
    for (change, sender, is_allowed) in [
        ("invite", "mod", true),
        ("invite", "min", false),
        ("leave", "mod", true),
        ("leave", "x", true),
        ("join", "x", false),
        ("ban", "mod", true),
    ] {
        assert_eq!(
            room("knock", "knock").member(sender, "x", change).is_ok(),
            is_allowed,
            "{change} by {sender}"
        );
    }
}

#[test]
fn nobody_acts_on_an_equal() {
    for change in ["leave", "ban"] {
        assert!(room("invite", "none").member("mod", "kim", change).is_err());
        let mut equals = room("invite", "none");
        let users = json!({"@kim:maru.test": 100, "@mod:maru.test": 100});
        equals.state("kim", "m.room.power_levels", "", json!({"users": users})).unwrap();
        assert!(equals.member("kim", "mod", change).is_err());
    }
}

#[test]
fn an_error_says_what_was_missing() {
    let error = room("invite", "none").member("min", "x", "invite").unwrap_err();
    assert_eq!(error, Error::Forbidden("sender does not have enough power to invite".to_owned()));
    assert_eq!(error.status(), 403);
    assert_eq!(error.kind().errcode().as_str(), "M_FORBIDDEN");
}

#[test]
fn power_levels_change_below_ones_own() {
    let users = |kim: i64, moderator: i64, min: i64| {
        let users =
            json!({"@kim:maru.test": kim, "@mod:maru.test": moderator, "@min:maru.test": min});
        json!({"users": users, "invite": 50})
    };
    for (sender, content, is_allowed) in [
        ("min", users(100, 50, 100), false),
        ("mod", users(100, 50, 40), true),
        ("mod", users(100, 50, 50), true),
        ("mod", users(100, 50, 51), false),
        ("mod", users(50, 50, 0), false),
        ("mod", users(100, 20, 0), true),
        ("kim", users(100, 100, 100), true),
        ("kim", users(0, 50, 0), true),
        ("kim", users(101, 50, 0), false),
        ("kim", json!({"users": {"@kim:maru.test": "100"}}), false),
        ("kim", json!({"users": {"kim": 100}}), false),
        ("kim", json!({"ban": "50"}), false),
        ("kim", json!({"events": {"m.room.name": true}}), false),
        ("stranger", json!({}), false),
    ] {
        let result =
            room("invite", "none").state(sender, "m.room.power_levels", "", content.clone());
        assert_eq!(result.is_ok(), is_allowed, "{sender} {content}");
    }
    let mut room = room("invite", "none");
    room.state("kim", "m.room.power_levels", "", users(0, 50, 0)).unwrap();
    assert!(
        room.state("kim", "m.room.power_levels", "", users(100, 50, 0)).is_err(),
        "power comes back"
    );
}

#[test]
fn state_needs_the_power_of_its_type() {
    for (sender, kind, key, is_allowed) in [
        ("kim", "m.room.name", "", true),
        ("mod", "m.room.name", "", true),
        ("min", "m.room.name", "", false),
        ("stranger", "m.room.name", "", false),
        ("kim", "test", "@min:maru.test", false),
        ("kim", "test", "@kim:maru.test", true),
        ("kim", "m.room.create", "", false),
    ] {
        assert_eq!(
            room("invite", "none").state(sender, kind, key, json!({})).is_ok(),
            is_allowed,
            "{sender} {kind} {key}"
        );
    }
}

#[test]
fn messages_need_a_joined_member() {
    for (membership, is_allowed) in
        [("none", false), ("invite", false), ("join", true), ("ban", false)]
    {
        let result = room("invite", membership).message("x", "m.room.message", json!({}));
        assert_eq!(result.is_ok(), is_allowed, "{membership}");
    }
    let mut muted = room("invite", "join");
    muted
        .state(
            "kim",
            "m.room.power_levels",
            "",
            json!({"users": {"@kim:maru.test": 100}, "events_default": 1}),
        )
        .unwrap();
    assert!(muted.message("x", "m.room.message", json!({})).is_err());
}

#[test]
fn redactions_are_for_ones_own_events_or_with_power() {
    let room = room("invite", "join");
    for (sender, author, is_allowed) in [
        ("min", "min", true),
        ("min", "x", false),
        ("min", "kim", false),
        ("mod", "min", true),
        ("mod", "kim", true),
        ("kim", "min", true),
    ] {
        let result = check_redaction(&user(sender), &user(author), &room.state);
        assert_eq!(result.is_ok(), is_allowed, "{sender} redacts an event of {author}");
    }
    let mut silent = room.clone();
    let content = json!({"users": {"@kim:maru.test": 100}, "events": {"m.room.redaction": 100}});
    silent.state("kim", "m.room.power_levels", "", content).unwrap();
    assert!(silent.message("min", "m.room.redaction", json!({"redacts": "$e"})).is_err());
}

#[test]
fn a_restricted_room_is_joined_through_another() {
    let allow =
        json!([{"type": "m.room_membership", "room_id": "!club:maru.test"}, {"type": "odd"}]);
    let mut room = Room::of(&json!({"join_rule": "restricted", "allow": allow}));
    let is_joined = |room: &ruma::RoomId| room == room_id!("!club:maru.test");
    assert_eq!(restricted_join(&room.state, is_joined), Some(user("kim")));
    assert_eq!(restricted_join(&room.state, |_| false), None);
    let join = |via: &str| {
        let via = format!("@{via}:maru.test");
        json!({"membership": "join", "join_authorised_via_users_server": via})
    };
    assert!(room.member("min", "min", "join").is_err());
    assert!(room.state("min", "m.room.member", "@min:maru.test", join("x")).is_err());
    room.state("min", "m.room.member", "@min:maru.test", join("kim")).unwrap();
    assert_eq!(restricted_join(&Room::new("public").state, is_joined), None);
}

#[test]
fn clients_do_not_write_what_servers_prove() {
    let text = br#"{"membership":"join","join_authorised_via_users_server":"@kim:maru.test","third_party_invite":{}}"#;
    let mut content = json::content(text).unwrap();
    remove_server_fields(&TimelineEventType::RoomMember, &mut content);
    assert_eq!(content.keys().collect::<Vec<_>>(), ["membership"]);
    let mut other = json::content(text).unwrap();
    remove_server_fields(&"test".into(), &mut other);
    assert_eq!(other.len(), 3);
}

proptest! {
    /// Whatever somebody outside sends, nothing of a private room changes, and a member without power changes no state.
    #[test]
    fn without_power_nothing_changes(kind in "[a-z.]{1,12}|m\\.room\\.(name|power_levels|join_rules|create|member)",
                                     key in "@?[a-z:.]{0,12}", value in "[a-z]{0,8}") {
        let content = json!({"membership": value, "name": value, "join_rule": value});
        let mut room = room("invite", "none");
        prop_assert!(room.state("stranger", &kind, &key, content.clone()).is_err());
        prop_assert!(room.message("stranger", &kind, content.clone()).is_err());
        prop_assert!(room.state("min", &kind, &key, content).is_err());
    }
}

#[test]
fn a_room_is_shown_to_who_may_enter_or_ask_and_not_to_who_is_banned() {
    let x = user("x");
    for (join_rule, membership, expected) in [
        ("public", "none", true),
        ("knock", "none", true),
        ("public", "ban", false),
        ("invite", "none", false),
        ("invite", "invite", true),
        ("invite", "join", true),
        ("private", "none", false),
    ] {
        let room = room(join_rule, membership);
        assert_eq!(may_preview(&room.state, &x, |_| true), expected, "{join_rule} {membership}");
    }
    let allow = json!([{"type": "m.room_membership", "room_id": "!other:maru.test"}]);
    let room = Room::of(&json!({"join_rule": "restricted", "allow": allow}));
    assert!(may_preview(&room.state, &x, |room| room == "!other:maru.test"));
    assert!(!may_preview(&room.state, &x, |_| false));
    let mut room = Room::new("invite");
    let visibility = json!({"history_visibility": "world_readable"});
    room.state("kim", "m.room.history_visibility", "", visibility).unwrap();
    assert!(may_preview(&room.state, &x, |_| false));
}
