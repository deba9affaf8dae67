//! Admits handshakes: cheap checks before expensive ones.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Mutex,
    time::{Duration, Instant},
};

use boringtun::{
    noise::{Packet, Tunn, TunnResult, handshake::parse_handshake_anon, rate_limiter::RateLimiter},
    x25519::{PublicKey, StaticSecret},
};

use crate::{
    sys::lock,
    wire::{COOKIE_LEN, INITIATION_LEN},
};

mod buckets;

pub(crate) use buckets::{Buckets, Rate, Sender};

/// Handshake messages per second, of all sources, beyond which cookies are required.
const HANDSHAKES_PER_S: u64 = 100;
/// Handshake messages of one source under load.
const HANDSHAKES: Rate = Rate { per_second: 20, burst: 5 };
/// The interval for that count.
const SECOND: Duration = Duration::from_secs(1);
/// Initiations remembered, to drop copies that arrive on other paths.
const REMEMBERED: usize = 64;
/// Where `mac1` lies in an initiation.
const MAC1: std::ops::Range<usize> = INITIATION_LEN - 32..INITIATION_LEN - 16;

type Mac = [u8; 16];

/// The decision about a handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is passed to the peer.
    Admitted,
    /// This node is under load: this cookie is sent to the sender.
    Cookie([u8; COOKIE_LEN]),
    /// A copy of one that was handled.
    Duplicate,
    /// For another node, or under load beyond the sender's rate.
    Refused,
}

/// Admits the handshakes of all peers.
pub(crate) struct Gate {
    private: StaticSecret,
    public: PublicKey,
    /// Never requires a cookie.
    calm: RateLimiter,
    /// Always requires a cookie.
    loaded: RateLimiter,
    load: Mutex<Load>,
    /// Rate limits of senders with a cookie.
    buckets: Mutex<Buckets>,
    seen: Mutex<VecDeque<Mac>>,
}

/// The number of handshake messages in the current second.
struct Load {
    since: Instant,
    count: u64,
}

impl Gate {
    pub(crate) fn new(private: StaticSecret) -> Self {
        let public = PublicKey::from(&private);
        Self {
            private,
            public,
            calm: RateLimiter::new(&public, u64::MAX),
            loaded: RateLimiter::new(&public, 0),
            load: Mutex::new(Load { since: Instant::now(), count: 0 }),
            buckets: Mutex::new(Buckets::new(HANDSHAKES)),
            seen: Mutex::new(VecDeque::with_capacity(REMEMBERED)),
        }
    }

    /// Checks `mac1` and, under load, the cookie and the sender's rate. Costs two hashes.
    pub(crate) fn admit(&self, datagram: &[u8], sender: Sender<'_>, now: Instant) -> Admission {
        if self.is_copy(datagram) {
            return Admission::Duplicate;
        }
        let is_loaded = self.is_loaded(now);
        let limiter = if is_loaded { &self.loaded } else { &self.calm };
        let mut reply = [0; COOKIE_LEN];
        let admission = match limiter.verify_packet(Some(sender.bound_to()), datagram, &mut reply) {
            Ok(_) if is_loaded && !lock(&self.buckets).take(sender, now) => Admission::Refused,
            Ok(_) => Admission::Admitted,
            Err(TunnResult::WriteToNetwork(_)) => Admission::Cookie(reply),
            Err(_) => return Admission::Refused,
        };
        lock(&self.load).count += 1;
        admission
    }

    /// Whether this second's messages exceed the rate without cookies.
    fn is_loaded(&self, now: Instant) -> bool {
        let mut load = lock(&self.load);
        if now.saturating_duration_since(load.since) >= SECOND {
            *load = Load { since: now, count: 0 };
        }
        load.count >= HANDSHAKES_PER_S
    }

    /// The initiator's key. Costs one key agreement: call it only for admitted messages.
    pub(crate) fn initiator(&self, datagram: &[u8]) -> Option<[u8; 32]> {
        let Ok(Packet::HandshakeInit(initiation)) = Tunn::parse_incoming_packet(datagram) else {
            return None;
        };
        let half = parse_handshake_anon(&self.private, &self.public, &initiation).ok()?;
        Some(half.peer_static_public)
    }

    fn is_copy(&self, datagram: &[u8]) -> bool {
        let seen = lock(&self.seen);
        mac_of(datagram).is_some_and(|mac| seen.contains(&mac))
    }

    /// Remembers an initiation, to refuse copies.
    pub(crate) fn remember(&self, datagram: &[u8]) {
        let Some(mac) = mac_of(datagram) else { return };
        let mut seen = lock(&self.seen);
        if seen.len() >= REMEMBERED {
            seen.pop_front();
        }
        seen.push_back(mac);
    }
}

/// The first authenticator of an initiation, which is unique.
fn mac_of(datagram: &[u8]) -> Option<Mac> {
    let initiation: &[u8; INITIATION_LEN] = datagram.try_into().ok()?;
    initiation[MAC1].try_into().ok()
}

impl Sender<'_> {
    /// An address derived from the sender. The library binds a cookie to an IP address, which hosts behind one NAT share, so the
    /// port is mixed in.
    fn bound_to(self) -> IpAddr {
        let mut octets = [0; 16];
        match self {
            Self::Udp(SocketAddr::V4(address)) => {
                octets[10..14].copy_from_slice(&address.ip().octets());
                octets[14..].copy_from_slice(&address.port().to_be_bytes());
            }
            Self::Udp(SocketAddr::V6(address)) => {
                octets = address.ip().octets();
                let [high, low] = address.port().to_be_bytes();
                octets[14] ^= high;
                octets[15] ^= low;
            }
            Self::Relay(key) => octets.copy_from_slice(&key[..16]),
        }
        IpAddr::V6(Ipv6Addr::from(octets))
    }
}

#[cfg(test)]
mod tests;
