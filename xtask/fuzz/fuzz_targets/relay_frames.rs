//! The relay: the HTTP before it, its handshake and frames on both sides; and STUN.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::sync::LazyLock;

use control_protocol::key::NodePrivate;
use derp::{
    ClientInfo, NONCE_LEN, ServerInfo,
    client::{Handshake, Step},
    frame::{self, Frame},
    http, server, stun,
};

static KEY: LazyLock<NodePrivate> = LazyLock::new(|| NodePrivate::from_bytes([7; 32]));

/// A head is never longer than what came.
fn heads(bytes: &[u8]) {
    if let Ok(Some((_, length))) = http::parse_request(bytes) {
        assert!(length <= bytes.len());
    }
    if let Ok(Some(length)) = http::parse_answer(bytes) {
        assert!(length <= bytes.len());
    }
}

/// Nobody is let in, or taken for the relay, without the key that belongs to it.
fn handshake(client: &mut Handshake, frame: &Frame<'_>) {
    let nonce = [0; NONCE_LEN];
    assert!(server::handle_client_info(&KEY, frame, &ServerInfo::default(), nonce).is_err());
    assert!(!matches!(client.handle_frame(frame, nonce), Ok(Step::Done { .. })));
}

fuzz_target!(|bytes: &[u8]| {
    heads(bytes);
    let mut client = Handshake::new(KEY.clone(), ClientInfo::default());
    let mut rest = bytes;
    while let Ok(Some((frame, length))) = frame::decode(rest) {
        handshake(&mut client, &frame);
        rest = &rest[length..];
    }
    let mut decoder = frame::Decoder::new();
    for part in bytes.chunks(5) {
        decoder.handle_bytes(part);
        while let Ok(Some(_)) = decoder.poll_frame() {}
    }
    drop(stun::parse_request(bytes));
    drop(stun::parse_response(bytes));
});
