//! IP packets of the tunnel and what the filter lets in, and UDP datagrams.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::time::Instant;

use control_protocol::map::{FilterRule, NetPortRange, PortRange};
use node_agent_core::filter::{
    Flows, PacketFilter, Verdict,
    packet::{self, Packet, Transport},
};

/// One node may reach one port by TCP: nothing else is let in as a beginning.
fn filter(packet: &Packet) {
    let port = PortRange { first: 80, last: 80 };
    let to = NetPortRange { ip: "100.64.0.1".to_owned(), bits: None, ports: port };
    let rule = FilterRule {
        src_ips: vec!["100.64.0.7".to_owned()],
        dst_ports: vec![to],
        ip_proto: vec![6],
        ..FilterRule::default()
    };
    let local = ["100.64.0.1/32".parse().unwrap(), "fd7a:115c:a1e0::1/128".parse().unwrap()];
    let (mut flows, now) = (Flows::default(), Instant::now());
    let none = PacketFilter::compile(&[], &local);
    let verdict = none.check_inbound(packet, &mut flows, now);
    assert_ne!(verdict, Verdict::Allowed, "no rule lets in what comes");
    assert!(flows.is_empty());
    let verdict = PacketFilter::compile(&[rule], &local).check_inbound(packet, &mut flows, now);
    if verdict == Verdict::Allowed {
        assert_eq!(packet.source.to_string(), "100.64.0.7");
        assert_eq!(packet.destination.to_string(), "100.64.0.1");
        assert!(matches!(packet.transport, Transport::Tcp { destination: 80, .. }));
        assert_eq!(packet.protocol, packet::protocol::TCP);
    }
    // What this node sent may be answered, and by nobody else.
    flows.handle_outbound(packet, now);
    let _ = none.check_inbound(packet, &mut flows, now);
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = Packet::parse(bytes) {
        assert!(packet.len <= bytes.len());
        assert_eq!(packet::destination(bytes), Some(packet.destination));
        assert_eq!(Packet::parse(&bytes[..packet.len]), Ok(packet), "padding matters");
        filter(&packet);
    }
    let _ = wireguard_device::wire::classify(bytes);
});
