//! Packets that a filter must not get wrong, each by its name.

use super::{
    build::{RST, cut_v4, cut_v6, tcp_bytes, udp_bytes},
    *,
};

const HERE6: &str = "fd7a:115c:a1e0::1";
const THERE6: &str = "fd7a:115c:a1e0::2";

/// All ports of this node are open to everyone, for TCP, UDP and ICMP.
fn open() -> Node {
    Node::new(&[filter_rule(&["*"], &[("*", 0, 65535)], &[])])
}

/// A header of 8 bytes before `next`.
fn extension(next: u8, third: u8) -> [u8; 8] {
    [next, 0, 1, third, 0, 0, 0, 0]
}

type Case = (&'static str, Vec<u8>, Result<(), Cause>);

/// Judges each case by itself, from a peer that could route everything that nobody else has.
fn judge_each(cases: Vec<Case>) {
    for (name, bytes, expected) in cases {
        let mut node = open();
        let owns = |address: IpAddr| address != ELSEWHERE.parse::<IpAddr>().unwrap();
        let told = node.filter.judge(&mut node.flows, PeerId(2), owns, node.now).check(&bytes);
        assert_eq!(told, expected.map(|()| bytes.len()), "{name}");
    }
}

fn syn() -> Vec<u8> {
    tcp_bytes(9, 22, SYN)
}

/// An IPv6 packet of these parts, of which the first is of kind `next`.
fn v6(next: u8, parts: &[&[u8]]) -> Vec<u8> {
    ip(THERE6, HERE6, next, &parts.concat())
}

#[test]
fn extension_headers_are_followed() {
    let syn = &syn()[..];
    let (to_syn, done, sent_on) =
        (&extension(6, 4)[..], &extension(6, 0)[..], &extension(6, 1)[..]);
    let more = extension(60, 4);
    let (malformed, no_rule) = (Err(Cause::Malformed), Err(Cause::NoRule));
    let again = cut_v6(44, 1, 0, false, &cut_v6(6, 1, 0, false, syn));
    judge_each(vec![
        ("hop-by-hop options", v6(0, &[to_syn, syn]), Ok(())),
        ("a routing header that is done", v6(43, &[done, syn]), Ok(())),
        ("a packet to be sent on", v6(43, &[sent_on, syn]), Err(Cause::SourceRouted)),
        ("hop-by-hop in the middle", v6(60, &[&extension(0, 4), to_syn, syn]), malformed),
        ("seven headers", v6(60, &[&more.repeat(6), to_syn, syn]), Ok(())),
        ("eight headers", v6(60, &[&more.repeat(7), to_syn, syn]), malformed),
        ("one cut short", v6(60, &[&[6, 9, 1, 4, 0, 0, 0, 0], syn]), malformed),
        ("two fragment headers", v6(44, &[&again]), malformed),
        ("a whole packet as a fragment", v6(44, &[&cut_v6(6, 1, 0, false, syn)]), Ok(())),
        ("authenticated (AH)", v6(51, &[&[0; 24], syn]), no_rule),
        ("encrypted (ESP)", v6(50, &[&[0; 24]]), no_rule),
        ("no next header", v6(59, &[]), no_rule),
        ("ICMP of IPv4", v6(1, &[&[8, 0, 0, 0, 0, 7, 0, 1]]), malformed),
    ]);
}

#[test]
fn headers_of_ipv4_are_read() {
    let malformed = Err(Cause::Malformed);
    let options = |bytes: [u8; 4]| {
        let mut packet = ip(THERE, HERE, 6, &[&bytes[..], &syn()].concat());
        packet[0] = 0x46;
        packet
    };
    judge_each(vec![
        ("a SYN", tcp(THERE, 9, HERE, 22, SYN), Ok(())),
        ("options", options([1, 1, 1, 0]), Ok(())),
        ("a loose source route", options([131, 3, 4, 0]), Err(Cause::SourceRouted)),
        ("a strict source route", options([1, 137, 3, 4]), Err(Cause::SourceRouted)),
        ("an option longer than the header", options([7, 9, 0, 0]), malformed),
        ("an option of no length", options([7, 0, 0, 0]), malformed),
        ("TCP cut short", ip(THERE, HERE, 6, &syn()[..19]), malformed),
        ("ICMPv6", ip(THERE, HERE, 58, &[128, 0, 0, 0, 0, 7, 0, 1]), malformed),
        ("nothing", vec![], malformed),
        ("version 5", vec![0x55; 60], malformed),
    ]);
}

#[test]
fn addresses_that_cannot_be_are_refused() {
    let from = |source: &str| {
        let here = if source.contains(':') { HERE6 } else { HERE };
        tcp(source, 9, here, 22, SYN)
    };
    let to = |destination: &str| {
        let there = if destination.contains(':') { THERE6 } else { THERE };
        tcp(there, 9, destination, 22, SYN)
    };
    let (martian, spoofed) = (Err(Cause::Martian), Err(Cause::Spoofed));
    judge_each(vec![
        ("from nowhere", from("0.0.0.0"), martian),
        ("from the machine itself", from("127.0.0.1"), martian),
        ("from many", from("224.0.0.1"), martian),
        ("from everyone", from("255.255.255.255"), martian),
        ("to the machine itself", to("127.0.0.1"), martian),
        ("to everyone", to("255.255.255.255"), martian),
        ("to many", to("ff02::1"), martian),
        ("from a mapped address", from("::ffff:100.64.0.2"), martian),
        ("from ::1", from("::1"), martian),
        ("from ::", from("::"), martian),
        ("from this node", from(HERE), spoofed),
        ("from this node, IPv6", from(HERE6), spoofed),
        ("from behind this node", from("10.9.9.2"), spoofed),
        ("from another node", from(ELSEWHERE), spoofed),
        ("to another node", to(ELSEWHERE), Err(Cause::NotForUs)),
    ]);
}

#[test]
fn icmp_and_fragments_that_belong_to_nothing_are_refused() {
    let redirect = [&[5, 1, 0, 0, 0, 0, 0, 0][..], &tcp(HERE, 22, THERE, 9, ACK)].concat();
    let unsent = tcp(HERE, 1, THERE, 2, ACK);
    let part = |protocol, payload: &[u8], offset, more| {
        cut_v4(ip(THERE, HERE, protocol, payload), 1, offset, more)
    };
    let hidden = cut_v6(60, 1, 0, true, &extension(60, 4));
    let fragment = Err(Cause::Fragment);
    judge_each(vec![
        ("a redirect", ip(THERE, HERE, 1, &redirect), Err(Cause::LinkOnly)),
        ("a router", v6(58, &[&[134, 0, 0, 0, 0, 0, 0, 0]]), Err(Cause::LinkOnly)),
        ("an error about nothing sent", error(THERE, HERE, &unsent), Err(Cause::NoFlow)),
        ("an error that quotes nothing", error(THERE, HERE, &[]), Err(Cause::Malformed)),
        ("a later fragment", part(17, &[0; 8], 80, false), fragment),
        ("one that could overwrite ports", part(17, &[0; 8], 8, false), fragment),
        ("a first one without ports", part(6, &syn()[..16], 0, true), fragment),
        ("one past the longest packet", part(17, &[0; 32], 65_528, false), fragment),
        ("one of an odd length", part(17, &[0; 9], 0, true), fragment),
        ("a first one that ends too early", v6(44, &[&hidden]), fragment),
    ]);
}

#[test]
fn an_error_enters_if_its_packet_was_this_nodes_to_that_peer() {
    let mut node = Node::new(&[]);
    for sent in [
        tcp(HERE, 40_000, THERE, 22, SYN),
        udp(HERE, 5000, THERE, 53),
        sctp(HERE, 1, THERE, 2),
        echo(HERE, THERE, true, 7),
        tcp(HERE6, 40_000, THERE6, 22, SYN),
        echo(HERE6, THERE6, true, 7),
    ] {
        let v6 = sent[0] == 0x60;
        let (here, there) = if v6 { (HERE6, THERE6) } else { (HERE, THERE) };
        let quoted = &sent[..if v6 { 48 } else { 28 }];
        assert_eq!(node.check(&error(there, here, quoted)), Err(Cause::NoFlow), "nothing was sent");
        node.send(&sent);
        assert!(
            node.passes(&error(there, here, quoted)),
            "8 bytes of the transport header are enough"
        );
        assert!(node.passes(&error(there, here, &sent)));
        if !v6 {
            assert_eq!(
                node.check(&error(ELSEWHERE, HERE, &sent)),
                Err(Cause::NoFlow),
                "another peer's"
            );
            assert_eq!(
                node.check(&error(THERE, "10.0.0.1", &sent)),
                Err(Cause::NoFlow),
                "to another"
            );
            let fragment = cut_v4(sent.clone(), 1, 80, false);
            assert_eq!(node.check(&error(THERE, HERE, &fragment)), Err(Cause::NoFlow), "no ports");
            let quoted = [&sent[..28], &[0; 4]].concat();
            let part = cut_v4(error(THERE, HERE, &quoted), 1, 0, true);
            assert_eq!(node.check(&part), Err(Cause::Fragment), "an error in parts");
        }
    }
    assert_eq!(
        node.check(&error(THERE, HERE, &tcp(HERE, 40_001, THERE, 22, SYN))),
        Err(Cause::NoFlow)
    );
}

#[test]
fn an_error_of_a_router_behind_the_peer_enters() {
    let mut node = Node::new(&[]);
    let sent = udp(HERE, 5000, "192.168.7.9", 53);
    let peer = PeerId(9);
    node.flows.sending(node.now).note(&sent, peer);
    let owns = |address: IpAddr| address.to_string().starts_with("192.168.7.");
    let mut judge = node.filter.judge(&mut node.flows, peer, owns, node.now);
    assert!(judge.check(&error("192.168.7.1", HERE, &sent)).is_ok());
    assert_eq!(judge.check(&error("192.168.8.1", HERE, &sent)), Err(Cause::Spoofed));
}

#[test]
fn errors_about_answers_enter_as_long_as_the_rule_stands() {
    let mut node = Node::new(&[filter_rule(&[THERE], &[(HERE, 22, 22)], &[6])]);
    assert!(node.passes(&tcp(THERE, 9, HERE, 22, SYN)));
    let complaint = error(THERE, HERE, &tcp(HERE, 22, THERE, 9, ACK));
    assert!(node.passes(&complaint), "although the rule is not for ICMP");
    node.set_rules(&[]);
    assert_eq!(node.check(&complaint), Err(Cause::NoFlow));
}

#[test]
fn later_fragments_enter_after_a_first_that_was_let_in() {
    let mut node = Node::new(&[filter_rule(&["*"], &[("*", 53, 53)], &[17])]);
    let first = |id, port| {
        cut_v4(ip(THERE, HERE, 17, &[&udp_bytes(9, port)[..], &[0; 80]].concat()), id, 0, true)
    };
    let later = |id| cut_v4(ip(THERE, HERE, 17, &[0; 8]), id, 88, false);
    assert_eq!(node.check(&later(1)), Err(Cause::Fragment), "before its first");
    assert!(node.passes(&first(1, 53)));
    assert!(node.passes(&later(1)));
    assert_eq!(node.check(&later(2)), Err(Cause::Fragment), "of another packet");
    assert_eq!(
        node.check(&cut_v4(ip(THERE, HERE, 6, &[0; 8]), 1, 88, false)),
        Err(Cause::Fragment)
    );
    assert_eq!(
        node.check(&cut_v4(ip(ELSEWHERE, HERE, 17, &[0; 8]), 1, 88, false)),
        Err(Cause::Fragment)
    );
    assert_eq!(node.check(&first(2, 54)), Err(Cause::NoRule));
    assert_eq!(node.check(&later(2)), Err(Cause::Fragment), "its first was refused");
    node.now += FRAGMENT_LIFE + Duration::from_secs(1);
    assert_eq!(node.check(&later(1)), Err(Cause::Fragment), "too late");

    let first = cut_v6(60, 5, 0, true, &[&extension(17, 4)[..], &udp_bytes(9, 53)].concat());
    let later = |id| ip(THERE6, HERE6, 44, &cut_v6(60, id, 88, false, &[0; 8]));
    assert_eq!(node.check(&later(5)), Err(Cause::Fragment));
    assert!(node.passes(&ip(THERE6, HERE6, 44, &first)));
    assert!(node.passes(&later(5)));
    assert_eq!(node.check(&later(0x1_0005)), Err(Cause::Fragment), "ids have 32 bits");
    // Ports behind byte 80, where a later fragment could overwrite them.
    let first = [&[17, 8][..], &[0; 70], &udp_bytes(9, 53)].concat();
    let first = ip(THERE6, HERE6, 44, &cut_v6(60, 6, 0, true, &first));
    assert_eq!(node.check(&first), Err(Cause::Fragment));
}

#[test]
fn later_fragments_of_answers_enter() {
    let mut node = Node::new(&[]);
    node.send(&udp(HERE, 5000, THERE, 53));
    let body = [&udp_bytes(53, 5000)[..], &[0; 80]].concat();
    assert!(node.passes(&cut_v4(ip(THERE, HERE, 17, &body), 7, 0, true)));
    assert!(node.passes(&cut_v4(ip(THERE, HERE, 17, &[0; 8]), 7, 88, false)));
}

#[test]
fn a_peer_that_fragments_without_end_loses_fragments_of_its_own() {
    let mut node = open();
    let first = |source, id| cut_v4(ip(source, HERE, 17, &udp_bytes(9, 53)), id, 0, true);
    let later = |source, id| cut_v4(ip(source, HERE, 17, &[0; 8]), id, 88, false);
    assert!(node.passes(&first(ELSEWHERE, 1)));
    for id in 0..10_000 {
        assert!(node.passes(&first(THERE, id)));
    }
    assert!(node.passes(&later(ELSEWHERE, 1)));
    assert!(!node.passes(&later(THERE, 1)));
    assert!(node.passes(&later(THERE, 9_999)));
}

#[test]
fn a_closed_connection_is_the_first_to_be_forgotten() {
    let mut node = open();
    for port in [1, 2] {
        assert!(node.passes(&tcp(THERE, port, HERE, 22, SYN)));
    }
    assert!(node.passes(&tcp(THERE, 2, HERE, 22, RST)));
    for port in 3..=u16::try_from(MAX_FLOWS_OF_PEER + 1).unwrap() {
        assert!(node.passes(&tcp(THERE, port, HERE, 22, SYN)));
    }
    // What is still known can be complained of.
    let is_known =
        |node: &mut Node, port| node.passes(&error(THERE, HERE, &tcp(HERE, 22, THERE, port, ACK)));
    assert!(is_known(&mut node, 1));
    assert!(!is_known(&mut node, 2));
    node.send(&tcp(HERE, 40_000, THERE, 22, SYN));
    assert!(node.passes(&tcp(THERE, 22, HERE, 40_000, ACK | FIN)));
    assert!(node.passes(&tcp(THERE, 22, HERE, 40_000, ACK)), "it is not forgotten at once");
}

#[test]
fn a_run_is_told_by_the_whole_of_its_addresses_and_ports() {
    for (source, here) in [(THERE, HERE), (THERE6, HERE6)] {
        let mut node = Node::new(&[filter_rule(&[source], &[(here, 22, 22)], &[6, 17])]);
        let (filter, flows, now) = (&node.filter, &mut node.flows, node.now);
        let mut judge = filter.judge(flows, PeerId(2), |address| owner(address) == PeerId(2), now);
        let good = tcp(source, 9, here, 22, ACK);
        for at in 0..good.len() {
            for bit in 0..8 {
                assert_eq!(judge.check(&good), Ok(good.len()));
                let mut other = good.clone();
                other[at] ^= 1 << bit;
                let cached = judge.check(&other);
                assert_eq!(cached, node_like(source, here, &other), "byte {at} bit {bit}");
            }
        }
    }
}

/// The verdict of a node that judged the good packet and nothing else before.
fn node_like(source: &str, here: &str, bytes: &[u8]) -> Result<usize, Cause> {
    let mut node = Node::new(&[filter_rule(&[source], &[(here, 22, 22)], &[6, 17])]);
    assert!(node.passes(&tcp(source, 9, here, 22, ACK)));
    node.check_from(PeerId(2), bytes)
}
