//! Rules of the coordinator, compiled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use control_protocol::map::FilterRule;
use ipnet::IpNet;

use super::packet::{Packet, Transport, protocol};

/// Protocols of a rule that names none.
pub(crate) const DEFAULT_PROTOCOLS: [u8; 4] =
    [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::ICMPV6];

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    sources: Ranges,
    destinations: Vec<Destination>,
    protocols: [u64; 4],
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Destination {
    addresses: Ranges,
    first: u16,
    last: u16,
}

impl Rule {
    /// Compiles a rule; unreadable parts allow nothing. `None` if nothing is left.
    pub(super) fn compile(rule: &FilterRule) -> Option<Self> {
        let mut sources = Ranges::default();
        for text in &rule.src_ips {
            sources.push_text(text);
        }
        let mut destinations = Vec::with_capacity(rule.dst_ports.len());
        for to in &rule.dst_ports {
            let mut addresses = Ranges::default();
            addresses.push_text(&to.ip);
            let (first, last) = (to.ports.first, to.ports.last);
            if !addresses.is_empty() && first <= last {
                destinations.push(Destination { addresses, first, last });
            }
        }
        if sources.is_empty() || destinations.is_empty() {
            return None;
        }
        let mut protocols = [0; 4];
        if rule.ip_proto.is_empty() {
            DEFAULT_PROTOCOLS.into_iter().for_each(|number| set_bit(&mut protocols, number));
        }
        for number in &rule.ip_proto {
            if let Ok(number) = u8::try_from(*number) {
                set_bit(&mut protocols, number);
            }
        }
        Some(Self { sources, destinations, protocols })
    }

    /// A rule that allows everything.
    pub(super) fn any() -> Self {
        let mut all = Ranges::default();
        all.push_text("*");
        let destination = Destination { addresses: all.clone(), first: 0, last: u16::MAX };
        Self { sources: all, destinations: vec![destination], protocols: [u64::MAX; 4] }
    }

    /// Whether it allows `source` to open `port` of `destination` by `protocol`.
    pub(super) fn allows_port(
        &self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        port: u16,
    ) -> bool {
        self.allows_where(source, destination, protocol, |to| (to.first..=to.last).contains(&port))
    }

    /// Whether it allows a packet outside a known flow.
    pub(super) fn allows(&self, packet: &Packet) -> bool {
        let (source, destination, protocol) = (packet.source, packet.destination, packet.protocol);
        match packet.transport {
            Transport::Tcp { destination: port, .. }
            | Transport::Datagram { destination: port, .. } => {
                self.allows_port(source, destination, protocol, port)
            }
            Transport::Icmp(_) => self.allows_where(source, destination, protocol, |_| true),
            // A protocol without ports needs a rule for all ports.
            Transport::Other => self.allows_where(source, destination, protocol, |to| {
                to.first == 0 && to.last == u16::MAX
            }),
            Transport::LaterFragment => false,
        }
    }

    fn allows_where(
        &self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        fits: impl Fn(&Destination) -> bool,
    ) -> bool {
        self.has_protocol(protocol)
            && self.sources.contains(source)
            && self.destinations.iter().any(|to| fits(to) && to.addresses.contains(destination))
    }

    fn has_protocol(&self, number: u8) -> bool {
        self.protocols[usize::from(number / 64)] >> (number % 64) & 1 == 1
    }
}

fn set_bit(bits: &mut [u64; 4], number: u8) {
    bits[usize::from(number / 64)] |= 1 << (number % 64);
}

/// Ranges of addresses, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    v4: Vec<(Ipv4Addr, Ipv4Addr)>,
    v6: Vec<(Ipv6Addr, Ipv6Addr)>,
}

impl FromIterator<IpNet> for Ranges {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let mut ranges = Self::default();
        nets.into_iter().for_each(|net| ranges.push_net(net));
        ranges
    }
}

impl Ranges {
    /// Those of IPv4.
    #[must_use]
    pub fn v4(&self) -> &[(Ipv4Addr, Ipv4Addr)] {
        &self.v4
    }

    /// Those of IPv6.
    #[must_use]
    pub fn v6(&self) -> &[(Ipv6Addr, Ipv6Addr)] {
        &self.v6
    }

    /// The addresses that are also in `others`.
    #[must_use]
    pub fn within(&self, others: &Self) -> Self {
        Self { v4: common(&self.v4, &others.v4), v6: common(&self.v6, &others.v6) }
    }

    /// The addresses that are not in `others`.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        let v4 = remaining(bits(&self.v4), bits(&others.v4));
        let v6 = remaining(bits(&self.v6), bits(&others.v6));
        // What is left of 32 bits has 32 bits.
        let small = |bits: u128| Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX));
        Self {
            v4: v4.into_iter().map(|(first, last)| (small(first), small(last))).collect(),
            v6: v6.into_iter().map(|(first, last)| (first.into(), last.into())).collect(),
        }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.v4.extend(other.v4);
        self.v6.extend(other.v6);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Adds a network.
    pub(crate) fn push_net(&mut self, net: IpNet) {
        self.push((net.network(), net.broadcast()));
    }

    fn push(&mut self, range: (IpAddr, IpAddr)) {
        match range {
            (IpAddr::V4(first), IpAddr::V4(last)) => self.v4.push((first, last)),
            (IpAddr::V6(first), IpAddr::V6(last)) => self.v6.push((first, last)),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }

    /// Adds `*`, an address, a prefix or a range `A-B`; anything else adds nothing.
    pub(crate) fn push_text(&mut self, text: &str) {
        if text == "*" {
            self.v4.push((Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST));
            self.v6.push((Ipv6Addr::UNSPECIFIED, Ipv6Addr::from(u128::MAX)));
        } else if let Ok(address) = text.parse::<IpAddr>() {
            self.push((address, address));
        } else if let Ok(net) = text.parse::<IpNet>() {
            self.push_net(net);
        } else if let Some((first, last)) = text.split_once('-')
            && let (Ok(first), Ok(last)) = (first.trim().parse(), last.trim().parse())
        {
            self.push((first, last));
        }
    }

    /// Whether the address is in one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                self.v4.iter().any(|(first, last)| (first..=last).contains(&&address))
            }
            IpAddr::V6(address) => {
                self.v6.iter().any(|(first, last)| (first..=last).contains(&&address))
            }
        }
    }
}

/// What two lists of ranges have in common.
fn common<A: Ord + Copy>(of: &[(A, A)], others: &[(A, A)]) -> Vec<(A, A)> {
    let pairs = of.iter().flat_map(|one| others.iter().map(move |other| (one, other)));
    let both = pairs.map(|(one, other)| (one.0.max(other.0), one.1.min(other.1)));
    both.filter(|(first, last)| first <= last).collect()
}

fn bits<A: Copy + ToBits>(ranges: &[(A, A)]) -> Vec<(u128, u128)> {
    ranges.iter().map(|(first, last)| (first.to_u128(), last.to_u128())).collect()
}

trait ToBits {
    fn to_u128(self) -> u128;
}

impl ToBits for Ipv4Addr {
    fn to_u128(self) -> u128 {
        self.to_bits().into()
    }
}

impl ToBits for Ipv6Addr {
    fn to_u128(self) -> u128 {
        self.to_bits()
    }
}

/// What is left of ranges once others are taken out.
fn remaining(mut of: Vec<(u128, u128)>, others: Vec<(u128, u128)>) -> Vec<(u128, u128)> {
    for (first, last) in others {
        let below =
            |range: &(u128, u128)| first.checked_sub(1).map(|end| (range.0, range.1.min(end)));
        let above =
            |range: &(u128, u128)| last.checked_add(1).map(|start| (range.0.max(start), range.1));
        let parts = of.iter().flat_map(|range| [below(range), above(range)]).flatten();
        of = parts.filter(|(first, last)| first <= last).collect();
    }
    of
}
