use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use ruma::{
    OwnedRoomId, RoomId,
    api::client::sync::sync_events::v5::{
        Request,
        request::{ExtensionRoomConfig, List, ListFilters, RoomSubscription},
    },
    events::room::member::MembershipState,
    room::RoomType,
};
use serde_json::{Value, json};

use super::{
    CONNECTION_ID_MAX, CONNECTIONS_MAX, Connections, LISTS_MAX, PENDING_MAX, Plan, RANGES_MAX,
    REQUIRED_MAX, RequiredState, RoomEntry, SUBSCRIPTIONS_MAX, TIMELINE_MAX, Timeline,
};
use crate::Error;

fn id(name: &str) -> OwnedRoomId {
    RoomId::parse(format!("!{name}:maru.test")).unwrap()
}

fn room(name: &str, changed: u64) -> RoomEntry {
    RoomEntry {
        room_id: id(name),
        membership: MembershipState::Join,
        bumped: changed,
        changed,
        is_direct: false,
        is_encrypted: false,
        room_type: None,
    }
}

fn list(content: Value) -> List {
    serde_json::from_value(content).unwrap()
}

/// A request with one list, `all`.
fn request(ranges: Value, limit: u64) -> Request {
    let mut request = Request::new();
    let content =
        json!({"ranges": ranges, "timeline_limit": limit, "required_state": [["m.room.name", ""]]});
    request.lists.insert("all".to_owned(), list(content));
    request
}

fn subscribed(name: &str, limit: u64) -> Request {
    let mut request = Request::new();
    let room: RoomSubscription = serde_json::from_value(json!({"timeline_limit": limit})).unwrap();
    request.room_subscriptions.insert(id(name), room);
    request
}

/// An app with one connection.
#[derive(Default)]
struct App {
    connections: Connections,
    pos: Option<String>,
}

impl App {
    /// Polls, and receives the response.
    fn poll(&mut self, request: &Request, rooms: &[RoomEntry], now: u64) -> Plan {
        let (plan, pos) = self.lose(request, rooms, now);
        self.pos = Some(pos);
        plan
    }

    /// Polls, and loses the response.
    fn lose(&mut self, request: &Request, rooms: &[RoomEntry], now: u64) -> (Plan, String) {
        let connection = self.connections.resume(None, self.pos.as_deref(), 7).unwrap();
        let plan = connection.plan(request, rooms, now).unwrap();
        let pos = connection.commit(plan.clone(), 0).unwrap();
        (plan, pos)
    }
}

/// Names of the rooms that are sent, with the part of their timeline.
fn sent(plan: &Plan) -> Vec<(String, Timeline)> {
    let name =
        |room: &RoomId| room.as_str().trim_start_matches('!').split(':').next().unwrap().to_owned();
    let mut sent: Vec<_> =
        plan.rooms.iter().map(|room| (name(&room.room_id), room.timeline)).collect();
    sent.sort_by(|a, b| a.0.cmp(&b.0));
    sent
}

fn of(entries: &[(&str, Timeline)]) -> Vec<(String, Timeline)> {
    entries.iter().map(|(name, timeline)| ((*name).to_owned(), *timeline)).collect()
}

#[test]
fn the_newest_rooms_come_first_and_later_only_what_changed() {
    let mut app = App::default();
    let rooms = [room("a", 1), room("b", 3), room("c", 2)];
    let plan = app.poll(&request(json!([[0, 1]]), 1), &rooms, 3);
    assert_eq!(sent(&plan), of(&[("b", Timeline::Initial), ("c", Timeline::Initial)]));
    assert_eq!((plan.counts["all"], plan.since), (3, None));
    assert!(app.poll(&request(json!([[0, 1]]), 1), &rooms, 3).rooms.is_empty());
    let rooms = [room("a", 1), room("b", 5), room("c", 2)];
    let plan = app.poll(&request(json!([[0, 1]]), 1), &rooms, 5);
    assert_eq!(sent(&plan), of(&[("b", Timeline::Since(3))]));
    assert_eq!(plan.since, Some(3));
    let plan = app.poll(&request(json!([[0, 9]]), 1), &rooms, 5);
    assert_eq!(sent(&plan), of(&[("a", Timeline::Initial)]));
}

#[test]
fn a_lost_response_is_sent_again() {
    let mut app = App::default();
    let all = request(json!([[0, 9]]), 1);
    app.poll(&all, &[room("a", 1)], 1);
    let (first, lost) = app.lose(&all, &[room("a", 2)], 2);
    let second = app.poll(&all, &[room("a", 3)], 3);
    assert_eq!(
        (sent(&first), sent(&second)),
        (of(&[("a", Timeline::Since(1))]), of(&[("a", Timeline::Since(1))]))
    );
    assert!(app.poll(&all, &[room("a", 3)], 3).rooms.is_empty());
    let unknown = app.connections.resume(None, Some(&lost), 8).unwrap_err();
    assert_eq!((unknown.kind().errcode().as_str(), unknown.status()), ("M_UNKNOWN_POS", 400));
    assert!(app.poll(&all, &[room("a", 3)], 3).rooms.is_empty(), "it changes nothing");
}

#[test]
fn the_last_two_positions_are_valid() {
    let mut app = App::default();
    let all = request(json!([[0, 9]]), 1);
    app.poll(&all, &[room("a", 1)], 1);
    let before = app.pos.clone().unwrap();
    app.poll(&all, &[room("a", 1)], 1);
    let last = app.pos.clone().unwrap();
    for pos in [&before, &before, &last, &last] {
        assert!(app.connections.resume(None, Some(pos), 0).is_ok(), "{pos}");
    }
    for pos in [&before as &str, "", "7_", "7_0", "7_99", "8_2", "7_-1", "2", "\u{0}"] {
        assert_eq!(
            app.connections.resume(None, Some(pos), 0).unwrap_err(),
            Error::UnknownPos,
            "{pos}"
        );
    }
    assert_eq!(
        app.connections.resume(Some("other"), Some(&last), 0).unwrap_err(),
        Error::UnknownPos
    );
    assert_eq!(Connections::default().resume(None, Some(&last), 0).unwrap_err(), Error::UnknownPos);
}

#[test]
fn without_a_position_a_connection_starts_anew() {
    let mut app = App::default();
    let all = request(json!([[0, 9]]), 1);
    app.poll(&all, &[room("a", 1)], 1);
    app.pos = None;
    assert_eq!(sent(&app.poll(&all, &[room("a", 1)], 1)), of(&[("a", Timeline::Initial)]));
}

#[test]
fn a_request_that_waited_finds_its_connection_again() {
    let mut connections = Connections::default();
    assert!(connections.get(None, 7).is_err());
    assert_eq!(connections.resume(Some("a"), None, 7).unwrap().nonce(), 7);
    assert!(connections.get(Some("a"), 7).is_ok());
    assert_eq!(connections.get(Some("a"), 8).unwrap_err(), Error::UnknownPos);
    assert_eq!(connections.get(None, 7).unwrap_err(), Error::UnknownPos);
    connections.resume(Some("a"), None, 8).unwrap();
    assert_eq!(connections.get(Some("a"), 7).unwrap_err(), Error::UnknownPos);
}

#[test]
fn a_raised_limit_sends_the_timeline_again() {
    let mut app = App::default();
    let rooms = [room("a", 1)];
    app.poll(&request(json!([[0, 9]]), 1), &rooms, 1);
    let mut opened = request(json!([[0, 9]]), 1);
    opened.room_subscriptions = subscribed("a", 20).room_subscriptions;
    let plan = app.poll(&opened, &rooms, 1);
    assert_eq!((sent(&plan), plan.rooms[0].limit), (of(&[("a", Timeline::Expanded(1))]), 20));
    assert!(app.poll(&opened, &rooms, 1).rooms.is_empty());
    assert!(app.poll(&request(json!([[0, 9]]), 1), &rooms, 1).rooms.is_empty());
    assert_eq!(
        sent(&app.poll(&opened, &rooms, 1)),
        of(&[("a", Timeline::Expanded(1))]),
        "opened again"
    );
    let plan = app.poll(&request(json!([[0, 9]]), u64::from(u32::MAX)), &rooms, 1);
    assert_eq!(plan.rooms[0].limit, TIMELINE_MAX);
}

#[test]
fn new_required_state_is_sent() {
    let mut app = App::default();
    let rooms = [room("a", 1)];
    app.poll(&request(json!([[0, 9]]), 1), &rooms, 1);
    let mut more = request(json!([[0, 9]]), 1);
    let added = [("m.room.topic".into(), String::new())];
    more.lists.get_mut("all").unwrap().room_details.required_state.extend(added.clone());
    let plan = app.poll(&more, &rooms, 1);
    let mut expected = RequiredState::default();
    expected.extend(&added);
    assert_eq!((sent(&plan), &plan.rooms[0].added), (of(&[("a", Timeline::Since(1))]), &expected));
    assert!(app.poll(&more, &rooms, 1).rooms.is_empty());
}

#[test]
fn a_room_that_comes_back_into_the_window_misses_nothing() {
    let mut app = App::default();
    let top = request(json!([[0, 0]]), 1);
    app.poll(&top, &[room("a", 1), room("b", 0)], 1);
    assert_eq!(
        sent(&app.poll(&top, &[room("a", 1), room("b", 2)], 2)),
        of(&[("b", Timeline::Initial)])
    );
    let mut quiet = room("a", 1);
    quiet.changed = 3;
    assert!(app.poll(&top, &[quiet, room("b", 2)], 3).rooms.is_empty());
    let plan = app.poll(&top, &[room("a", 4), room("b", 2)], 4);
    assert_eq!(sent(&plan), of(&[("a", Timeline::Since(1))]));
    assert_eq!(plan.shown[0].since, Some(1), "receipts and account data, too");
}

#[test]
fn leaving_is_shown_once() {
    let mut app = App::default();
    let all = request(json!([[0, 9]]), 1);
    app.poll(&all, &[room("a", 1)], 1);
    let mut left = room("a", 2);
    left.membership = MembershipState::Leave;
    let plan = app.poll(&all, std::slice::from_ref(&left), 2);
    assert_eq!((sent(&plan), plan.counts["all"]), (of(&[("a", Timeline::Since(1))]), 0));
    assert_eq!(plan.rooms[0].membership, MembershipState::Leave);
    left.changed = 3;
    assert!(app.poll(&all, std::slice::from_ref(&left), 3).rooms.is_empty());
    assert_eq!(
        sent(&app.poll(&all, &[room("a", 4)], 4)),
        of(&[("a", Timeline::Initial)]),
        "joined again"
    );
    assert!(App::default().poll(&all, &[left], 3).rooms.is_empty(), "a room that was never sent");
}

#[test]
fn a_room_is_whole_once_the_invitation_is_accepted() {
    let mut app = App::default();
    let all = request(json!([[0, 9]]), 1);
    let mut invited = room("a", 1);
    invited.membership = MembershipState::Invite;
    assert_eq!(sent(&app.poll(&all, &[invited.clone()], 1)), of(&[("a", Timeline::Initial)]));
    invited.changed = 2;
    assert_eq!(sent(&app.poll(&all, &[invited], 2)), of(&[("a", Timeline::Since(1))]));
    assert_eq!(sent(&app.poll(&all, &[room("a", 3)], 3)), of(&[("a", Timeline::Initial)]));
    assert_eq!(sent(&app.poll(&all, &[room("a", 4)], 4)), of(&[("a", Timeline::Since(3))]));
}

#[test]
fn a_subscription_shows_only_rooms_of_the_person() {
    let mut app = App::default();
    assert!(app.poll(&subscribed("secret", 20), &[room("a", 1)], 1).rooms.is_empty());
    assert_eq!(
        sent(&app.poll(&subscribed("a", 20), &[room("a", 1)], 1)),
        of(&[("a", Timeline::Initial)])
    );
}

#[test]
fn lists_are_filtered() {
    let mut invited = room("invited", 1);
    invited.membership = MembershipState::Invite;
    let mut direct = room("direct", 2);
    (direct.is_direct, direct.is_encrypted) = (true, true);
    let mut space = room("space", 3);
    space.room_type = Some(RoomType::Space);
    let rooms = [invited, direct, space, room("plain", 4)];
    for (filters, expected) in [
        (json!({}), vec!["direct", "invited", "plain", "space"]),
        (json!({"is_invite": true}), vec!["invited"]),
        (json!({"is_invite": false}), vec!["direct", "plain", "space"]),
        (json!({"is_dm": true}), vec!["direct"]),
        (json!({"is_encrypted": false}), vec!["invited", "plain", "space"]),
        (json!({"room_types": ["m.space"]}), vec!["space"]),
        (json!({"room_types": [null]}), vec!["direct", "invited", "plain"]),
        (json!({"not_room_types": ["m.space"]}), vec!["direct", "invited", "plain"]),
        (json!({"room_types": ["m.space"], "not_room_types": ["m.space"]}), vec![]),
        (json!({"is_dm": true, "is_encrypted": false}), vec![]),
    ] {
        let mut request = request(json!([[0, 99]]), 1);
        let parsed: ListFilters = serde_json::from_value(filters.clone()).unwrap();
        request.lists.get_mut("all").unwrap().filters = Some(parsed);
        let plan = App::default().poll(&request, &rooms, 4);
        let names: Vec<String> = sent(&plan).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            (names, plan.counts["all"]),
            (expected.iter().map(|name| (*name).to_owned()).collect(), expected.len())
        );
    }
}

#[test]
fn extensions_cover_lists_and_subscriptions() {
    let mut request = request(json!([[0, 0]]), 1);
    request.room_subscriptions = subscribed("old", 1).room_subscriptions;
    let plan =
        App::default().poll(&request, &[room("new", 9), room("old", 1), room("hidden", 0)], 9);
    let names =
        |lists: Option<&[String]>, rooms: Option<&[ExtensionRoomConfig]>| -> Vec<OwnedRoomId> {
            plan.covered(lists, rooms).map(|shown| shown.room_id.clone()).collect()
        };
    assert_eq!(names(None, None), [id("new"), id("old")]);
    assert_eq!(names(Some(&[]), None), [id("old")]);
    assert_eq!(names(None, Some(&[])), [id("new")]);
    assert_eq!(
        names(Some(&["other".to_owned()]), Some(&[ExtensionRoomConfig::AllSubscribed])),
        [id("old")]
    );
    assert_eq!(
        names(Some(&["all".to_owned()]), Some(&[ExtensionRoomConfig::Room(id("hidden"))])),
        [id("new")]
    );
}

#[test]
fn requests_are_bounded() {
    let refuse = |request: &Request| {
        let mut connections = Connections::default();
        connections.resume(None, None, 1).unwrap().plan(request, &[room("a", 1)], 1).unwrap_err()
    };
    let mut lists = Request::new();
    for number in 0..=LISTS_MAX {
        lists.lists.insert(number.to_string(), List::default());
    }
    let mut subscriptions = Request::new();
    for number in 0..=SUBSCRIPTIONS_MAX {
        subscriptions
            .room_subscriptions
            .insert(id(&number.to_string()), RoomSubscription::default());
    }
    let mut state = request(json!([[0, 1]]), 1);
    state.lists.get_mut("all").unwrap().room_details.required_state =
        vec![("test".into(), String::new()); REQUIRED_MAX + 1];
    for large in [lists, subscriptions, state, request(json!(vec![[0, 1]; RANGES_MAX + 1]), 1)] {
        assert!(matches!(refuse(&large), Error::TooLarge { .. }));
    }
    assert!(matches!(refuse(&request(json!([[2, 1]]), 1)), Error::InvalidParam(_)));
    let huge = request(json!([[0, 9_007_199_254_740_991_u64]]), 1);
    assert_eq!(App::default().poll(&huge, &[room("a", 1)], 1).rooms.len(), 1);
    let long = "a".repeat(CONNECTION_ID_MAX + 1);
    assert!(matches!(
        Connections::default().resume(Some(&long), None, 1),
        Err(Error::TooLarge { .. })
    ));
}

#[test]
fn the_connection_that_was_unused_for_longest_is_closed() {
    let mut connections = Connections::default();
    let open = |connections: &mut Connections, id: &str, pos: Option<&str>| {
        let connection = connections.resume(Some(id), pos, 1)?;
        let plan = connection.plan(&Request::new(), &[], 1)?;
        connection.commit(plan, 0)
    };
    let mut first = open(&mut connections, "first", None).unwrap();
    let second = open(&mut connections, "second", None).unwrap();
    for number in 2..CONNECTIONS_MAX {
        open(&mut connections, &number.to_string(), None).unwrap();
    }
    first = open(&mut connections, "first", Some(&first)).unwrap();
    open(&mut connections, "one more", None).unwrap();
    assert!(open(&mut connections, "first", Some(&first)).is_ok());
    assert_eq!(open(&mut connections, "second", Some(&second)), Err(Error::UnknownPos));
}

/// What happens between two polls.
#[derive(Clone, Debug)]
enum Step {
    Change(usize),
    /// Which of the last responses is received, counted from the last one; none if it is lost.
    Poll {
        ranges: (u64, u64),
        subscription: Option<usize>,
        received: Option<usize>,
    },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let received = prop::option::of(0..PENDING_MAX);
    let poll = (0..6_u64, 0..6_u64, prop::option::of(0..5_usize), received).prop_map(
        |(first, length, subscription, received)| Step::Poll {
            ranges: (first, first + length),
            subscription,
            received,
        },
    );
    prop_oneof![3 => (0..5_usize).prop_map(Step::Change), 3 => poll, 1 => Just(Step::Restart)]
}

proptest! {
    /// A model of a client, which loses responses, receives older ones, and restarts: after each that it receives, it has every
    /// change of the rooms that the response's lists and subscriptions show, and never a gap before what it was sent.
    #[test]
    fn no_change_is_lost(steps in prop::collection::vec(step(), 0..60)) {
        let mut app = App::default();
        let mut rooms: Vec<RoomEntry> = (0..5).map(|number| room(&format!("r{number}"), number)).collect();
        let mut now = 5;
        let mut has: BTreeMap<OwnedRoomId, u64> = BTreeMap::new();
        let mut responses = Vec::new();
        for step in steps {
            let (ranges, subscription, received) = match step {
                Step::Change(index) => {
                    now += 1;
                    (rooms[index].changed, rooms[index].bumped) = (now, now);
                    continue;
                }
                Step::Restart => {
                    app = App::default();
                    has.clear();
                    responses.clear();
                    continue;
                }
                Step::Poll { ranges, subscription, received } => (ranges, subscription, received),
            };
            let mut request = request(json!([[ranges.0, ranges.1]]), 1);
            if let Some(index) = subscription {
                request.room_subscriptions = subscribed(&format!("r{index}"), 5).room_subscriptions;
            }
            if app.pos.is_none() { responses.clear(); }
            let (plan, pos) = app.lose(&request, &rooms, now);
            responses.push((plan, pos, rooms.clone(), now));
            let Some(received) = received else { continue };
            let index = responses.len().saturating_sub(1 + received);
            let (plan, pos, rooms, now) = responses.swap_remove(index);
            responses.clear();
            app.pos = Some(pos);
            for sent in &plan.rooms {
                match sent.timeline {
                    Timeline::Initial => {}
                    Timeline::Since(from) | Timeline::Expanded(from) => {
                        prop_assert!(has.get(&sent.room_id).is_some_and(|up_to| *up_to >= from), "a gap");
                    }
                }
                has.insert(sent.room_id.clone(), now);
            }
            for shown in &plan.shown {
                let entry = rooms.iter().find(|entry| entry.room_id == shown.room_id).unwrap();
                prop_assert!(has.get(&shown.room_id).is_some_and(|up_to| *up_to >= entry.changed), "a change is lost");
                has.insert(shown.room_id.clone(), now);
            }
        }
    }

    /// Any text as a position is an error or one that was given out.
    #[test]
    fn any_position_is_known_or_refused(pos in "(7_)?[0-9a-f_]{0,8}|.{0,20}") {
        let mut app = App::default();
        app.poll(&request(json!([[0, 1]]), 1), &[room("a", 1)], 1);
        let is_known = app.connections.resume(None, Some(&pos), 1).is_ok();
        prop_assert_eq!(is_known, Some(pos) == app.pos);
    }
}

#[test]
fn any_of_the_last_responses_may_be_named_and_then_none_of_the_others_is_valid() {
    let mut app = App::default();
    let all = request(json!([[0, 9]]), 1);
    app.poll(&all, &[room("a", 1)], 1);
    let connection = app.connections.resume(None, app.pos.as_deref(), 7).unwrap();
    let late = connection.plan(&all, &[room("a", 5)], 5).unwrap();
    let lost = [2, 3, 4, 5].map(|now| app.lose(&all, &[room("a", now)], now).1);
    assert!(app.connections.resume(None, Some(&lost[0]), 7).is_err(), "memory is bounded");
    app.pos = Some(lost[2].clone());
    assert_eq!(sent(&app.poll(&all, &[room("a", 9)], 9)), of(&[("a", Timeline::Since(4))]));
    for pos in [&lost[1], &lost[3]] {
        assert_eq!(app.connections.resume(None, Some(pos), 7).unwrap_err(), Error::UnknownPos);
    }
    let connection = app.connections.resume(None, app.pos.as_deref(), 7).unwrap();
    assert_eq!(connection.commit(late, 0), Err(Error::UnknownPos));
}

/// Ten thousand rooms cost one copy of the wanted state, in the first response and in those that follow.
#[test]
fn rooms_share_the_wanted_state() {
    let mut app = App::default();
    let mut rooms: Vec<RoomEntry> =
        (0..10_000).map(|number| room(&format!("r{number}"), number)).collect();
    let all = request(json!([[0, 20_000]]), 1);
    let first = app.poll(&all, &rooms, 10_000);
    rooms[5].changed = 10_001;
    let second = app.poll(&all, &rooms, 10_001);
    assert_eq!((first.rooms.len(), second.rooms.len()), (10_000, 1));
    let required = &first.rooms[0].required;
    let shared =
        first.rooms.iter().chain(&second.rooms).all(|room| Arc::ptr_eq(&room.required, required));
    assert!(shared);
}
