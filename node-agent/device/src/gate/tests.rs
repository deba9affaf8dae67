use std::{
    sync::Arc,
    time::{Duration, Instant},
};

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
    let gate = gate();
    let (mut peer, key) = peer(2);
    let mut datagram = initiation(&mut peer);
    assert_eq!(gate.admit(&datagram, at(1)), Admission::Admitted);
    assert_eq!(gate.initiator(&datagram), Some(key));
    assert_eq!(gate.admit(&datagram, at(1)), Admission::Admitted, "not yet handled");
    gate.remember(&datagram);
    assert_eq!(gate.admit(&datagram, at(2)), Admission::Refused, "a copy");
    datagram = initiation(&mut peer);
    datagram[20] ^= 1;
    assert_eq!(gate.admit(&datagram, at(1)), Admission::Refused, "not made for this node");
}

#[test]
fn under_load_a_cookie_is_asked_for_and_bound_to_address_and_port() {
    let gate = gate();
    let (mut peer, _) = peer(2);
    let flood = initiation(&mut peer);
    for _ in 0..HANDSHAKES_PER_S {
        assert_eq!(gate.admit(&flood, at(1)), Admission::Admitted);
    }
    let from_key = [9; 32];
    for sender in [at(1), Sender::Relay(&from_key)] {
        let Admission::Cookie(cookie) = gate.admit(&initiation(&mut peer), sender) else {
            panic!("no cookie");
        };
        // The initiation that the cookie answers was the last; repeat until they match.
        let mut buffer = [0; INITIATION_LEN];
        assert!(matches!(peer.decapsulate(None, &cookie, &mut buffer), TunnResult::Done));
        let proven = initiation(&mut peer);
        assert_eq!(gate.admit(&proven, sender), Admission::Admitted);
        assert!(matches!(gate.admit(&proven, at(2)), Admission::Cookie(_)), "another port");
    }
    assert!(matches!(gate.admit(&initiation(&mut peer), at(3)), Admission::Cookie(_)));
    // The load is that of a second, by the clock of this machine.
    let deadline = Instant::now() + Duration::from_secs(10);
    while gate.admit(&initiation(&mut peer), at(3)) != Admission::Admitted {
        assert!(Instant::now() < deadline, "a load that is over still counts");
        gate.reset();
    }
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
        prop_assert_eq!(gate.admit(&datagram, at(1)), Admission::Refused);
        prop_assert_eq!(gate.initiator(&datagram), None);
    }
}
