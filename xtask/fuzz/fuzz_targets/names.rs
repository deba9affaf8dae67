//! DNS: questions to the agent, and what other resolvers answer it.
#![no_main]

use libfuzzer_sys::fuzz_target;

use node_agent_core::names::{Transport, Zone, failure, is_answer};

fuzz_target!(|bytes: &[u8]| {
    let mut zone = Zone::new("maru.internal");
    zone.add_node("home", ["100.64.0.1".parse().unwrap(), "fd7a:115c:a1e0::1".parse().unwrap()]);
    zone.add_record("chat", "100.64.0.1".parse().unwrap());
    drop(zone.answer(bytes, Transport::Udp));
    drop(zone.answer(bytes, Transport::Tcp));
    assert!(bytes.len() < 2 || is_answer(&failure(bytes), bytes));
    let (query, packet) = bytes.split_at(bytes.len() / 2);
    let _ = is_answer(packet, query);
});
