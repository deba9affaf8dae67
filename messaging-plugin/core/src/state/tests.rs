use proptest::prelude::*;
use ruma::{
    events::{
        StateEventType,
        room::{history_visibility::HistoryVisibility, member::MembershipState},
    },
    int,
    room::RoomType,
};
use serde_json::json;

use super::{BYTES_MAX, ENTRIES_MAX, RoomState, history_visibility, membership};
use crate::{
    Error,
    testing::{Room, user},
};

#[test]
fn a_state_event_replaces_the_one_before() {
    let mut room = Room::new("invite");
    let old = room.state("kim", "m.room.name", "", json!({"name": "old"})).unwrap();
    assert_eq!(room.state.name().as_deref(), Some("old"));
    let new = room.state("kim", "m.room.name", "", json!({"name": "new"})).unwrap();
    assert_eq!(room.state.name().as_deref(), Some("new"));
    assert_eq!(room.state.id(&StateEventType::RoomName, ""), Some(new.event_id.clone()));
    let replaced = room.state.apply(&old).unwrap();
    assert_eq!(replaced.unwrap().event_id, new.event_id);
    assert_eq!(room.state.iter().count(), 5);
    let message = room.message("kim", "m.room.message", json!({})).unwrap();
    assert!(room.state.apply(&message).unwrap().is_none());
}

#[test]
fn a_clone_does_not_change_with_the_room() {
    let mut room = Room::new("invite");
    let before = room.state.clone();
    room.state("kim", "m.room.name", "", json!({"name": "new"})).unwrap();
    assert_eq!((before.name(), room.state.name()), (None, Some("new".to_owned())));
}

#[test]
fn members_are_counted() {
    let mut room = Room::new("public").with(&["min", "seo"]);
    room.member("kim", "jun", "invite").unwrap();
    assert_eq!((room.state.joined_count(), room.state.invited_count()), (3, 1));
    room.member("min", "min", "leave").unwrap();
    room.member("kim", "jun", "leave").unwrap();
    room.member("kim", "seo", "ban").unwrap();
    assert_eq!((room.state.joined_count(), room.state.invited_count()), (1, 0));
    assert_eq!(room.state.membership(&user("seo")), MembershipState::Ban);
    assert_eq!(room.state.membership(&user("nobody")), MembershipState::Leave);
    assert_eq!(room.state.members().count(), 4);
}

#[test]
fn heroes_are_the_first_five_others() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut room = Room::new("public").with(&names);
    room.member("a", "a", "leave").unwrap();
    let expected: Vec<_> = ["kim", "b", "c", "d", "e"].map(user).into();
    assert_eq!(room.state.heroes(&user("f")), expected);
    assert_eq!(room.state.heroes(&user("b"))[0], user("kim"));
}

#[test]
fn who_left_names_an_empty_room() {
    let mut room = Room::new("public").with(&["min"]);
    assert_eq!(room.state.heroes(&user("kim")), [user("min")]);
    room.member("min", "min", "leave").unwrap();
    assert_eq!(room.state.heroes(&user("kim")), [user("min")]);
    room.member("kim", "kim", "leave").unwrap();
    assert_eq!(room.state.heroes(&user("kim")), [user("min")]);
}

#[test]
fn a_room_says_what_it_is() {
    let mut room = Room::new("invite");
    assert_eq!(
        (room.state.name(), room.state.room_type(), room.state.is_encrypted()),
        (None, None, false)
    );
    assert_eq!(room.state.history_visibility(), HistoryVisibility::Shared);
    for (kind, content) in [
        ("m.room.encryption", json!({"algorithm": "m.megolm.v1.aes-sha2"})),
        ("m.room.topic", json!({"topic": "things"})),
        ("m.room.canonical_alias", json!({"alias": "#home:maru.test"})),
        ("m.room.avatar", json!({"url": "mxc://maru.test/a"})),
        ("m.room.history_visibility", json!({"history_visibility": "invited"})),
        ("m.room.name", json!({"name": ""})),
    ] {
        room.state("kim", kind, "", content).unwrap();
    }
    let state = &room.state;
    assert!(state.is_encrypted() && state.name().is_none());
    assert_eq!(state.topic().as_deref(), Some("things"));
    assert_eq!(state.canonical_alias().unwrap(), "#home:maru.test");
    assert_eq!(state.avatar().as_deref(), Some("mxc://maru.test/a"));
    assert_eq!(state.history_visibility(), HistoryVisibility::Invited);
    assert_eq!(state.join_rule().as_str(), "invite");
    assert_eq!(state.power_levels().for_user(&user("kim")), int!(100));
    let mut space = Room::default();
    space.state("kim", "m.room.create", "", json!({"type": "m.space"})).unwrap();
    assert_eq!(space.state.room_type(), Some(RoomType::Space));
    assert_eq!(space.state.power_levels().for_user(&user("kim")), int!(100));
}

#[test]
fn content_of_another_shape_is_ignored() {
    let mut room = Room::new("public");
    room.state("kim", "m.room.name", "", json!({"name": 7})).unwrap();
    let event = room
        .state("kim", "m.room.history_visibility", "", json!({"history_visibility": "odd"}))
        .unwrap();
    assert_eq!((room.state.name(), history_visibility(&event)), (None, HistoryVisibility::Joined));
    assert_eq!(room.state.history_visibility(), HistoryVisibility::Joined);
    assert_eq!(membership(&event), MembershipState::Leave);
}

#[test]
fn a_redacted_state_event_stays_in_its_place() {
    let mut room = Room::new("public");
    let name = room.state("kim", "m.room.name", "", json!({"name": "secret"})).unwrap();
    room.state.redact(&name.redact().unwrap());
    assert_eq!(room.state.name(), None);
    assert_eq!(room.state.id(&StateEventType::RoomName, ""), Some(name.event_id.clone()));
    let newer = room.state("kim", "m.room.name", "", json!({"name": "newer"})).unwrap();
    room.state.redact(&name.redact().unwrap());
    assert_eq!(room.state.id(&StateEventType::RoomName, ""), Some(newer.event_id.clone()));
    let member = room.state.get(&StateEventType::RoomMember, user("kim").as_str()).unwrap().clone();
    room.state.redact(&member.redact().unwrap());
    assert_eq!(room.state.joined_count(), 1);
}

#[test]
fn state_is_bounded() {
    let mut room = Room::new("public").with(&["min"]);
    let event = room.state("kim", "test", "", json!({})).unwrap();
    let keyed = |state: &mut RoomState, key: String, content: &str| {
        let mut event = (*event).clone();
        (event.state_key, event.content) = (
            Some(key),
            serde_json::value::RawValue::from_string(content.to_owned()).unwrap().into(),
        );
        state.apply(&event)
    };
    let mut state = room.state.clone();
    let count = state.iter().count();
    for number in count..ENTRIES_MAX {
        keyed(&mut state, number.to_string(), "{}").unwrap();
    }
    assert!(matches!(keyed(&mut state, "one more".to_owned(), "{}"), Err(Error::TooLarge { .. })));
    assert!(keyed(&mut state, count.to_string(), "[]").unwrap().is_some());
    let mut full = Room { state: state.clone(), events: room.events.clone() };
    full.member("min", "min", "leave").unwrap();
    let big = format!("\"{}\"", "a".repeat(60_000));
    let refused = (0..)
        .find(|number| keyed(&mut state, (count + number).to_string(), &big).is_err())
        .unwrap();
    assert!((BYTES_MAX / 62_000..BYTES_MAX / 60_000).contains(&refused));
    let mut full = Room { state, events: room.events.clone() };
    assert!(full.state("kim", "m.room.topic", "", json!({"topic": "a".repeat(60_000)})).is_err());
    full.member("min", "min", "leave").unwrap();
}

proptest! {
    /// Counts and sizes are those of the events, in whatever order memberships change.
    #[test]
    fn counts_follow_the_members(steps in prop::collection::vec((0..5_usize, 0..4_usize), 0..40)) {
        let mut room = Room::new("public");
        for (person, change) in steps {
            let name = format!("p{person}");
            let _ = match change {
                0 => room.member("kim", &name, "invite"),
                1 => room.member(&name, &name, "join"),
                2 => room.member(&name, &name, "leave"),
                _ => room.member("kim", &name, "ban"),
            };
        }
        let count = |wanted: &MembershipState| room.state.members().filter(|(_, is)| is == wanted).count();
        prop_assert_eq!(room.state.order.len(), room.state.members().count());
        prop_assert_eq!(room.state.joined_count(), count(&MembershipState::Join));
        prop_assert_eq!(room.state.invited_count(), count(&MembershipState::Invite));
        let bytes: usize = room.state.iter().map(|event| super::size(event)).sum();
        prop_assert_eq!(room.state.bytes, bytes);
    }
}
