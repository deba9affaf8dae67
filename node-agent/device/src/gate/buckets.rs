//! Token buckets that limit messages of each source, as in Linux (`drivers/net/wireguard/ratelimiter.c`).

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

/// How many messages one source may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// In the long run.
    pub(crate) per_second: u32,
    /// At once.
    pub(crate) burst: u32,
}

impl Rate {
    /// The cost of a message, as refill time.
    fn cost(self) -> Duration {
        Duration::from_secs(1) / self.per_second
    }

    /// The size of a bucket, as refill time.
    fn full(self) -> Duration {
        self.cost() * self.burst
    }
}

/// Most sources at a time; messages of further ones are refused.
const MAX_SOURCES: usize = 8192;

/// The source of a message; a cookie is bound to it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sender<'a> {
    /// By UDP.
    Udp(SocketAddr),
    /// Over the relay, from this node key.
    Relay(&'a [u8; 32]),
}

/// The source that is charged. An IPv6 customer has at least a /64, and could prove each of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(Ipv4Addr),
    V6([u8; 8]),
    Relay([u8; 32]),
}

impl From<Sender<'_>> for Source {
    fn from(sender: Sender<'_>) -> Self {
        match sender {
            Sender::Udp(address) => match address.ip() {
                IpAddr::V4(address) => Self::V4(address),
                IpAddr::V6(address) => {
                    let [a, b, c, d, e, f, g, h, ..] = address.octets();
                    Self::V6([a, b, c, d, e, f, g, h])
                }
            },
            Sender::Relay(key) => Self::Relay(*key),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// The level at that time.
    level: Duration,
    then: Instant,
}

impl Bucket {
    fn level(&self, full: Duration, now: Instant) -> Duration {
        (self.level + now.saturating_duration_since(self.then)).min(full)
    }
}

/// The buckets that are not full.
#[derive(Debug)]
pub(crate) struct Buckets {
    rate: Rate,
    by_source: HashMap<Source, Bucket>,
    /// When full buckets were last removed.
    swept_at: Option<Instant>,
}

impl Buckets {
    /// Full buckets of this rate.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, by_source: HashMap::new(), swept_at: None }
    }

    /// Charges a message to `sender`; returns whether it is within the limit.
    pub(crate) fn take(&mut self, sender: Sender<'_>, now: Instant) -> bool {
        let source = Source::from(sender);
        let known = self.by_source.get(&source).copied();
        let level = match known {
            Some(bucket) => bucket.level(self.rate.full(), now),
            None if self.has_room(now) => self.rate.full(),
            None => return false,
        };
        let Some(level) = level.checked_sub(self.rate.cost()) else { return false };
        self.by_source.insert(source, Bucket { level, then: now });
        true
    }

    /// Whether there is room for a new source. Removes full buckets, at most once per refill time: it scans all.
    fn has_room(&mut self, now: Instant) -> bool {
        let full = self.rate.full();
        let is_due = self.swept_at.is_none_or(|at| now.saturating_duration_since(at) >= full);
        if self.by_source.len() >= MAX_SOURCES && is_due {
            self.swept_at = Some(now);
            self.by_source.retain(|_, bucket| bucket.level(full, now) < full);
        }
        self.by_source.len() < MAX_SOURCES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 20, burst: 5 };

    fn buckets() -> Buckets {
        Buckets::new(RATE)
    }

    fn udp(address: &str) -> Sender<'static> {
        Sender::Udp(SocketAddr::new(address.parse().unwrap(), 1))
    }

    #[test]
    fn a_source_has_a_burst_and_then_its_rate() {
        let (mut buckets, start) = (buckets(), Instant::now());
        let sent = |buckets: &mut Buckets, sender, now| {
            (0..100).filter(|_| buckets.take(sender, now)).count()
        };
        assert_eq!(sent(&mut buckets, udp("192.0.2.1"), start), RATE.burst as usize);
        let other_port = Sender::Udp("192.0.2.1:9".parse().unwrap());
        assert_eq!(sent(&mut buckets, other_port, start), 0, "another port is the same source");
        assert_eq!(
            sent(&mut buckets, udp("192.0.2.2"), start),
            RATE.burst as usize,
            "another address is not"
        );
        let mut within_a_second = 0;
        for step in 1..=1000 {
            let now = start + Duration::from_millis(step);
            within_a_second += usize::from(buckets.take(udp("192.0.2.1"), now));
        }
        assert_eq!(within_a_second, RATE.per_second as usize);
        let later = start + Duration::from_secs(60);
        assert_eq!(
            sent(&mut buckets, udp("192.0.2.1"), later),
            RATE.burst as usize,
            "no more than full"
        );
    }

    #[test]
    fn an_ipv6_network_and_a_relayed_key_are_a_source_each() {
        let (mut buckets, now) = (buckets(), Instant::now());
        for low in 0..RATE.burst {
            assert!(buckets.take(udp(&format!("2001:db8::{low:x}:1")), now));
        }
        assert!(!buckets.take(udp("2001:db8::ffff:ffff:ffff:ffff"), now), "the same /64");
        assert!(buckets.take(udp("2001:db8:0:1::1"), now));
        for _ in 0..RATE.burst {
            assert!(buckets.take(Sender::Relay(&[1; 32]), now));
        }
        assert!(!buckets.take(Sender::Relay(&[1; 32]), now));
        assert!(buckets.take(Sender::Relay(&[2; 32]), now));
    }

    #[test]
    fn sources_without_end_take_no_more_memory_and_leave_the_known_ones_alone() {
        let (mut buckets, start) = (buckets(), Instant::now());
        let nth = |n: u32| Sender::Udp(SocketAddr::new(Ipv4Addr::from_bits(n).into(), 1));
        let taken = (0..20_000).filter(|n| buckets.take(nth(*n), start)).count();
        assert_eq!(taken, MAX_SOURCES);
        assert_eq!(buckets.by_source.len(), MAX_SOURCES);
        assert!(buckets.take(nth(0), start), "who is known goes on");
        let later = start + RATE.full() * 2;
        assert!(buckets.take(nth(30_000), later), "who is quiet makes room");
        assert_eq!(buckets.by_source.len(), 1);
    }
}
