#![allow(clippy::disallowed_methods, reason = "where the simulated clock starts does not matter")]

use control_protocol::map::{FilterRule, NetPortRange, PortRange};

use super::*;
use crate::filter::PacketFilter;

const A: PeerId = PeerId(2);
const B: PeerId = PeerId(3);

fn address(peer: PeerId) -> IpAddr {
    IpAddr::from([100, 64, 0, u8::try_from(peer.0).unwrap()])
}

fn here() -> IpAddr {
    IpAddr::from([100, 64, 0, 1])
}

fn packet(protocol: u8, from: (IpAddr, u16), to: (IpAddr, u16), opens: bool) -> Packet {
    let (source, destination) = (from.1, to.1);
    let transport = match protocol {
        protocol::TCP => Transport::Tcp { source, destination, opens, closes: false },
        _ => Transport::Datagram { source, destination },
    };
    Packet { source: from.0, destination: to.0, protocol, transport, fragment: None, len: 60 }
}

/// The `n`th packet of a peer that uses its two port numbers as a counter.
fn nth(peer: PeerId, protocol: u8, n: usize) -> Packet {
    let n = u16::try_from(n).unwrap();
    packet(protocol, (address(peer), n), (here(), 50_000), true)
}

fn is_known(flows: &Flows, packet: &Packet, now: Instant) -> bool {
    flows.origin(&Flow::inbound(packet).unwrap(), now).is_some()
}

#[test]
fn a_member_who_opens_flows_without_end_pushes_out_nobody_elses() {
    let now = Instant::now();
    for protocol in [protocol::TCP, protocol::UDP] {
        let mut flows = Flows::new(now);
        let other = nth(B, protocol, 1);
        assert_eq!(flows.admit(&other, B, now), Ok(()));
        for n in 0..MAX_FLOWS_OF_PEER / 2 {
            let n = u16::try_from(n).unwrap();
            flows.handle_outbound(&packet(protocol, (here(), n), (address(A), 7), true), A, now);
        }
        let mut refused = 0;
        for n in 0..60_000 {
            refused += usize::from(flows.admit(&nth(A, protocol, n), A, now).is_err());
        }
        assert_eq!(flows.len(), 1 + MAX_FLOWS_OF_PEER / 2 + MAX_FLOWS_OF_PEER);
        assert!(is_known(&flows, &other, now), "another member's");
        for n in 0..MAX_FLOWS_OF_PEER / 2 {
            let n = u16::try_from(n).unwrap();
            let answer = packet(protocol, (address(A), 7), (here(), n), false);
            assert!(flows.is_answer(&answer, A, now), "this node's own, also to the same member");
        }
        if protocol == protocol::TCP {
            assert_eq!(refused, 0);
            assert!(is_known(&flows, &nth(A, protocol, 59_999), now), "the last is there");
        } else {
            assert_eq!(refused, 60_000 - MAX_FLOWS_OF_PEER, "all are in use");
            assert!(is_known(&flows, &nth(A, protocol, 0), now), "the first is there");
            assert_eq!(flows.admit(&nth(A, protocol, 60_000), A, now + RECENT), Ok(()));
        }
    }
}

#[test]
fn when_many_fill_the_table_each_keeps_its_share() {
    let now = Instant::now();
    let mut flows = Flows::new(now);
    for n in 0..100 {
        assert_eq!(flows.admit(&nth(B, protocol::TCP, n), B, now), Ok(()));
    }
    for peer in 10..30 {
        for n in 0..MAX_FLOWS_OF_PEER {
            assert_eq!(
                flows.admit(&nth(PeerId(peer), protocol::TCP, n), PeerId(peer), now),
                Ok(())
            );
        }
    }
    assert_eq!(flows.len(), MAX_FLOWS);
    for n in 0..100 {
        assert!(is_known(&flows, &nth(B, protocol::TCP, n), now));
    }
    let of = |peer: u32| {
        (0..MAX_FLOWS_OF_PEER)
            .filter(|n| is_known(&flows, &nth(PeerId(peer), protocol::TCP, *n), now))
            .count()
    };
    let counts: Vec<usize> = (10..30).map(of).collect();
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 2, "{counts:?}");
}

#[test]
fn what_this_node_starts_is_bounded_and_the_longest_unused_goes() {
    let now = Instant::now();
    let mut flows = Flows::new(now);
    let ask = |n: usize| {
        let (high, low) = (u16::try_from(n / 256).unwrap(), u16::try_from(n % 256).unwrap());
        packet(protocol::UDP, (here(), high), (address(A), low), false)
    };
    for n in 0..=MAX_FLOWS {
        flows.handle_outbound(&ask(n), A, now);
    }
    assert_eq!(flows.len(), MAX_FLOWS);
    assert!(!flows.here.has(&Flow::outbound(&ask(0)).unwrap(), now));
    assert!(flows.here.has(&Flow::outbound(&ask(1)).unwrap(), now));
}

/// After a restart connections whose SYN nobody saw are taken for this node's: but none that a peer had forgotten.
#[test]
fn a_restart_opens_no_connection_that_was_forgotten_for_want_of_room() {
    let start = Instant::now();
    let closed = PacketFilter::compile(&[], &[here().into()]);
    let stream = packet(protocol::TCP, (address(A), 9), (here(), 40_000), true);
    let later = packet(protocol::TCP, (address(A), 9), (here(), 40_000), false);
    let answer = packet(protocol::TCP, (here(), 40_000), (address(A), 9), false);
    let owns = |other: IpAddr| other == address(A);
    for others in [0, MAX_FLOWS_OF_PEER] {
        let mut flows = Flows::new(start);
        let old = packet(protocol::TCP, (address(A), 8), (here(), 50_000), false);
        if others == 0 {
            let ours = packet(protocol::TCP, (here(), 50_000), (address(A), 8), false);
            flows.handle_outbound(&ours, A, start);
            assert!(flows.is_answer(&old, A, start), "a connection from before the restart");
        }
        flows.admit(&stream, A, start).unwrap();
        for n in 0..others {
            flows.admit(&nth(A, protocol::TCP, 100 + n), A, start).unwrap();
        }
        flows.handle_outbound(&answer, A, start);
        let said = closed.judge(&mut flows, A, owns, start).check_packet(&later);
        assert!(said.is_err(), "after {others} others");
    }
}

/// Neither by connections nor by datagrams, whether or not one was forgotten for another.
#[test]
fn who_fills_its_share_after_a_restart_ends_no_connection_of_another() {
    let start = Instant::now();
    let answers = |flows: &mut Flows, peer: PeerId| {
        let ours = packet(protocol::TCP, (here(), 40_000), (address(peer), 22), false);
        flows.handle_outbound(&ours, peer, start);
        let answer = packet(protocol::TCP, (address(peer), 22), (here(), 40_000), false);
        flows.is_answer(&answer, peer, start)
    };
    for protocol in [protocol::TCP, protocol::UDP] {
        let mut flows = Flows::new(start);
        for n in 0..=MAX_FLOWS_OF_PEER {
            let _ = flows.admit(&nth(A, protocol, n), A, start);
        }
        assert!(answers(&mut flows, B), "another's, from before the restart");
        assert_eq!(answers(&mut flows, A), protocol == protocol::UDP, "its own");
    }
}

#[test]
fn forgetting_a_peers_flow_does_not_open_it() {
    let start = Instant::now();
    let port = PortRange { first: 0, last: u16::MAX };
    let to = NetPortRange { ip: here().to_string(), bits: None, ports: port };
    let rule =
        FilterRule { src_ips: vec!["*".to_owned()], dst_ports: vec![to], ..FilterRule::default() };
    let open = PacketFilter::compile(&[rule], &[here().into()]);
    let closed = PacketFilter::compile(&[], &[here().into()]);
    for protocol in [protocol::TCP, protocol::UDP] {
        let mut flows = Flows::new(start - 2 * RESTART);
        let stream = packet(protocol, (address(A), 9), (here(), 40_000), true);
        let later = packet(protocol, (address(A), 9), (here(), 40_000), false);
        let answer = packet(protocol, (here(), 40_000), (address(A), 9), false);
        let owns = |other: IpAddr| other == address(A);
        open.judge(&mut flows, A, owns, start).check_packet(&stream).unwrap();
        // This node still sends now and then; in between the member does what it can to have the flow forgotten.
        for round in 0..8 {
            let now = start + RECENT / 3 * round;
            flows.handle_outbound(&answer, A, now);
            for n in 0..MAX_FLOWS_OF_PEER + 50 {
                let other = nth(A, protocol, 100 + n + 3000 * round as usize);
                let _ = open.judge(&mut flows, A, owns, now).check_packet(&other);
            }
        }
        let now = start + RECENT * 3;
        flows.handle_outbound(&answer, A, now);
        assert!(closed.judge(&mut flows, A, owns, now).check_packet(&later).is_err());
    }
}

/// A member lets a flow rest, has it forgotten, and waits for what this node says there by itself.
#[test]
fn what_is_said_on_a_forgotten_flow_does_not_open_it() {
    let start = Instant::now();
    let now = start + RECENT;
    let stream = packet(protocol::UDP, (address(A), 9), (here(), 53), true);
    let answer = packet(protocol::UDP, (here(), 53), (address(A), 9), false);
    // By more flows than its share; by others, who fill the table.
    for others in [0, 3] {
        let mut flows = Flows::new(start - 2 * RESTART);
        flows.admit(&stream, A, start).unwrap();
        let own = MAX_FLOWS_OF_PEER - usize::from(others > 0);
        for n in 0..own {
            flows.admit(&nth(A, protocol::UDP, 100 + n), A, now).unwrap();
        }
        for other in 0..others {
            for n in 0..=MAX_FLOWS_OF_PEER / 2 {
                let peer = PeerId(100 + other);
                flows.admit(&nth(peer, protocol::UDP, n), peer, now).unwrap();
            }
        }
        assert!(!is_known(&flows, &stream, now), "it is forgotten");
        flows.handle_outbound(&answer, A, now);
        assert!(!flows.is_answer(&stream, A, now), "{others} others");
        let ask = packet(protocol::UDP, (here(), 40_000), (address(B), 53), false);
        flows.handle_outbound(&ask, B, now);
        let told = packet(protocol::UDP, (address(B), 53), (here(), 40_000), false);
        assert!(flows.is_answer(&told, B, now), "others lose nothing by it");
        // By then it would have been forgotten anyway.
        let later = now + UDP_IDLE + Duration::from_secs(1);
        flows.handle_outbound(&answer, A, later);
        assert!(flows.is_answer(&stream, A, later));
    }
}

/// Connections that nobody answered are this node's too, but for a short while, and make room first.
#[test]
fn what_nobody_answers_is_soon_forgotten_and_makes_room_first() {
    let start = Instant::now();
    let mut flows = Flows::new(start);
    let connect = |n: usize| {
        let (high, low) = (u16::try_from(n / 256).unwrap(), u16::try_from(n % 256).unwrap());
        packet(protocol::TCP, (here(), high), (address(A), low), true)
    };
    let answer = |n: usize| {
        let (high, low) = (u16::try_from(n / 256).unwrap(), u16::try_from(n % 256).unwrap());
        packet(protocol::TCP, (address(A), low), (here(), high), false)
    };
    flows.handle_outbound(&connect(0), A, start);
    assert!(flows.is_answer(&answer(0), A, start));
    for n in 1..=2 * MAX_FLOWS {
        flows.handle_outbound(&connect(n), A, start);
    }
    assert_eq!(flows.len(), MAX_FLOWS);
    assert!(flows.is_answer(&answer(0), A, start), "the one that was answered");
    assert!(!flows.is_answer(&answer(1), A, start));
    let late = 2 * MAX_FLOWS;
    assert!(flows.here.has(&Flow::outbound(&connect(late)).unwrap(), start + TCP_OPENING));
    let now = start + TCP_OPENING + Duration::from_secs(1);
    assert!(!flows.is_answer(&answer(late), A, now), "too late");
    assert!(flows.is_answer(&answer(0), A, now));
    // Each new one clears two of the old.
    for n in 0..MAX_FLOWS {
        flows.handle_outbound(&connect(late + 1 + n), A, now);
        let told = flows.is_answer(&answer(late + 1 + n), A, now);
        assert!(told);
    }
    assert_eq!(flows.len(), MAX_FLOWS);
}

#[test]
fn flows_follow_a_peer_to_its_next_key() {
    let now = Instant::now();
    let mut flows = Flows::new(now);
    flows.handle_outbound(&packet(protocol::TCP, (here(), 1), (address(A), 2), true), A, now);
    let answer = packet(protocol::TCP, (address(A), 2), (here(), 1), false);
    assert!(flows.is_answer(&answer, PeerId(77), now));
    assert_eq!(flows.len(), 1);
}
