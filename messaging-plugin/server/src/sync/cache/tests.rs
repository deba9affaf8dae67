use ruma::{owned_room_id, owned_user_id};

use super::*;

const START: Clock = Clock { generation: 1, latest: 10 };

fn counted() -> Counted {
    Counted { joined_at: 1, receipts: 2, upto: 3, unread: Unread::default() }
}

/// Publishes that something of a person's changed.
fn change(cache: &SyncCache, latest: Position, user: &OwnedUserId, is_rules: bool) {
    let people = BTreeSet::from([user.clone()]);
    let rules = if is_rules { people.clone() } else { BTreeSet::new() };
    cache.publish(Changes { latest, people: &people, rules: &rules, rooms: Vec::new() });
}

#[test]
fn what_was_read_before_a_change_is_not_stored() {
    let cache = SyncCache::new(START);
    let (kim, room) = (owned_user_id!("@kim:maru.test"), owned_room_id!("!a:maru.test"));
    let before = cache.begin(&kim, None);
    assert_eq!((before.clock, before.rooms), (START, None));
    cache.set_counted(before.version, &kim, &room, counted());
    cache.set_rooms(before.version, &kim, 10, &Arc::default());
    assert_eq!(cache.counted(&kim, &room).map(|counted| counted.upto), Some(3));
    assert!(cache.begin(&kim, None).rooms.is_some());

    change(&cache, 11, &kim, false);
    assert!(cache.begin(&kim, None).rooms.is_none());
    assert!(cache.counted(&kim, &room).is_some(), "no rule changed");
    cache.set_rooms(before.version, &kim, 10, &Arc::default());
    assert!(cache.begin(&kim, None).rooms.is_none());

    change(&cache, 12, &kim, true);
    assert!(cache.counted(&kim, &room).is_none());
    cache.set_counted(before.version, &kim, &room, counted());
    assert!(cache.counted(&kim, &room).is_none());
}

#[test]
fn it_is_known_since_when_nothing_of_a_person_changed() {
    let cache = SyncCache::new(START);
    let kim = owned_user_id!("@kim:maru.test");
    assert!(!cache.is_unchanged(&kim, 10), "nobody asked for it");
    cache.begin(&kim, None);
    assert!(cache.is_unchanged(&kim, 10) && !cache.is_unchanged(&kim, 9));
    change(&cache, 14, &owned_user_id!("@min:maru.test"), false);
    assert!(cache.is_unchanged(&kim, 10));
    change(&cache, 16, &kim, false);
    assert!(cache.is_unchanged(&kim, 16) && !cache.is_unchanged(&kim, 15));
}

#[test]
fn after_a_transaction_of_which_nothing_is_known_all_is_read_anew() {
    let cache = SyncCache::new(START);
    let (kim, min) = (owned_user_id!("@kim:maru.test"), owned_user_id!("@min:maru.test"));
    let before = cache.begin(&kim, None);
    cache.set_rooms(before.version, &kim, 10, &Arc::default());
    cache.clear();
    let meanwhile = cache.begin(&kim, None);
    assert!(meanwhile.rooms.is_none());
    cache.set_rooms(meanwhile.version, &kim, 10, &Arc::default());
    assert!(cache.begin(&kim, None).rooms.is_none(), "up to where is not known");
    change(&cache, 20, &min, false);
    assert!(!cache.is_unchanged(&kim, 10));
    assert!(
        cache.timeline(&owned_room_id!("!a:maru.test"), (19, 20), 1, Direction::Forward).is_none()
    );
    assert!(
        cache.timeline(&owned_room_id!("!a:maru.test"), (20, 20), 1, Direction::Forward).is_some()
    );
}

#[test]
fn memory_is_bounded() {
    let cache = SyncCache::new(START);
    let room = |number: usize| RoomId::parse(format!("!r{number}:maru.test")).unwrap();
    let kim = owned_user_id!("@kim:maru.test");
    let begun = cache.begin(&kim, None);
    for number in 0..=PERSON_MAX / OVERHEAD {
        cache.set_counted(begun.version, &kim, &room(number), counted());
        assert!(cache.inner().bytes <= PERSON_MAX);
    }
    for number in 0..BYTES_MAX / OVERHEAD / 8 {
        let user = UserId::parse(format!("@p{number}:maru.test")).unwrap();
        let begun = cache.begin(&user, None);
        for number in 0..8 {
            cache.set_counted(begun.version, &user, &room(number), counted());
        }
    }
    let inner = cache.inner();
    assert!(inner.bytes <= BYTES_MAX && inner.people.len() < BYTES_MAX / OVERHEAD / 8);
    assert_eq!(inner.bytes, inner.people.values().map(|person| person.bytes).sum::<usize>());
}
