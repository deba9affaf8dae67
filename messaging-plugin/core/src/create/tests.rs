use ruma::{
    MilliSecondsSinceUnixEpoch, RoomVersionId, UserId,
    api::client::room::{
        Visibility,
        create_room::v3::{Request, RoomPreset},
    },
    events::{
        StateEventType,
        room::{history_visibility::HistoryVisibility, member::MembershipState},
    },
    int,
    room::RoomType,
    serde::Raw,
    uint,
};
use serde_json::{Value, json};

use super::{Context, Creation, INITIAL_STATE_MAX, INVITE_MAX, Profile, create, home};
use crate::{Error, testing::user};

fn context() -> Context {
    Context {
        room_id: "!new:maru.test".try_into().unwrap(),
        creator: user("kim"),
        time: MilliSecondsSinceUnixEpoch(uint!(1_000)),
    }
}

/// Everybody but `@nobody` is a person of the network.
fn profile(user: &UserId) -> Option<Profile> {
    let name = user.localpart();
    (name != "nobody").then(|| Profile { display_name: Some(name.to_uppercase()), avatar: None })
}

fn made(request: &Request) -> Result<Creation, Error> {
    create(request, &context(), profile)
}

fn request(preset: Option<RoomPreset>) -> Request {
    let mut request = Request::new();
    request.preset = preset;
    request
}

fn raw<T>(value: &Value) -> Raw<T> {
    Raw::new(value).unwrap().cast_unchecked()
}

fn content(creation: &Creation, kind: &str, key: &str) -> Value {
    let event = creation.state.get(&StateEventType::from(kind), key).unwrap();
    serde_json::from_str(event.content.get()).unwrap()
}

#[test]
fn events_come_in_the_order_of_the_specification() {
    let mut request = request(None);
    request.room_alias_name = Some("garden".to_owned());
    request.name = Some("Garden".to_owned());
    request.topic = Some("plants".to_owned());
    request.invite = vec![user("min")];
    request.is_direct = true;
    request.initial_state = vec![raw(
        &json!({"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}),
    )];
    let creation = made(&request).unwrap();
    let kinds: Vec<String> = creation.events.iter().map(|event| event.kind.to_string()).collect();
    let expected = [
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.canonical_alias",
        "m.room.join_rules",
        "m.room.history_visibility",
        "m.room.guest_access",
        "m.room.encryption",
        "m.room.name",
        "m.room.topic",
        "m.room.member",
    ];
    assert_eq!(kinds, expected);
    let depths: Vec<u64> = creation.events.iter().map(|event| event.depth.into()).collect();
    assert_eq!(depths, (1..=11).collect::<Vec<u64>>());
    let topic = json!({"topic": "plants", "m.topic": {"m.text": [{"body": "plants"}]}});
    assert_eq!(content(&creation, "m.room.topic", ""), topic);
    assert_eq!(creation.alias.as_ref().unwrap(), "#garden:maru.test");
    assert!(!creation.is_listed && creation.state.is_encrypted());
    let invitation = json!({"membership": "invite", "displayname": "MIN", "is_direct": true});
    assert_eq!(content(&creation, "m.room.member", user("min").as_str()), invitation);
    assert_eq!(
        content(&creation, "m.room.member", user("kim").as_str()),
        json!({"membership": "join", "displayname": "KIM"})
    );
}

#[test]
fn presets_differ_in_rule_history_and_power() {
    for (preset, visibility, rule, history, invite) in [
        (None, Visibility::Private, "invite", HistoryVisibility::Invited, 0),
        (None, Visibility::Public, "public", HistoryVisibility::Shared, 50),
        (
            Some(RoomPreset::PrivateChat),
            Visibility::Public,
            "invite",
            HistoryVisibility::Invited,
            0,
        ),
        (
            Some(RoomPreset::TrustedPrivateChat),
            Visibility::Private,
            "invite",
            HistoryVisibility::Invited,
            0,
        ),
        (
            Some(RoomPreset::PublicChat),
            Visibility::Private,
            "public",
            HistoryVisibility::Shared,
            50,
        ),
        (Some("odd".into()), Visibility::Private, "invite", HistoryVisibility::Invited, 0),
    ] {
        let mut request = request(preset.clone());
        request.visibility = visibility.clone();
        request.invite = vec![user("min")];
        let creation = made(&request).unwrap();
        let state = &creation.state;
        assert_eq!(
            (state.join_rule().as_str(), state.history_visibility()),
            (rule, history),
            "{preset:?}"
        );
        assert_eq!(state.power_levels().invite, ruma::Int::from(invite));
        let is_trusted = preset == Some(RoomPreset::TrustedPrivateChat);
        let level = if is_trusted { int!(100) } else { int!(0) };
        assert_eq!(state.power_levels().for_user(&user("min")), level);
        assert_eq!(creation.is_listed, visibility == Visibility::Public);
    }
}

#[test]
fn initial_state_comes_before_the_preset() {
    let mut request = request(Some(RoomPreset::PrivateChat));
    request.initial_state = vec![
        raw(
            &json!({"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "shared"}}),
        ),
        raw(&json!({"type": "m.room.name", "content": {"name": "first"}})),
        raw(
            &json!({"type": "m.space.parent", "state_key": "!space:maru.test", "content": {"via": ["maru.test"]}}),
        ),
    ];
    request.name = Some("second".to_owned());
    let creation = made(&request).unwrap();
    assert_eq!(creation.state.history_visibility(), HistoryVisibility::Shared);
    let histories = creation
        .events
        .iter()
        .filter(|event| event.kind.to_string() == "m.room.history_visibility");
    assert_eq!(histories.count(), 1);
    assert_eq!(creation.state.name().as_deref(), Some("second"));
    assert_eq!(
        content(&creation, "m.space.parent", "!space:maru.test"),
        json!({"via": ["maru.test"]})
    );
}

#[test]
fn a_space_is_a_room_with_a_type() {
    let mut request = request(None);
    request.creation_content = Some(raw(
        &json!({"type": "m.space", "creator": "@min:maru.test", "room_version": "1", "x": 1}),
    ));
    let creation = made(&request).unwrap();
    assert_eq!(creation.state.room_type(), Some(RoomType::Space));
    assert_eq!(
        content(&creation, "m.room.create", ""),
        json!({"type": "m.space", "room_version": "11", "x": 1})
    );
}

#[test]
fn power_levels_are_replaced_key_by_key() {
    let mut request = request(None);
    request.power_level_content_override =
        Some(raw(&json!({"invite": 7, "events": {"m.room.name": 3}})));
    let levels = made(&request).unwrap().state.power_levels();
    assert_eq!((levels.invite, levels.kick), (int!(7), int!(50)));
    assert_eq!(levels.events.len(), 1);
    request.power_level_content_override = Some(raw(&json!({"users": {"@min:maru.test": 100}})));
    assert!(matches!(made(&request), Err(Error::Forbidden(_))));
    request.power_level_content_override = Some(raw(&json!({"invite": "7"})));
    assert!(made(&request).is_err());
}

#[test]
fn what_is_not_offered_is_refused() {
    let mut other = request(None);
    other.room_version = Some(RoomVersionId::V12);
    assert_eq!(made(&other).unwrap_err(), Error::UnsupportedRoomVersion);
    other.room_version = Some(RoomVersionId::V11);
    assert!(made(&other).is_ok());
    for alias in ["", "a:b", "a b", "a\u{7}"] {
        let mut request = request(None);
        request.room_alias_name = Some(alias.to_owned());
        assert!(matches!(made(&request), Err(Error::InvalidParam(_))), "{alias:?}");
    }
    let mut strangers = request(None);
    strangers.invite = vec![user("nobody")];
    assert!(matches!(made(&strangers), Err(Error::InvalidParam(_))));
    let mut oneself = request(None);
    oneself.invite = vec![user("kim")];
    assert!(matches!(made(&oneself), Err(Error::Forbidden(_))));
    let mut crowd = request(None);
    crowd.invite = (0..=INVITE_MAX).map(|number| user(&format!("p{number}"))).collect();
    assert!(matches!(made(&crowd), Err(Error::TooLarge { .. })));
    crowd.invite.pop();
    assert_eq!(made(&crowd).unwrap().state.invited_count(), INVITE_MAX);
    for event in [
        json!({"type": "m.room.member", "state_key": "@min:maru.test", "content": {"membership": "join"}}),
        json!({"type": "m.room.create", "content": {}}),
        json!({"type": "test"}),
        json!({"type": "test", "content": {"a": 1.5}}),
        json!({"type": "test", "content": []}),
        json!([]),
    ] {
        let mut request = request(None);
        request.initial_state = vec![raw(&event)];
        assert!(made(&request).is_err(), "{event}");
    }
    let mut many = request(None);
    many.initial_state = vec![raw(&json!({"type": "test", "content": {}})); INITIAL_STATE_MAX + 1];
    assert!(matches!(made(&many), Err(Error::TooLarge { .. })));
}

#[test]
fn home_is_encrypted_and_open() {
    let creation = made(&home("집")).unwrap();
    assert!(creation.state.is_encrypted() && !creation.is_listed);
    assert_eq!(creation.state.join_rule().as_str(), "public");
    assert_eq!(creation.state.history_visibility(), HistoryVisibility::Joined);
    assert_eq!(creation.state.name().as_deref(), Some("집"));
    assert_eq!(creation.alias.unwrap(), "#home:maru.test");
    assert_eq!(creation.state.membership(&user("kim")), MembershipState::Join);
}
