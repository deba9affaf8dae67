//! What a client sends over OpenClaw's WebSocket: frames (RFC 6455), requests, handshakes.
#![no_main]

use ai_gateway::operator::{
    connect::{Challenge, Connect},
    frame::{Request, cleaned},
};
use common::websocket::{Decoder, Incoming};
use libfuzzer_sys::fuzz_target;

/// Largest message here, in bytes.
const MAX: usize = 1000;
/// What is held besides a message: another of the same size, which is incomplete, and the heads of both.
const HELD_MAX: usize = 2 * MAX + 28;

/// Whatever is read, it is the same however it is split, and no more is held than is allowed.
fn frames(bytes: &[u8]) -> Vec<Incoming> {
    let read = |parts: &[&[u8]]| {
        let (mut decoder, mut found) = (Decoder::new(MAX), Vec::new());
        for part in parts.iter().flat_map(|part| part.chunks(64)) {
            decoder.push(part);
            loop {
                match decoder.decode() {
                    Ok(Some(incoming)) => found.push(incoming),
                    Ok(None) => break,
                    Err(error) => return (found, Some(error)),
                }
            }
            assert!(decoder.held() <= HELD_MAX);
        }
        (found, None)
    };
    let (first, second) = bytes.split_at(bytes.len() / 3);
    let whole = read(&[bytes]);
    assert_eq!(whole, read(&[first, second]));
    whole.0
}

/// Nobody connects who did not sign this challenge, unless without a device, and none is an admin whom the gateway does not
/// know as one.
fn requests(text: String) {
    let text = cleaned(text);
    let Ok(request) = Request::parse(&text) else { return };
    assert!((1..=256).contains(&request.id.len()) && (1..=256).contains(&request.method.len()));
    let Ok(connect) = serde_json::from_str::<Connect<'_>>(&text) else { return };
    let challenge = Challenge { nonce: "nonce".to_owned(), ts: 1 };
    if let Ok(connected) = connect.check(&challenge, false) {
        assert!(!format!("{connected:?}").contains("admin: true"));
    }
}

fuzz_target!(|bytes: &[u8]| {
    for incoming in frames(bytes) {
        if let Incoming::Text(text) = incoming {
            requests(text);
        }
    }
    requests(String::from_utf8_lossy(bytes).into_owned());
});
