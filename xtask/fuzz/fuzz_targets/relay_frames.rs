//! The relay: the HTTP before it, its handshake with real keys, its frames cut anywhere; and STUN.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::sync::LazyLock;

use control_protocol::key::{NodePrivate, NodePublic};
use derp::{
    ClientInfo, NONCE_LEN, ServerInfo,
    client::{Handshake, Step},
    frame::{self, Frame},
    http, server, stun,
};
use fuzz::Input;

static RELAY: LazyLock<NodePrivate> = LazyLock::new(|| NodePrivate::from_bytes([7; 32]));
static NODE: LazyLock<NodePrivate> = LazyLock::new(|| NodePrivate::from_bytes([8; 32]));

/// Nothing is sealed to these: the fuzzer sees what the program compares, and puts it into its input.
static UNUSED_RELAY: LazyLock<NodePrivate> = LazyLock::new(|| NodePrivate::from_bytes([17; 32]));
static UNUSED_NODE: LazyLock<NodePrivate> = LazyLock::new(|| NodePrivate::from_bytes([18; 32]));

/// A head is never longer than what came.
fn heads(bytes: &[u8]) {
    if let Ok(Some((_, length))) = http::parse_request(bytes) {
        assert!(length <= bytes.len());
    }
    if let Ok(Some(length)) = http::parse_answer(bytes) {
        assert!(length <= bytes.len());
    }
}

/// However a stream is cut, the same frames come; what is written is read again.
fn frames(cuts: &[u8], bytes: &[u8]) {
    let mut whole = Vec::new();
    let mut rest = bytes;
    while let Ok(Some((frame, length))) = frame::decode(rest) {
        let mut written = Vec::new();
        frame.encode(&mut written).unwrap();
        assert_eq!(frame::decode(&written), Ok(Some((frame, written.len()))));
        whole.push(written);
        rest = &rest[length..];
    }
    for pieces in [fuzz::pieces(cuts, bytes), bytes.chunks(1).collect()] {
        let mut decoder = frame::Decoder::new();
        let mut read = Vec::new();
        for piece in pieces {
            decoder.handle_bytes(piece);
            while let Ok(Some(frame)) = decoder.poll_frame() {
                let mut written = Vec::new();
                frame.encode(&mut written).unwrap();
                read.push(written);
            }
        }
        assert_eq!(read, whole);
    }
}

/// Arbitrary bytes authenticate neither a client nor the relay.
fn strangers(bytes: &[u8]) {
    let mut client = Handshake::new(UNUSED_NODE.clone(), ClientInfo::default());
    let (mut rest, nonce) = (bytes, [0; NONCE_LEN]);
    while let Ok(Some((frame, length))) = frame::decode(rest) {
        let info = ServerInfo::default();
        let let_in = server::handle_client_info(&UNUSED_RELAY, &frame, &info, nonce);
        assert!(let_in.is_err());
        assert!(!matches!(client.handle_frame(&frame, nonce), Ok(Step::Done { .. })));
        rest = &rest[length..];
    }
}

/// Changes what is on its way; whether it is still what was sent.
fn arrives(sent: &mut Vec<u8>, input: &mut Input<'_>) -> bool {
    let before = sent.clone();
    fuzz::edit(sent, input.bytes());
    *sent == before
}

/// The first frame.
fn first(bytes: &[u8]) -> Option<Frame<'_>> {
    frame::decode(bytes).ok().flatten().map(|(frame, _)| frame)
}

/// Keys that differ in the one bit that X25519 ignores (RFC 7748, section 5) are one key.
fn same_key(one: &NodePublic, other: &NodePublic) -> bool {
    let plain = |key: &NodePublic| {
        let mut bytes = *key.as_bytes();
        bytes[31] &= 0x7f;
        bytes
    };
    plain(one) == plain(other)
}

/// A handshake that is changed on its way ends with both knowing each other, or not at all.
fn handshake(input: &mut Input<'_>) -> Option<()> {
    let nonce = [9; NONCE_LEN];
    let mut greeting = server::greeting(&RELAY.public()).unwrap();
    let same = arrives(&mut greeting, input);
    let mut client = Handshake::new(NODE.clone(), ClientInfo::default());
    let step = first(&greeting).and_then(|frame| client.handle_frame(&frame, nonce).ok());
    let Some(Step::Send(mut hello)) = step else {
        assert!(!same, "the relay's own greeting is refused");
        return None;
    };
    arrives(&mut hello, input);
    let info = ServerInfo::default();
    let let_in = server::handle_client_info(&RELAY, &first(&hello)?, &info, nonce).ok()?;
    assert!(same_key(&let_in.key, &NODE.public()), "another client was accepted");
    let mut answer = let_in.answer;
    arrives(&mut answer, input);
    if let Ok(Step::Done { server, .. }) = client.handle_frame(&first(&answer)?, nonce) {
        assert!(same_key(&server, &RELAY.public()), "another server was accepted as the relay");
    }
    Some(())
}

/// An answer to a STUN question says what was seen; changed, it may be refused, and no more.
fn stun(input: &mut Input<'_>) {
    let transaction = [3; 12];
    let source = match input.byte() & 1 {
        0 => "192.0.2.7:4242",
        _ => "[2001:db8::7]:4242",
    };
    let source = source.parse().unwrap();
    let (asked, answer) = (stun::request(transaction), stun::response(transaction, source));
    assert_eq!(stun::parse_request(&asked), Ok(transaction));
    assert_eq!(stun::parse_response(&answer), Ok((transaction, source)));
    for mut datagram in [asked, answer] {
        fuzz::edit(&mut datagram, input.rest());
        let _ = (stun::parse_request(&datagram), stun::parse_response(&datagram));
        if stun::parse_response(&datagram).is_ok() || stun::parse_request(&datagram).is_ok() {
            assert!(stun::is_stun(&datagram));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (cuts, body) = fuzz::cuts(bytes);
    heads(body);
    frames(cuts, body);
    strangers(body);
    let _ = (stun::parse_request(body), stun::parse_response(body));
    let mut input = Input::new(bytes);
    handshake(&mut input);
    stun(&mut input);
});
