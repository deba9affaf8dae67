use ruma::{MilliSecondsSinceUnixEpoch, owned_event_id, owned_room_id, owned_user_id, uint};
use serde_json::json;
use telmeet_core::{
    event::{Draft, Event, Head},
    json as canonical,
    state::RoomState,
};

use super::*;

/// A room with so many state events of 60 KB.
fn room(id: &OwnedRoomId, events: usize) -> Arc<Room> {
    let head = Head { event_id: owned_event_id!("$head"), depth: uint!(1) };
    let mut state = RoomState::default();
    for number in 0..events {
        let content = json!({"text": "x".repeat(60_000)}).to_string();
        let draft = Draft {
            room_id: id.clone(),
            sender: owned_user_id!("@kim:maru.test"),
            kind: "org.example".into(),
            state_key: Some(number.to_string()),
            content: canonical::content(content.as_bytes()).unwrap(),
            time: MilliSecondsSinceUnixEpoch(uint!(1)),
        };
        state.apply(&Event::build(draft, Some(&head), |_, _| None).unwrap()).unwrap();
    }
    Arc::new(Room { state: Arc::new(state), head, sequence: 1 })
}

#[test]
fn full_rooms_do_not_fill_the_memory() {
    let rooms = Rooms::default();
    let ids: Vec<OwnedRoomId> =
        (0..20).map(|number| RoomId::parse(format!("!{number}:maru.test")).unwrap()).collect();
    for id in &ids {
        rooms.loaded(id, &room(id, 60), rooms.version());
    }
    let kept: Vec<bool> = ids.iter().map(|id| rooms.get(id).is_some()).collect();
    let count = kept.iter().filter(|kept| **kept).count();
    assert_eq!(count, BYTES_MAX / room(&ids[0], 60).state.bytes());
    assert!(kept[19] && !kept[0], "the one that was not used for longest is dropped");
    // One that is replaced counts once.
    for _ in 0..100 {
        rooms.loaded(&ids[19], &room(&ids[19], 1), rooms.version());
    }
    assert_eq!(ids.iter().filter(|id| rooms.get(id).is_some()).count(), count);
    rooms.clear();
    assert_eq!(rooms.inner().bytes, 0);
    assert!(rooms.get(&owned_room_id!("!19:maru.test")).is_none());
}
