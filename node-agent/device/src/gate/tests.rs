use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn gate() -> Gate {
    Gate::new(StaticSecret::from([1; 32]))
}

/// A peer of [`gate`].
fn peer(secret: u8) -> (Tunn, [u8; 32]) {
    let (ours, secret) = (StaticSecret::from([1; 32]), StaticSecret::from([secret; 32]));
    let key = PublicKey::from(&secret).to_bytes();
    let limiter = Arc::new(RateLimiter::new(&PublicKey::from(&secret), u64::MAX));
    (Tunn::new(secret, PublicKey::from(&ours), None, None, 5, Some(limiter)), key)
}

fn initiation(peer: &mut Tunn) -> Vec<u8> {
    let mut buffer = [0; INITIATION_LEN];
    assert!(matches!(
        peer.format_handshake_initiation(&mut buffer, true),
        TunnResult::WriteToNetwork(_)
    ));
    buffer.to_vec()
}

fn at(port: u16) -> Sender<'static> {
    Sender::Udp(SocketAddr::from(([192, 0, 2, 1], port)))
}

#[test]
fn an_initiation_is_admitted_once_and_names_its_sender() {
    let (gate, now) = (gate(), Instant::now());
    let (mut peer, key) = peer(2);
    let mut datagram = initiation(&mut peer);
    assert_eq!(gate.admit(&datagram, at(1), now), Admission::Admitted);
    assert_eq!(gate.initiator(&datagram), Some(key));
    assert_eq!(gate.admit(&datagram, at(1), now), Admission::Admitted, "not yet handled");
    gate.remember(&datagram);
    assert_eq!(gate.admit(&datagram, at(2), now), Admission::Duplicate);
    datagram = initiation(&mut peer);
    datagram[20] ^= 1;
    assert_eq!(gate.admit(&datagram, at(1), now), Admission::Refused, "not made for this node");
}

#[test]
fn under_load_a_cookie_is_asked_for_and_bound_to_address_and_port() {
    let (gate, now) = (gate(), Instant::now());
    let (mut peer, _) = peer(2);
    load(&gate, now);
    let from_key = [9; 32];
    for sender in [at(1), Sender::Relay(&from_key)] {
        let proven = prove(&gate, &mut peer, sender, now);
        assert_eq!(gate.admit(&proven, sender, now), Admission::Admitted);
        assert!(matches!(gate.admit(&proven, at(2), now), Admission::Cookie(_)), "another port");
    }
    assert!(matches!(gate.admit(&initiation(&mut peer), at(3), now), Admission::Cookie(_)));
    let later = now + SECOND;
    assert_eq!(gate.admit(&initiation(&mut peer), at(3), later), Admission::Admitted, "it is over");
}

#[test]
fn who_has_a_cookie_is_limited_under_load_and_only_then() {
    let (gate, now) = (gate(), Instant::now());
    let (mut peer, _) = peer(2);
    load(&gate, now);
    let proven = prove(&gate, &mut peer, at(1), now);
    for _ in 0..HANDSHAKES.burst {
        assert_eq!(gate.admit(&proven, at(1), now), Admission::Admitted);
    }
    assert_eq!(gate.admit(&proven, at(1), now), Admission::Refused);
    let elsewhere = Sender::Udp(SocketAddr::from(([192, 0, 2, 2], 1)));
    let others = prove(&gate, &mut peer, elsewhere, now);
    assert_eq!(gate.admit(&others, elsewhere, now), Admission::Admitted, "another source");
    // Nobody is asked for a cookie now, so anybody could have sent this in the name of that address.
    for _ in 0..2 * HANDSHAKES.burst {
        assert_eq!(gate.admit(&proven, at(1), now + SECOND), Admission::Admitted);
    }
}

/// As many handshakes as are looked at in a second without a cookie.
fn load(gate: &Gate, now: Instant) {
    let (mut peer, _) = peer(3);
    let flood = initiation(&mut peer);
    for _ in 0..HANDSHAKES_PER_S {
        assert_eq!(gate.admit(&flood, at(9), now), Admission::Admitted);
    }
}

/// An initiation of `sender` with a cookie.
fn prove(gate: &Gate, peer: &mut Tunn, sender: Sender<'_>, now: Instant) -> Vec<u8> {
    let Admission::Cookie(cookie) = gate.admit(&initiation(peer), sender, now) else {
        panic!("no cookie");
    };
    let mut buffer = [0; INITIATION_LEN];
    assert!(matches!(peer.decapsulate(None, &cookie, &mut buffer), TunnResult::Done));
    initiation(peer)
}

proptest! {
    /// Any bytes are refused without a panic.
    #[test]
    fn noise_is_refused(mut datagram in prop::collection::vec(any::<u8>(), 0..200), kind in 1..3_u8, fits: bool) {
        if fits {
            datagram.resize(if kind == 1 { INITIATION_LEN } else { 92 }, 3);
            datagram[..4].copy_from_slice(&[kind, 0, 0, 0]);
        }
        let gate = gate();
        prop_assert_eq!(gate.admit(&datagram, at(1), Instant::now()), Admission::Refused);
        prop_assert_eq!(gate.initiator(&datagram), None);
    }
}
