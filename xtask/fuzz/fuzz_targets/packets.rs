//! IP packets of the tunnel and what the filter lets in, and UDP datagrams.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::{net::IpAddr, time::Instant};

use control_protocol::map::{FilterRule, NetPortRange, PortRange};
use ipnet::IpNet;
use node_agent_core::{
    filter::{
        Flows, PacketFilter, PeerId,
        packet::{self, Packet, QuotedPacket, Transport},
    },
    tsmp,
};

const PEER: PeerId = PeerId(7);

/// One node may reach one port by TCP.
fn rule() -> FilterRule {
    let port = PortRange { first: 80, last: 80 };
    let to = NetPortRange { ip: "100.64.0.1".to_owned(), bits: None, ports: port };
    FilterRule {
        src_ips: vec!["100.64.0.7".to_owned()],
        dst_ports: vec![to],
        ip_proto: vec![6],
        ..FilterRule::default()
    }
}

/// An ICMP error about `bytes` from the peer that they were sent to.
fn complaint(bytes: &[u8]) -> Vec<u8> {
    let quoted = &bytes[..bytes.len().min(1200)];
    let len = u16::try_from(28 + quoted.len()).unwrap().to_be_bytes();
    let head = [0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, 1, 0, 0, 100, 64, 0, 7, 100, 64, 0, 1];
    [&head[..], &[3, 3, 0, 0, 0, 0, 0, 0], quoted].concat()
}

/// Whatever the peer sends, only that one port is reached, and what answers this node.
fn filter(bytes: &[u8], packet: &Packet, local: &[IpNet]) {
    let (mut flows, now) = (Flows::new(Instant::now()), Instant::now());
    let none = PacketFilter::compile(&[], local);
    let anyone = |_: IpAddr| true;
    assert!(none.judge(&mut flows, PEER, anyone, now).check(bytes).is_err(), "no rule, no flow");
    assert!(none.judge(&mut flows, PEER, anyone, now).check(&complaint(bytes)).is_err());
    assert!(flows.is_empty());
    let open = PacketFilter::compile(&[rule()], local);
    let mut judge = open.judge(&mut flows, PEER, anyone, now);
    let verdict = judge.check(bytes);
    assert_eq!(judge.check(bytes), verdict, "a run is judged as its first packet");
    if verdict.is_ok() {
        assert_eq!(packet.source.to_string(), "100.64.0.7");
        assert_eq!(packet.destination.to_string(), "100.64.0.1");
        assert!(matches!(packet.transport, Transport::Tcp { destination: 80, .. }));
        assert_eq!(packet.protocol, packet::protocol::TCP);
    }
    // What this node sent may be answered and complained of.
    flows.sending(now).note(bytes, PEER);
    let mut judge = none.judge(&mut flows, PEER, anyone, now);
    let _ = judge.check(bytes);
    let _ = judge.check(&complaint(bytes));
}

fuzz_target!(|bytes: &[u8]| {
    let local = ["100.64.0.1/32".parse().unwrap(), "fd7a:115c:a1e0::1/128".parse().unwrap()];
    if let Ok(packet) = Packet::parse(bytes) {
        assert!(packet.len <= bytes.len());
        assert_eq!(packet::destination(bytes), Some(packet.destination));
        assert_eq!(Packet::parse(&bytes[..packet.len]), Ok(packet), "padding matters");
        // A whole packet can be quoted; where it has ports, so has the quote.
        let quoted = QuotedPacket::parse(bytes).expect("what is a packet can be quoted");
        assert_eq!((quoted.source, quoted.destination), (packet.source, packet.destination));
        if let Transport::Tcp { source, destination, .. }
        | Transport::Datagram { source, destination } = packet.transport
        {
            assert_eq!(quoted.ports, Some((source, destination)));
        }
        filter(bytes, &packet, &local);
        if let Some(message) = tsmp::Message::parse(&packet, bytes) {
            assert!(tsmp::is_tsmp(bytes));
            let written = message.packet(packet.source, packet.destination).expect("one family");
            let headers = Packet::parse(&written).expect("what is written is a packet");
            assert_eq!(tsmp::Message::parse(&headers, &written), Some(message));
        }
    }
    let _ = QuotedPacket::parse(bytes);
    let _ = wireguard_device::wire::classify(bytes);
});
