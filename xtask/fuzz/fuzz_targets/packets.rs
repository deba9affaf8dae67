//! IP packets and UDP datagrams of the tunnel, and invitations.
#![no_main]

use libfuzzer_sys::fuzz_target;

use node_agent_core::{filter::packet::Packet, invitation::Invitation};

fuzz_target!(|bytes: &[u8]| {
    drop(Packet::parse(bytes));
    drop(wireguard_device::wire::classify(bytes));
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(Invitation::parse(text));
    }
});
