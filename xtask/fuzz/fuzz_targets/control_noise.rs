//! The Noise channel, from the upgrade to its records, on both sides; and keys as text.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::sync::LazyLock;

use control_protocol::{
    key::{MachinePrivate, MachinePublic, NodePublic},
    noise::{self, Initiator, early},
};
use control_stream::{client, server::Handshake};

static MACHINE: LazyLock<MachinePrivate> = LazyLock::new(|| MachinePrivate::generate().unwrap());

/// What the coordinator reads: nobody without a private key gets in.
fn as_coordinator(bytes: &[u8]) {
    assert!(noise::respond(&MACHINE, bytes).is_err());
    assert!(Handshake::from_header(bytes, &MACHINE).is_err());
}

/// What a client reads: nobody without the coordinator's key is taken for it.
fn as_client(bytes: &[u8]) {
    if let Ok(Some(len)) = client::parse_head(bytes) {
        assert!(len <= bytes.len());
    }
    if let Some(header) = bytes.first_chunk() {
        drop(Initiator::response_len(*header));
        drop(noise::frame_len(*header));
    }
    if let Some(header) = bytes.first_chunk() {
        drop(early::payload_len(*header));
    }
    let (initiator, init) = Initiator::new(&MACHINE, &MACHINE.public(), 130).unwrap();
    assert!(initiator.finish(bytes).is_err());
    let mut accepted = noise::respond(&MACHINE, &init).unwrap();
    assert!(accepted.transport.open(bytes).is_err());
}

fuzz_target!(|bytes: &[u8]| {
    as_coordinator(bytes);
    as_client(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(text.parse::<NodePublic>());
        drop(text.parse::<MachinePublic>());
    }
});
