//! IP packets and UDP datagrams of the tunnel.
#![no_main]

use libfuzzer_sys::fuzz_target;

use node_agent_core::filter::packet::Packet;

fuzz_target!(|bytes: &[u8]| {
    drop(Packet::parse(bytes));
    drop(wireguard_device::wire::classify(bytes));
});
