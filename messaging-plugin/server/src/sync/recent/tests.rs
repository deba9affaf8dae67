use ruma::{MilliSecondsSinceUnixEpoch, owned_room_id, owned_user_id, uint};
use telmeet_core::event::{Draft, Head};

use super::*;

fn sent(position: Position, room: &OwnedRoomId, length: usize) -> RoomChange {
    let (body, key) = ("x".repeat(length), "body".to_owned());
    let draft = Draft {
        room_id: room.clone(),
        sender: owned_user_id!("@kim:maru.test"),
        kind: "m.room.message".into(),
        state_key: None,
        content: ruma::CanonicalJsonObject::from([(key, body.into())]),
        time: MilliSecondsSinceUnixEpoch(uint!(1)),
    };
    let depth = position.try_into().unwrap();
    let head = Head { event_id: ruma::owned_event_id!("$before"), depth };
    let event = Arc::new(Event::build(draft, Some(&head), |_, _| None).unwrap());
    let (sent_by, redacted_by, replaces) = (None, None, None);
    let stored =
        StoredEvent { event, position, sequence: position, sent_by, redacted_by, replaces };
    RoomChange::Sent(Arc::new(stored))
}

fn positions(
    recent: &Recent,
    room: &RoomId,
    after: Position,
    limit: usize,
) -> Option<Vec<Position>> {
    let events = recent.timeline(room, (after, Position::MAX), limit, Direction::Backward)?;
    Some(events.iter().map(|stored| stored.position).collect())
}

#[test]
fn events_are_found_by_room_and_position() {
    let (one, two) = (owned_room_id!("!a:maru.test"), owned_room_id!("!b:maru.test"));
    let mut recent = Recent::new(5);
    recent.add(9, vec![sent(6, &one, 1), sent(7, &two, 1), sent(8, &one, 1), sent(9, &one, 1)]);
    assert_eq!(positions(&recent, &one, 5, 9), Some(vec![9, 8, 6]));
    assert_eq!(positions(&recent, &one, 6, 1), Some(vec![9]));
    assert_eq!(positions(&recent, &two, 7, 9), Some(vec![]));
    assert_eq!(positions(&recent, &one, 4, 9), None, "older ones are not known");
    let forward = recent.timeline(&one, (5, 8), 9, Direction::Forward).unwrap();
    assert_eq!(forward.iter().map(|it| it.position).collect::<Vec<_>>(), [6, 8]);
    let id = forward[0].event.event_id.clone();
    recent.add(10, vec![RoomChange::Deleted(id)]);
    assert_eq!(positions(&recent, &one, 5, 9), Some(vec![9, 8]));
}

#[test]
fn the_content_of_a_redacted_event_is_gone() {
    let room = owned_room_id!("!a:maru.test");
    let mut recent = Recent::new(0);
    recent.add(2, vec![sent(1, &room, 100), sent(2, &room, 1)]);
    let event = recent.at(1).unwrap().event.redact().unwrap();
    recent.add(2, vec![RoomChange::Redacted(Arc::new(event), Some(2))]);
    let stored = recent.at(1).unwrap();
    assert_eq!((stored.event.content.get(), stored.redacted_by), ("{}", Some(2)));
    assert_eq!(recent.bytes, recent.entries.iter().map(Entry::size).sum::<usize>());
}

#[test]
fn the_oldest_changes_make_room_for_new_ones() {
    let room = owned_room_id!("!a:maru.test");
    let mut recent = Recent::new(0);
    for position in 1..=200 {
        recent.add(position, vec![sent(position, &room, 50_000)]);
        assert!(recent.bytes <= BYTES_MAX);
    }
    let floor = recent.floor.unwrap();
    assert!((100..199).contains(&floor), "{floor}");
    assert_eq!(positions(&recent, &room, floor, 1), Some(vec![200]));
    assert!(positions(&recent, &room, floor - 1, 1).is_none());
    let read = |position| {
        let user = owned_user_id!("@kim:maru.test");
        RoomChange::Read(Receipt { room_id: room.clone(), user, is_public: true, position })
    };
    let end = 200 + CHANGES_MAX as u64;
    recent.add(end, (201..=end).map(read).collect());
    assert_eq!((recent.entries.len(), recent.floor), (CHANGES_MAX, Some(200)));
}
