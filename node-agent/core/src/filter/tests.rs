#![allow(clippy::disallowed_methods, reason = "where the simulated clock starts does not matter")]

use std::time::Duration;

use control_protocol::map::{NetPortRange, PortRange};
use proptest::prelude::*;

use super::*;
use packet::{Malformed, protocol};

const HERE: &str = "100.64.0.1";
const THERE: &str = "100.64.0.2";

fn filter_rule(sources: &[&str], to: &[(&str, u16, u16)], protocols: &[i64]) -> FilterRule {
    let port = |(ip, first, last): &(&str, u16, u16)| NetPortRange {
        ip: (*ip).to_owned(),
        bits: None,
        ports: PortRange { first: *first, last: *last },
    };
    FilterRule {
        src_ips: sources.iter().map(|text| (*text).to_owned()).collect(),
        dst_ports: to.iter().map(port).collect(),
        ip_proto: protocols.to_vec(),
        ..FilterRule::default()
    }
}

fn local() -> Vec<IpNet> {
    ["100.64.0.1/32", "fd7a:115c:a1e0::1/128", "10.0.0.0/8"]
        .map(|net| net.parse().unwrap())
        .to_vec()
}

fn tcp(source: &str, source_port: u16, destination: &str, port: u16, opens: bool) -> Packet {
    let transport = Transport::Tcp { source: source_port, destination: port, opens };
    packet_of(source, destination, protocol::TCP, transport)
}

fn udp(source: &str, source_port: u16, destination: &str, port: u16) -> Packet {
    let transport = Transport::Datagram { source: source_port, destination: port };
    packet_of(source, destination, protocol::UDP, transport)
}

fn packet_of(source: &str, destination: &str, protocol: u8, transport: Transport) -> Packet {
    let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
    Packet { source, destination, protocol, transport, len: 60 }
}

#[test]
fn nothing_enters_without_a_rule() {
    let now = Instant::now();
    let mut flows = Flows::default();
    for filter in [PacketFilter::default(), PacketFilter::compile(&[], &local())] {
        for packet in
            [tcp(THERE, 1, HERE, 22, true), tcp(THERE, 1, HERE, 22, false), udp(THERE, 1, HERE, 53)]
        {
            assert!(!filter.check_inbound(&packet, &mut flows, now).passes());
        }
    }
    assert!(flows.is_empty(), "what is refused costs no memory");
}

#[test]
fn answers_enter_until_the_flow_is_quiet() {
    let start = Instant::now();
    let filter = PacketFilter::compile(&[], &local());
    let mut flows = Flows::default();
    flows.handle_outbound(&udp(HERE, 5000, THERE, 53), start);
    flows.handle_outbound(&tcp(HERE, 5000, THERE, 80, true), start);
    let mut check = |packet, now| filter.check_inbound(&packet, &mut flows, now);

    assert_eq!(check(udp(THERE, 53, HERE, 5000), start), Verdict::Answer);
    assert_eq!(check(tcp(THERE, 80, HERE, 5000, false), start), Verdict::Answer);
    assert_eq!(check(tcp(THERE, 80, HERE, 5000, true), start), Verdict::Denied, "opens another");
    assert_eq!(check(udp(THERE, 54, HERE, 5000), start), Verdict::Denied);
    assert_eq!(check(udp(THERE, 53, HERE, 5001), start), Verdict::Denied);
    assert_eq!(check(udp("100.64.0.3", 53, HERE, 5000), start), Verdict::Denied);
    let later = start + UDP_IDLE;
    assert_eq!(check(udp(THERE, 53, HERE, 5000), later), Verdict::Answer);
    assert_eq!(check(udp(THERE, 53, HERE, 5000), later + UDP_IDLE * 2), Verdict::Denied);
    assert_eq!(check(tcp(THERE, 80, HERE, 5000, false), later), Verdict::Answer);
}

#[test]
fn answering_a_peer_does_not_keep_open_what_a_rule_closes() {
    let now = Instant::now();
    let open = PacketFilter::compile(&[filter_rule(&[THERE], &[(HERE, 22, 22)], &[])], &local());
    let closed = PacketFilter::compile(&[], &local());
    let mut flows = Flows::default();
    for packet in [tcp(THERE, 9, HERE, 22, true), udp(THERE, 9, HERE, 22)] {
        assert_eq!(open.check_inbound(&packet, &mut flows, now), Verdict::Allowed);
    }
    let later = now + Duration::from_secs(1);
    flows.handle_outbound(&tcp(HERE, 22, THERE, 9, false), later);
    flows.handle_outbound(&udp(HERE, 22, THERE, 9), later);
    for packet in [tcp(THERE, 9, HERE, 22, false), udp(THERE, 9, HERE, 22)] {
        assert_eq!(closed.check_inbound(&packet, &mut flows, later), Verdict::Denied);
    }
}

#[test]
fn the_table_of_flows_is_bounded_and_forgets_the_dead_first() {
    let start = Instant::now();
    let mut flows = Flows::default();
    let number = |n: usize| {
        udp(HERE, u16::try_from(n / 256).unwrap(), THERE, u16::try_from(n % 256).unwrap())
    };
    for n in 0..MAX_FLOWS {
        flows.handle_outbound(&number(n), start);
    }
    for n in MAX_FLOWS..MAX_FLOWS + 10 {
        flows.handle_outbound(&number(n), start);
        assert_eq!(flows.len(), MAX_FLOWS);
    }
    flows.handle_outbound(&number(MAX_FLOWS + 10), start + UDP_IDLE * 2);
    assert_eq!(flows.len(), 1);
}

#[test]
fn icmp_answers_enter_and_questions_need_a_rule() {
    let now = Instant::now();
    let mut flows = Flows::default();
    let icmp = |answer| packet_of(THERE, HERE, protocol::ICMP, Transport::Icmp { answer });
    let closed = PacketFilter::compile(&[], &local());
    assert_eq!(closed.check_inbound(&icmp(true), &mut flows, now), Verdict::Answer);
    assert_eq!(closed.check_inbound(&icmp(false), &mut flows, now), Verdict::Denied);
    let open = PacketFilter::compile(&[filter_rule(&["*"], &[("*", 80, 80)], &[])], &local());
    assert_eq!(open.check_inbound(&icmp(false), &mut flows, now), Verdict::Allowed);
    let tcp_only = PacketFilter::compile(&[filter_rule(&["*"], &[("*", 80, 80)], &[6])], &local());
    assert_eq!(tcp_only.check_inbound(&icmp(false), &mut flows, now), Verdict::Denied);
}

#[test]
fn other_protocols_need_a_rule_that_names_them_with_all_ports() {
    let now = Instant::now();
    let mut flows = Flows::default();
    let gre = packet_of(THERE, HERE, 47, Transport::Other);
    for (rule, passes) in [
        (filter_rule(&["*"], &[("*", 0, 65535)], &[]), false),
        (filter_rule(&["*"], &[("*", 80, 80)], &[47]), false),
        (filter_rule(&["*"], &[("*", 0, 65535)], &[47]), true),
    ] {
        let filter = PacketFilter::compile(&[rule], &local());
        assert_eq!(filter.check_inbound(&gre, &mut flows, now).passes(), passes);
    }
}

#[test]
fn what_is_for_others_never_enters() {
    let filter = PacketFilter::compile(&[filter_rule(&["*"], &[("*", 0, 65535)], &[])], &local());
    let now = Instant::now();
    let mut flows = Flows::default();
    let elsewhere = tcp(THERE, 1, "100.64.0.9", 22, true);
    assert_eq!(filter.check_inbound(&elsewhere, &mut flows, now), Verdict::NotForUs);
    let routed = tcp(THERE, 1, "10.1.2.3", 22, true);
    assert_eq!(filter.check_inbound(&routed, &mut flows, now), Verdict::Allowed);
}

#[test]
fn what_cannot_be_read_opens_nothing() {
    let mut of_2020 = filter_rule(&["*"], &[("*", 0, 65535)], &[]);
    of_2020.src_bits = vec![8];
    for rule in [
        of_2020,
        filter_rule(
            &["cap:example.com/cap", "everyone", "1.2.3", "", "1.2.3.4/33"],
            &[("*", 0, 65535)],
            &[],
        ),
        filter_rule(&["*"], &[("nowhere", 0, 65535)], &[]),
        filter_rule(&["*"], &[("*", 9, 1)], &[]),
        filter_rule(&["*"], &[("*", 0, 65535)], &[-1, 256, 1000]),
        filter_rule(&["*"], &[], &[]),
    ] {
        let filter = PacketFilter::compile(std::slice::from_ref(&rule), &local());
        assert!(
            !filter.allows_port(THERE.parse().unwrap(), HERE.parse().unwrap(), 6, 80),
            "{rule:?}"
        );
    }
}

#[test]
fn headers_are_read_from_real_packets() {
    // An IPv4 SYN with options in the IP header, and padding behind.
    let mut bytes =
        vec![0x46, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0, 0, 100, 64, 0, 2, 100, 64, 0, 1, 1, 1, 1, 1];
    bytes.extend([
        0x12, 0x34, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]);
    let mut expected = tcp(THERE, 0x1234, HERE, 80, true);
    expected.len = 44;
    assert_eq!(Packet::parse(&bytes), Ok(expected));
    assert_eq!(packet::destination(&bytes), Some(HERE.parse().unwrap()));
    bytes[24 + 13] = 0x12;
    expected.transport = Transport::Tcp { source: 0x1234, destination: 80, opens: false };
    assert_eq!(Packet::parse(&bytes), Ok(expected), "SYN with ACK answers");

    // A first fragment without room for ports, a later one that could overwrite them, one that cannot.
    bytes[6] = 0x20;
    bytes[3] = 28;
    assert_eq!(Packet::parse(&bytes), Err(Malformed::Fragment));
    bytes[6..8].copy_from_slice(&[0, 9]);
    assert_eq!(Packet::parse(&bytes), Err(Malformed::Fragment));
    bytes[6..8].copy_from_slice(&[0, 10]);
    assert_eq!(Packet::parse(&bytes).unwrap().transport, Transport::LaterFragment);

    // IPv6 with a fragment header, first and later.
    let mut bytes = vec![0x60, 0, 0, 0, 0, 16, 44, 64];
    bytes.extend([0xfd; 16].iter().chain(&[0xfc; 16]));
    bytes.extend([17, 0, 0, 1, 0, 0, 0, 0, 0, 53, 0x10, 0, 0, 8, 0, 0]);
    let parsed = Packet::parse(&bytes).unwrap();
    assert_eq!(parsed.transport, Transport::Datagram { source: 53, destination: 0x1000 });
    bytes[43] = 0x51;
    assert_eq!(Packet::parse(&bytes).unwrap().transport, Transport::LaterFragment);
    assert_eq!(packet::destination(&bytes), Some(parsed.destination));
}

proptest! {
    /// Any bytes are parsed or refused; what is parsed lies within them.
    #[test]
    fn any_bytes_are_judged(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        version in prop_oneof![Just(0x45_u8), Just(0x60), any::<u8>()],
        protocol in prop_oneof![Just(6_u8), Just(17), Just(1), Just(44), Just(58), any::<u8>()],
        fits: bool,
    ) {
        let len = bytes.len();
        if let Some(first) = bytes.first_mut() {
            *first = version;
        }
        if fits && len >= 40 {
            if version >> 4 == 4 {
                bytes[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
                bytes[9] = protocol;
            } else {
                bytes[4..6].copy_from_slice(&u16::try_from(len - 40).unwrap().to_be_bytes());
                bytes[6] = protocol;
            }
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            prop_assert!(packet.len <= len);
            prop_assert_eq!(packet::destination(&bytes), Some(packet.destination));
            let filter = PacketFilter::compile(&[], &local());
            let passes = filter.check_inbound(&packet, &mut Flows::default(), Instant::now()).passes();
            let harmless = matches!(packet.transport, Transport::Icmp { answer: true } | Transport::LaterFragment);
            prop_assert!(!passes || harmless);
        }
    }

    /// The compiled filter decides as the rules read one by one do.
    #[test]
    fn decides_as_a_plain_reading_of_the_rules(
        rules in prop::collection::vec(arbitrary_rule(), 0..6),
        source in 0..6_u8,
        destination in prop_oneof![Just("100.64.0.1"), Just("10.0.0.3"), Just("100.64.0.7")],
        port in 0..6_u16,
        number in prop_oneof![Just(6_u8), Just(17), Just(132), Just(1), Just(47)],
        opens: bool,
    ) {
        let source_text = format!("100.64.0.{source}");
        let transport = match number {
            6 => Transport::Tcp { source: 9, destination: port, opens },
            17 | 132 => Transport::Datagram { source: 9, destination: port },
            1 => Transport::Icmp { answer: false },
            _ => Transport::Other,
        };
        let packet = packet_of(&source_text, destination, number, transport);
        let compiled: Vec<FilterRule> = rules.iter().map(Plain::to_wire).collect();
        let filter = PacketFilter::compile(&compiled, &local());
        let passes = filter.check_inbound(&packet, &mut Flows::default(), Instant::now()).passes();
        let expected = destination != "100.64.0.7"
            && rules.iter().any(|rule| rule.allows(source, destination, number, port));
        prop_assert_eq!(passes, expected);
    }
}

/// A rule that can be read without a parser.
#[derive(Clone, Debug)]
struct Plain {
    /// Sources are 100.64.0.`first` to `last`.
    first: u8,
    last: u8,
    written: u8,
    destination: &'static str,
    ports: (u16, u16),
    protocols: Vec<u8>,
}

fn arbitrary_rule() -> impl Strategy<Value = Plain> {
    let destination =
        prop_oneof![Just("*"), Just("100.64.0.1"), Just("10.0.0.0/29"), Just("10.0.0.2-10.0.0.4")];
    let ports = prop_oneof![(0..6_u16, 0..6_u16), Just((0, u16::MAX))];
    let protocols = prop::collection::vec(
        prop_oneof![Just(6_u8), Just(17), Just(1), Just(47), Just(132)],
        0..3,
    );
    (0..6_u8, 0..6_u8, 0..3_u8, destination, ports, protocols).prop_map(
        |(first, last, written, destination, ports, protocols)| Plain {
            first,
            last,
            written,
            destination,
            ports,
            protocols,
        },
    )
}

impl Plain {
    fn to_wire(&self) -> FilterRule {
        let range = format!("100.64.0.{}-100.64.0.{}", self.first, self.last);
        let each: Vec<String> = (self.first..=self.last).map(|n| format!("100.64.0.{n}")).collect();
        let sources = match self.written {
            0 => vec![range],
            1 => each,
            _ => each.iter().map(|ip| format!("{ip}/32")).collect(),
        };
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        let protocols: Vec<i64> = self.protocols.iter().map(|number| i64::from(*number)).collect();
        filter_rule(&sources, &[(self.destination, self.ports.0, self.ports.1)], &protocols)
    }

    fn allows(&self, source: u8, destination: &str, number: u8, port: u16) -> bool {
        let reaches = match self.destination {
            "*" => true,
            "100.64.0.1" => destination == "100.64.0.1",
            _ => destination == "10.0.0.3",
        };
        let (low, high) = self.ports;
        let port_fits = match number {
            1 => low <= high,
            47 => (low, high) == (0, u16::MAX),
            _ => low <= port && port <= high,
        };
        let protocol_fits = if self.protocols.is_empty() {
            [1, 6, 17, 58].contains(&number)
        } else {
            self.protocols.contains(&number)
        };
        self.first <= source && source <= self.last && reaches && port_fits && protocol_fits
    }
}
