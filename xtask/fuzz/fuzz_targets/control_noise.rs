//! The Noise handshake of the coordinator, and keys as text.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::sync::LazyLock;

use control_protocol::{
    key::{MachinePrivate, MachinePublic, NodePublic},
    noise,
};

static MACHINE: LazyLock<MachinePrivate> = LazyLock::new(|| MachinePrivate::generate().unwrap());

fuzz_target!(|bytes: &[u8]| {
    drop(noise::respond(&MACHINE, bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(text.parse::<NodePublic>());
        drop(text.parse::<MachinePublic>());
    }
});
