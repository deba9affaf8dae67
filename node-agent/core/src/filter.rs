//! The packet filter: what a peer may send to this node. Default deny.
//!
//! Rules come from the coordinator ([`FilterRule`]) and are compiled once per map. A packet passes if
//!
//! 1. it is addressed to this node (or to a subnet that it routes), and
//! 2. a rule allows its source, destination, protocol and port; or it answers what this node
//!    started ([`Flows`]); or it is an ICMP echo reply or error.
//!
//! That the source address belongs to the peer at all is checked before, by the device
//! (cryptokey routing). Each packet of a connection is judged, not only the first: a rule that is
//! taken away cuts the connections it had allowed.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Instant,
};

use control_protocol::map::FilterRule;
use ipnet::IpNet;

mod flows;
pub mod packet;

pub use flows::{Flows, MAX_FLOWS, TCP_IDLE, UDP_IDLE};
use packet::{Packet, Transport, protocol};

use flows::Flow;

/// Protocols of a rule that names none.
const DEFAULT_PROTOCOLS: [u8; 4] = [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::ICMPV6];

/// Why a packet is let in or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A rule allows it.
    Allowed,
    /// It answers this node.
    Answer,
    /// It is a fragment that is worthless without its first, which is judged.
    Fragment,
    /// Not addressed to this node.
    NotForUs,
    /// No rule allows it.
    Denied,
}

impl Verdict {
    /// Whether the packet is let in.
    #[must_use]
    pub fn passes(self) -> bool {
        match self {
            Self::Allowed | Self::Answer | Self::Fragment => true,
            Self::NotForUs | Self::Denied => false,
        }
    }
}

/// Compiled rules. The default lets nothing in but answers, and those to no address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketFilter {
    local: Ranges,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
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

impl PacketFilter {
    /// Compiles `rules` for the node with the addresses (and routed subnets) `local`.
    ///
    /// What cannot be read lets nothing in: a rule in the form of 2020, an address that is none, a
    /// `cap:` source (grants to capabilities are not packet rules here).
    #[must_use]
    pub fn compile(rules: &[FilterRule], local: &[IpNet]) -> Self {
        let mut own = Ranges::default();
        for net in local {
            own.push(net_range(*net));
        }
        let rules =
            rules.iter().filter(|rule| rule.is_supported()).filter_map(Rule::compile).collect();
        Self { local: own, rules }
    }

    /// Judges a packet that a peer sent; `flows` learns from it. Packets judged at the same `now` are
    /// one batch and must be judged by one filter.
    pub fn check_inbound(&self, packet: &Packet, flows: &mut Flows, now: Instant) -> Verdict {
        if !self.local.contains(packet.destination) {
            return Verdict::NotForUs;
        }
        if packet.transport == Transport::LaterFragment {
            return Verdict::Fragment;
        }
        if packet.transport == (Transport::Icmp { answer: true }) {
            return Verdict::Answer;
        }
        let flow = Flow::inbound(packet);
        // A packet that opens a connection is no answer, whatever went the other way before.
        let opens = matches!(packet.transport, Transport::Tcp { opens: true, .. });
        if !opens && flow.is_some_and(|flow| flows.has_passed(flow, now)) {
            return Verdict::Allowed;
        }
        if self.allows(packet) {
            if let Some(flow) = flow {
                flows.handle_admitted(flow, now);
            }
            return Verdict::Allowed;
        }
        match flow {
            Some(flow) if !opens && flows.is_answer(flow, now) => Verdict::Answer,
            Some(_) | None => Verdict::Denied,
        }
    }

    /// Whether a rule lets `source` open `port` of `destination` by `protocol` (an IANA number).
    ///
    /// Whoever serves a connection ends it when this becomes false.
    #[must_use]
    pub fn allows_port(
        &self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        port: u16,
    ) -> bool {
        self.rules.iter().any(|rule| {
            rule.has_protocol(protocol)
                && rule.sources.contains(source)
                && rule.destinations.iter().any(|to| {
                    to.addresses.contains(destination) && (to.first..=to.last).contains(&port)
                })
        })
    }

    fn allows(&self, packet: &Packet) -> bool {
        let (source, destination, protocol) = (packet.source, packet.destination, packet.protocol);
        match packet.transport {
            Transport::Tcp { destination: port, .. }
            | Transport::Datagram { destination: port, .. } => {
                self.allows_port(source, destination, protocol, port)
            }
            Transport::Icmp { .. } => self.allows_address(packet, |_| true),
            // A protocol without ports is let in only where all ports are open.
            Transport::Other => {
                self.allows_address(packet, |to| to.first == 0 && to.last == u16::MAX)
            }
            Transport::LaterFragment => false,
        }
    }

    fn allows_address(&self, packet: &Packet, fits: impl Fn(&Destination) -> bool) -> bool {
        self.rules.iter().any(|rule| {
            rule.has_protocol(packet.protocol)
                && rule.sources.contains(packet.source)
                && rule
                    .destinations
                    .iter()
                    .any(|to| fits(to) && to.addresses.contains(packet.destination))
        })
    }
}

impl Rule {
    fn compile(rule: &FilterRule) -> Option<Self> {
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

    fn has_protocol(&self, number: u8) -> bool {
        self.protocols[usize::from(number / 64)] >> (number % 64) & 1 == 1
    }
}

fn set_bit(bits: &mut [u64; 4], number: u8) {
    bits[usize::from(number / 64)] |= 1 << (number % 64);
}

/// Ranges of addresses, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ranges {
    v4: Vec<(Ipv4Addr, Ipv4Addr)>,
    v6: Vec<(Ipv6Addr, Ipv6Addr)>,
}

impl Ranges {
    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    fn push(&mut self, range: (IpAddr, IpAddr)) {
        match range {
            (IpAddr::V4(first), IpAddr::V4(last)) => self.v4.push((first, last)),
            (IpAddr::V6(first), IpAddr::V6(last)) => self.v6.push((first, last)),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }

    /// Adds `*`, an address, a prefix or a range `A-B`; anything else adds nothing.
    fn push_text(&mut self, text: &str) {
        if text == "*" {
            self.v4.push((Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST));
            self.v6.push((Ipv6Addr::UNSPECIFIED, Ipv6Addr::from(u128::MAX)));
        } else if let Ok(address) = text.parse::<IpAddr>() {
            self.push((address, address));
        } else if let Ok(net) = text.parse::<IpNet>() {
            self.push(net_range(net));
        } else if let Some((first, last)) = text.split_once('-')
            && let (Ok(first), Ok(last)) = (first.trim().parse(), last.trim().parse())
        {
            self.push((first, last));
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
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

fn net_range(net: IpNet) -> (IpAddr, IpAddr) {
    (net.network(), net.broadcast())
}

#[cfg(test)]
mod tests;
