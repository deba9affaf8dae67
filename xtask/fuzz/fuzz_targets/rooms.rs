//! What apps and browsers send to telmeet: contents of events, filters, lists of sliding sync,
//! positions, names, addresses, scopes and registrations.
#![no_main]

use std::collections::BTreeMap;

use fuzz::Input;
use libfuzzer_sys::fuzz_target;
use ruma::{
    MilliSecondsSinceUnixEpoch, UserId,
    api::client::sync::sync_events::v5::{Request, request::List},
    events::room::member::MembershipState,
    push::Ruleset,
    uint,
};
use telmeet_core::{
    authorise, client_event,
    event::{Draft, Event},
    filter, json,
    person::{display_name, localpart, user_id},
    relation::{self, Relation},
    sign_in::{
        authorization::{Authorization, Refused},
        form::Form,
        redirect::Redirect,
        registration::App,
        scope::Scope,
    },
    sliding::{Connections, RoomEntry},
    state::RoomState,
    token::{Clock, Since},
    unread,
};

const NETWORK: &str = "maru.home.arpa";

/// Contents become events, of members and of strangers; none changes a room against its rules.
fn events(input: &mut Input<'_>) {
    let room = "!room:maru.home.arpa";
    let kim = user_id("kim", NETWORK).unwrap();
    let time = MilliSecondsSinceUnixEpoch(uint!(1));
    let mut state = RoomState::default();
    let mut head = None;
    let mut send = |sender: &UserId, kind: &str, key: Option<String>, content: &[u8]| {
        let content = json::content(content)?;
        assert_eq!(json::content(&serde_json::to_vec(&content).unwrap()).as_ref(), Ok(&content));
        let draft = Draft {
            room_id: room.try_into().unwrap(),
            sender: sender.to_owned(),
            kind: kind.into(),
            state_key: key,
            content,
            time,
        };
        let event = Event::build(draft, head.as_ref(), |kind, key| state.id(kind, key))?;
        assert_eq!(event.redact().unwrap().event_id, event.event_id);
        let written = client_event::write(
            &event,
            client_event::Format::Full,
            &Default::default(),
            None,
            time,
        )?;
        assert!(written.get().len() < 2 * json::EVENT_MAX);
        assert!(
            !relation::is_edit(&event, &event)
                && Relation::of(&event).is_none_or(|of| of.event_id != event.event_id)
        );
        authorise::check(&event, &state)?;
        head = Some(event.head());
        state.apply(&event)?;
        let rules = Ruleset::server_default(&kim);
        let notification = unread::evaluate(&rules, &event, &state, &kim, "Kim")?;
        assert!(event.sender != kim || !notification.is_notified);
        let joined = state.members().filter(|(_, is)| *is == MembershipState::Join).count();
        assert_eq!(state.joined_count(), joined);
        let _ = (state.name(), state.join_rule(), state.power_levels(), state.heroes(&kim));
        Ok::<(), telmeet_core::Error>(())
    };
    send(&kim, "m.room.create", Some(String::new()), b"{}").unwrap();
    send(&kim, "m.room.member", Some(kim.to_string()), br#"{"membership":"join"}"#).unwrap();
    let senders = ["kim", "min"].map(|name| user_id(name, NETWORK).unwrap());
    let kinds = [
        "m.room.member",
        "m.room.power_levels",
        "m.room.join_rules",
        "m.room.redaction",
        "m.room.name",
    ];
    while !input.is_empty() {
        let sender = input.pick(&senders).clone();
        let kind = *input.pick(&kinds);
        let key = match input.below(4) {
            0 => None,
            1 => Some(String::new()),
            2 => Some(input.pick(&senders).to_string()),
            _ => Some(String::from_utf8_lossy(input.bytes()).into_owned()),
        };
        let _ = send(&sender, kind, key, input.bytes());
    }
}

/// What is asked for is bounded, and a position is one that was given out.
fn syncs(bytes: &[u8], text: &str) {
    let _ = filter::parse(bytes);
    if let Ok(filter) = serde_json::from_slice(bytes) {
        let _ = filter::check_events(&filter);
    }
    let clock = Clock { generation: 1, latest: 1_000 };
    assert!(clock.read_page(text) <= clock.latest);
    if let Since::After(position) = clock.read_sync(Some(text)) {
        let token = match clock.read_acknowledged(Some(text)) {
            Since::After(to_device) if text.contains('~') => {
                clock.partial_sync_token(position, to_device)
            }
            Since::Start | Since::After(_) => clock.sync_token(position),
        };
        assert_eq!(token, text);
    }
    let mut connections = Connections::default();
    assert!(connections.resume(None, Some(text), 1).is_err());
    let Ok(lists) = serde_json::from_slice::<BTreeMap<String, List>>(bytes) else { return };
    let mut request = Request::new();
    request.lists = lists;
    let room = RoomEntry {
        room_id: "!room:maru.home.arpa".try_into().unwrap(),
        membership: MembershipState::Join,
        bumped: 1,
        changed: 1,
        is_direct: false,
        is_encrypted: true,
        room_type: None,
    };
    let rooms = [room];
    let connection = connections.resume(None, None, 1).unwrap();
    let Ok(plan) = connection.plan(&request, &rooms, 1) else { return };
    assert_eq!(plan.rooms.len(), plan.shown.len());
    let pos = connection.commit(plan, 0).unwrap();
    let connection = connections.resume(None, Some(&pos), 1).unwrap();
    assert!(connection.plan(&request, &rooms, 1).unwrap().rooms.is_empty(), "nothing changed");
}

/// Names steer nothing; a browser is sent to this device, an app or the network alone.
fn sign_in(bytes: &[u8], text: &str) {
    let name = localpart(text, |taken| taken == "kim");
    assert!(user_id(&name, NETWORK).is_ok() && name != "kim" && name != "maru");
    if let Some(name) = display_name(text) {
        assert_eq!(display_name(&name).as_deref(), Some(&*name));
        assert!(!name.contains(char::is_control));
    }
    let own = ["rooms.maru.home.arpa".to_owned()];
    let check = |redirect: &Redirect| {
        let address = redirect.as_str();
        let starts = [
            "http://localhost",
            "http://127.0.0.1",
            "http://[::1]",
            "http://rooms.maru.home.arpa/",
            "https://rooms.maru.home.arpa/",
            "element:",
            "im.fluffychat.auth:",
            "io.element:",
            "io.element.android:",
        ];
        assert!(starts.iter().any(|start| address.starts_with(start)), "{address}");
        assert!(!address.contains(['\\', '\n', '\r', ' ', '\0']));
        assert!(address.starts_with(redirect.origin().as_str()), "{address}");
    };
    if let Ok(redirect) = Redirect::parse(text, &own) {
        check(&redirect);
    }
    let known = r#"{"redirect_uris":["io.element.android:/"],"token_endpoint_auth_method":"none"}"#;
    let known = App::register(known.as_bytes(), &own).unwrap();
    if let Ok(form) = Form::parse(bytes) {
        let address = match Authorization::parse(&form, |_| Some(known), &own) {
            Ok(authorization) => authorization.with_code("x"),
            Err(Refused::There(address)) => address,
            Err(Refused::Here(_)) => "io.element.android:/".to_owned(),
        };
        assert!(address.starts_with("io.element.android:/"), "{address}");
    }
    if let Ok(app) = App::register(bytes, &own) {
        app.redirects.iter().for_each(check);
        assert_eq!(App::register(app.response().to_string().as_bytes(), &own), Ok(app));
    }
    if let Ok(scope) = Scope::parse(text) {
        assert_eq!(Scope::parse(scope.as_str()), Ok(scope));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    syncs(bytes, &text);
    sign_in(bytes, &text);
    events(&mut Input::new(bytes));
});
