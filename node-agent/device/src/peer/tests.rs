//! A peer without a device.

use boringtun::{
    noise::rate_limiter::RateLimiter,
    x25519::{PublicKey, StaticSecret},
};

use super::{link::ATTEMPTS_OVER, *};
use crate::{
    protocol::wireguard::WireGuard,
    wire::{self, Message},
};

/// The sessions of a node with a peer.
fn sessions(private: [u8; 32], key: [u8; 32], now: Instant) -> WireGuard {
    let private = StaticSecret::from(private);
    let limiter = Arc::new(RateLimiter::new(&PublicKey::from(&private), u64::MAX));
    WireGuard::new(private, key, 7, limiter, 1280, now)
}

fn peer_with(key: [u8; 32], discovery_key: [u8; 32], now: Instant) -> Peer {
    let disco = Arc::new(Disco::new([3; 32], [1; 32]));
    Peer::new(key, discovery_key, 7, Box::new(sessions([1; 32], key, now)), disco)
}

/// The peer with key `[2; 32]`.
fn peer(discovery_key: [u8; 32], now: Instant) -> Peer {
    peer_with([2; 32], discovery_key, now)
}

#[test]
fn a_session_from_before_the_peer_knew_this_nodes_key_is_replaced_once() {
    let now = Instant::now();
    let [own, key] =
        [[1; 32], [2; 32]].map(|it| PublicKey::from(&StaticSecret::from(it)).to_bytes());
    for knows in [false, true] {
        let (peer, mut other) = (peer_with(key, [4; 32], now), sessions([2; 32], own, now));
        let mut out = Outgoing::new(64, 64_000);
        // How many handshakes its ping starts.
        let pinged = |out: &mut Outgoing, transaction| {
            out.clear();
            let from = Source::Udp(SocketAddr::from(([192, 0, 2, 1], 41641)));
            peer.handle_ping(from, [transaction; 12], out, now);
            let kinds = (0..out.batch.len()).map(|at| wire::classify(out.batch.get(at)));
            kinds.filter(|kind| *kind == Message::Initiation).count()
        };
        if knows {
            assert_eq!(pinged(&mut out, 1), 0, "there is no session");
            out.clear();
        }
        peer.greet(&mut out, now);
        let (mut opened, mut replies) = (Opened::new(4, 4_000), Batch::new(4, 4_000));
        other.open(&out.batch, 0..1, &mut opened, &mut replies, now);
        peer.receive(&replies, 0..1, |_| None, &mut opened, &mut out, now);
        assert!(peer.lock().as_ref().unwrap().protocol.session_age().is_some());
        let expected = if knows { [0, 0] } else { [1, 0] };
        assert_eq!([pinged(&mut out, 2), pinged(&mut out, 3)], expected);
    }
}

#[test]
fn after_a_change_of_the_network_the_first_handshake_goes_everywhere() {
    let address = SocketAddr::from(([192, 168, 1, 2], 41641));
    for has_changed in [false, true] {
        let mut now = Instant::now();
        let peer = peer([4; 32], now);
        let mut out = Outgoing::new(64, 64_000);
        peer.greet(&mut out, now);
        if let Some(link) = peer.lock().as_mut() {
            link.path.handle_ping_sent(address, [1; 12], now);
            assert!(link.path.handle_pong(address, [1; 12], now));
        }
        now += ATTEMPTS_OVER * 2;
        out.clear();
        if has_changed {
            peer.handle_network_change(&mut out, &mut Vec::new(), now);
        } else {
            peer.greet(&mut out, now);
        }
        let is_initiation = |it: &&crate::outgoing::Dispatch| {
            wire::classify(out.batch.get(it.message)) == Message::Initiation
        };
        let to: Vec<_> = out.dispatches.iter().filter(is_initiation).map(|it| it.to).collect();
        if has_changed {
            assert_eq!(to, [Destination::Relay(peer.key), Destination::Udp(address)]);
        } else {
            assert_eq!(to, [Destination::Udp(address)]);
        }
    }
}

#[test]
fn what_comes_for_a_peer_that_is_removed_meanwhile_is_counted() {
    let now = Instant::now();
    let peer = peer([0; 32], now);
    let mut datagrams = Batch::new(3, 300);
    (0..3).for_each(|_| datagrams.push(&[4; 100], 0));
    let (mut opened, mut out) = (Opened::new(3, 300), Outgoing::new(3, 600));
    peer.close();
    assert!(!peer.receive(&datagrams, 1..3, |_| None, &mut opened, &mut out, now));
    assert_eq!(opened.unopened, 2);
}
