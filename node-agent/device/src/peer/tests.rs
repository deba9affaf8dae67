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

/// The peer with key `[2; 32]`.
fn peer(discovery_key: [u8; 32], now: Instant) -> Peer {
    let private = StaticSecret::from([1; 32]);
    let limiter = Arc::new(RateLimiter::new(&PublicKey::from(&private), u64::MAX));
    let sessions = WireGuard::new(private, [2; 32], 7, limiter, 1280, now);
    let disco = Arc::new(Disco::new([3; 32], [1; 32]));
    Peer::new([2; 32], discovery_key, 7, Box::new(sessions), disco)
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
