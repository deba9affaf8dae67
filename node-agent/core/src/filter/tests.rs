#![allow(clippy::disallowed_methods, reason = "where the simulated clock starts does not matter")]

use std::{cell::Cell, net::IpAddr, time::Duration};

use control_protocol::map::{NetPortRange, PortRange};
use proptest::prelude::*;

use super::*;
use packet::protocol;

use build::{ACK, FIN, SYN, echo, error, ip, sctp, tcp, udp};

mod build;
mod cases;
mod reference;

const HERE: &str = "100.64.0.1";
const THERE: &str = "100.64.0.2";
const ELSEWHERE: &str = "100.64.0.3";

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

/// Who has an address of the mesh: the peer of the same number has one of each family.
fn owner(address: IpAddr) -> PeerId {
    PeerId(match address {
        IpAddr::V4(address) => address.octets()[3].into(),
        IpAddr::V6(address) => address.octets()[15].into(),
    })
}

/// A node, which time passes for when a test says so.
struct Node {
    filter: PacketFilter,
    flows: Flows,
    now: Instant,
}

impl Node {
    fn new(rules: &[FilterRule]) -> Self {
        let now = Instant::now();
        Self { filter: PacketFilter::compile(rules, &local()), flows: Flows::new(now), now }
    }

    fn set_rules(&mut self, rules: &[FilterRule]) {
        self.filter = PacketFilter::compile(rules, &local());
    }

    fn send(&mut self, packet: &[u8]) {
        let peer = owner(packet::destination(packet).unwrap());
        self.flows.sending(self.now).note(packet, peer);
    }

    /// Judges a packet that the peer sent which has its source.
    fn check(&mut self, bytes: &[u8]) -> Result<usize, Cause> {
        let peer = Packet::parse(bytes).map_or(PeerId(2), |packet| owner(packet.source));
        self.check_from(peer, bytes)
    }

    fn check_from(&mut self, peer: PeerId, bytes: &[u8]) -> Result<usize, Cause> {
        let owns = |address| owner(address) == peer;
        self.filter.judge(&mut self.flows, peer, owns, self.now).check(bytes)
    }

    fn passes(&mut self, bytes: &[u8]) -> bool {
        self.check(bytes).is_ok()
    }
}

#[test]
fn nothing_enters_without_a_rule() {
    let mut node = Node::new(&[]);
    for packet in
        [tcp(THERE, 1, HERE, 22, SYN), tcp(THERE, 1, HERE, 22, ACK), udp(THERE, 1, HERE, 53)]
    {
        assert!(!node.passes(&packet));
        let (mut flows, now) = (Flows::new(node.now), node.now);
        let nobody = PacketFilter::default();
        assert!(nobody.judge(&mut flows, PeerId(2), |_| true, now).check(&packet).is_err());
    }
    assert!(node.flows.is_empty(), "what is refused costs no memory");
}

#[test]
fn a_run_of_one_flow_costs_one_look_up() {
    let rule = filter_rule(&["*"], &[("*", 0, 65535)], &[]);
    for (there, here) in [(THERE, HERE), ("fd7a:115c:a1e0::2", "fd7a:115c:a1e0::1")] {
        let stream = || tcp(there, 9, here, 22, ACK);
        let datagram = || udp(there, 9, here, 22);
        let opening = || tcp(there, 9, here, 22, SYN);
        let other = || udp(there, 10, here, 22);
        for (packets, look_ups) in [
            (vec![stream(); 64], 1),
            (vec![datagram(); 64], 1),
            ([vec![stream(); 9], vec![datagram(); 9], vec![stream(); 9]].concat(), 3),
            ([vec![datagram(); 9], vec![other(); 9]].concat(), 2),
            // What begins or ends a connection is looked at, each time.
            (vec![opening(); 9], 9),
        ] {
            let mut node = Node::new(std::slice::from_ref(&rule));
            let asked = Cell::new(0);
            let owns = |address| {
                asked.set(asked.get() + 1);
                owner(address) == PeerId(2)
            };
            let mut judge = node.filter.judge(&mut node.flows, PeerId(2), owns, node.now);
            for packet in &packets {
                assert_eq!(judge.check(packet), Ok(packet.len()));
            }
            assert_eq!(asked.get(), look_ups, "{} packets from {there}", packets.len());
        }
    }
}

#[test]
fn answers_enter_until_the_flow_is_quiet() {
    let mut node = Node::new(&[]);
    node.send(&udp(HERE, 5000, THERE, 53));
    node.send(&tcp(HERE, 5000, THERE, 80, SYN));

    assert!(node.passes(&udp(THERE, 53, HERE, 5000)));
    assert!(node.passes(&tcp(THERE, 80, HERE, 5000, ACK)));
    assert_eq!(node.check(&tcp(THERE, 80, HERE, 5000, SYN)), Err(Cause::NoRule), "opens another");
    assert_eq!(node.check(&udp(THERE, 54, HERE, 5000)), Err(Cause::NoRule));
    assert_eq!(node.check(&udp(THERE, 53, HERE, 5001)), Err(Cause::NoRule));
    assert_eq!(node.check(&udp(ELSEWHERE, 53, HERE, 5000)), Err(Cause::NoRule));
    assert_eq!(node.check(&tcp(THERE, 81, HERE, 5000, ACK)), Err(Cause::NoFlow));
    node.now += UDP_IDLE;
    assert!(node.passes(&udp(THERE, 53, HERE, 5000)));
    assert!(node.passes(&tcp(THERE, 80, HERE, 5000, ACK)));
    node.now += UDP_IDLE * 2;
    assert!(!node.passes(&udp(THERE, 53, HERE, 5000)));
}

#[test]
fn an_echo_enters_that_was_asked_for() {
    let mut node = Node::new(&[]);
    assert_eq!(node.check(&echo(THERE, HERE, false, 7)), Err(Cause::NoFlow));
    node.send(&echo(HERE, THERE, true, 7));
    assert!(node.passes(&echo(THERE, HERE, false, 7)));
    assert_eq!(node.check(&echo(THERE, HERE, false, 8)), Err(Cause::NoFlow), "another question");
    assert_eq!(node.check(&echo(ELSEWHERE, HERE, false, 7)), Err(Cause::NoFlow), "another peer");
    assert_eq!(node.check(&echo(THERE, HERE, true, 7)), Err(Cause::NoRule), "a question");
    node.set_rules(&[filter_rule(&["*"], &[("*", 80, 80)], &[])]);
    assert!(node.passes(&echo(THERE, HERE, true, 7)));
    node.set_rules(&[filter_rule(&["*"], &[("*", 80, 80)], &[6])]);
    assert_eq!(node.check(&echo(THERE, HERE, true, 7)), Err(Cause::NoRule));
}

#[test]
fn answering_a_peer_does_not_keep_open_what_a_rule_closes() {
    let mut node = Node::new(&[filter_rule(&[THERE], &[(HERE, 22, 22)], &[])]);
    assert!(node.passes(&tcp(THERE, 9, HERE, 22, SYN)));
    assert!(node.passes(&udp(THERE, 9, HERE, 22)));
    node.now += Duration::from_secs(1);
    node.send(&tcp(HERE, 22, THERE, 9, ACK));
    node.send(&udp(HERE, 22, THERE, 9));
    node.set_rules(&[]);
    assert!(!node.passes(&tcp(THERE, 9, HERE, 22, ACK)));
    assert!(!node.passes(&udp(THERE, 9, HERE, 22)));
}

#[test]
fn a_peer_that_reuses_the_ports_of_a_flow_of_this_node_does_not_take_it_over() {
    let mut node = Node::new(&[filter_rule(&[THERE], &[(HERE, 0, 65535)], &[])]);
    node.send(&tcp(HERE, 40_000, THERE, 9, SYN));
    assert!(node.passes(&tcp(THERE, 9, HERE, 40_000, SYN)));
    node.set_rules(&[]);
    assert!(!node.passes(&tcp(THERE, 9, HERE, 40_000, ACK)));
}

#[test]
fn a_connection_outlives_a_restart_and_only_that() {
    let late = |node: &mut Node, local: u16| {
        node.send(&tcp(HERE, local, THERE, 22, ACK));
        node.passes(&tcp(THERE, 22, HERE, local, ACK))
    };
    let mut node = Node::new(&[]);
    assert!(late(&mut node, STARTING_PORTS));
    assert!(!late(&mut node, STARTING_PORTS - 1), "a server's answer");
    node.now += RESTART * 2;
    assert!(late(&mut node, STARTING_PORTS), "it is remembered");
    assert!(!late(&mut node, STARTING_PORTS + 1), "TCP that no SYN opened");
}

#[test]
fn other_protocols_need_a_rule_that_names_them_with_all_ports() {
    let gre = ip(THERE, HERE, 47, &[0; 8]);
    for (rule, passes) in [
        (filter_rule(&["*"], &[("*", 0, 65535)], &[]), false),
        (filter_rule(&["*"], &[("*", 80, 80)], &[47]), false),
        (filter_rule(&["*"], &[("*", 0, 65535)], &[47]), true),
    ] {
        assert_eq!(Node::new(&[rule]).passes(&gre), passes);
    }
}

#[test]
fn what_is_for_others_never_enters() {
    let mut node = Node::new(&[filter_rule(&["*"], &[("*", 0, 65535)], &[])]);
    assert_eq!(node.check(&tcp(THERE, 1, "100.64.0.9", 22, SYN)), Err(Cause::NotForUs));
    assert!(node.passes(&tcp(THERE, 1, "10.1.2.3", 22, SYN)), "routed");
}

#[test]
fn a_router_forwards_to_its_networks_alone_and_only_what_a_rule_allows() {
    let mut node = Node::new(&[filter_rule(&["*"], &[("*", 80, 80)], &[])]);
    let to = |destination| tcp(THERE, 9, destination, 80, SYN);
    let lan = "192.168.1.7";
    assert_eq!(node.check(&to(lan)), Err(Cause::NotForUs), "not a router");

    node.filter = node.filter.forwarding(["192.168.1.0/24".parse().unwrap()].into_iter().collect());
    assert!(node.passes(&to(lan)));
    assert_eq!(node.check(&tcp(THERE, 9, lan, 81, SYN)), Err(Cause::NoRule));
    assert_eq!(node.check(&to("192.168.2.7")), Err(Cause::NotForUs));
    let spoofed = tcp(lan, 9, HERE, 80, SYN);
    assert_eq!(node.check_from(PeerId(2), &spoofed), Err(Cause::Spoofed), "cryptokey routing");

    node.filter = node.filter.forwarding(common::route::EXIT.into_iter().collect());
    assert!(node.passes(&to("203.0.113.7")));
    for other in ["100.64.0.77", "100.100.100.100", "169.254.169.254"] {
        assert_eq!(node.check(&to(other)), Err(Cause::NotForUs), "{other}");
    }
    let own = tcp(HERE, 9, "203.0.113.7", 80, SYN);
    assert_eq!(node.check_from(PeerId(2), &own), Err(Cause::Spoofed));
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

proptest! {
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
        let packet = match number {
            6 => tcp(&source_text, 9, destination, port, if opens { SYN } else { ACK }),
            17 => udp(&source_text, 9, destination, port),
            132 => sctp(&source_text, 9, destination, port),
            1 => echo(&source_text, destination, true, 7),
            _ => ip(&source_text, destination, number, &[0; 8]),
        };
        let compiled: Vec<FilterRule> = rules.iter().map(SimpleRule::to_wire).collect();
        // This node does not write to itself.
        prop_assume!(source_text != HERE);
        let passes = Node::new(&compiled).check(&packet).is_ok();
        let expected = destination != "100.64.0.7"
            && rules.iter().any(|rule| rule.allows(source, destination, number, port));
        prop_assert_eq!(passes, expected);
    }
}

/// A rule that can be read without a parser.
#[derive(Clone, Debug)]
struct SimpleRule {
    /// Sources are 100.64.0.`first` to `last`.
    first: u8,
    last: u8,
    written: u8,
    destination: &'static str,
    ports: (u16, u16),
    protocols: Vec<u8>,
}

fn arbitrary_rule() -> impl Strategy<Value = SimpleRule> {
    let destination =
        prop_oneof![Just("*"), Just("100.64.0.1"), Just("10.0.0.0/29"), Just("10.0.0.2-10.0.0.4")];
    let ports = prop_oneof![(0..6_u16, 0..6_u16), Just((0, u16::MAX))];
    let protocols = prop::collection::vec(
        prop_oneof![Just(6_u8), Just(17), Just(1), Just(47), Just(132)],
        0..3,
    );
    (0..6_u8, 0..6_u8, 0..3_u8, destination, ports, protocols).prop_map(
        |(first, last, written, destination, ports, protocols)| SimpleRule {
            first,
            last,
            written,
            destination,
            ports,
            protocols,
        },
    )
}

impl SimpleRule {
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

#[test]
fn a_router_passes_packets_to_its_wireguard_devices_and_takes_none_from_their_addresses() {
    const DEVICE: &str = "100.64.0.9";
    let rule = filter_rule(&["*"], &[(DEVICE, 80, 80)], &[]);
    let mut node = Node::new(std::slice::from_ref(&rule));
    assert!(!node.passes(&tcp(THERE, 9, DEVICE, 80, SYN)));
    node.filter = node.filter.serving(&[DEVICE.parse().unwrap()]);
    assert!(node.passes(&tcp(THERE, 9, DEVICE, 80, SYN)));
    assert!(!node.passes(&tcp(THERE, 9, DEVICE, 81, SYN)));
    let (mut flows, now) = (Flows::new(node.now), node.now);
    let mut judge = node.filter.judge(&mut flows, PeerId(2), |_| true, now);
    assert_eq!(judge.check(&tcp(DEVICE, 9, HERE, 80, SYN)), Err(Cause::Spoofed));
}

#[test]
fn an_open_filter_still_refuses_what_is_not_the_peers_or_no_packet() {
    let mut node = Node::new(&[]);
    node.filter = PacketFilter::open();
    for to in [HERE, "100.64.0.77", "192.168.9.1", "8.8.8.8"] {
        assert!(node.passes(&tcp(THERE, 9, to, 22, SYN)), "{to}");
    }
    let peer = PeerId(2);
    assert_eq!(node.check_from(peer, &tcp(HERE, 9, THERE, 22, SYN)), Err(Cause::Spoofed));
    assert_eq!(node.check_from(peer, &tcp(THERE, 9, "224.0.0.1", 22, SYN)), Err(Cause::Martian));
    assert_eq!(node.check_from(peer, &[0x45; 10]), Err(Cause::Malformed));
}
