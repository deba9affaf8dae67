//! Messages of rooms that a participant sends the gateway, and the events of the replies.
#![no_main]

use libfuzzer_sys::fuzz_target;

use ai_gateway_api::rooms::{
    self, MAX_ID, MAX_RECENT, MAX_TEXT, ReplyEvent, RoomMessage, Settings,
};
use common::{foreign, surrogate};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = RoomMessage::decode(bytes) {
        assert!(message.recent.len() <= MAX_RECENT && message.text.len() <= MAX_TEXT);
        let senders = message.recent.iter().map(|it| &it.sender).chain([&message.sender]);
        for id in senders.map(|it| &it.id).chain([&message.event_id, &message.room.id]) {
            assert!((1..=MAX_ID).contains(&id.as_str().len()));
            assert!(!id.as_str().chars().any(foreign::steers));
        }
        let mut mended = bytes.to_vec();
        surrogate::replace_lone(&mut mended);
        assert_eq!(fuzz::json(&mended), Some(message));
    }
    for name in [rooms::event::DELTA, rooms::event::FINAL, "error"] {
        drop(ReplyEvent::decode(name, bytes));
    }
    fuzz::json::<Settings>(bytes);
});
