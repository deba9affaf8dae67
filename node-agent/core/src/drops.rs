//! Counts dropped packets by cause.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

/// Why a packet or datagram was dropped. [`Self::name`] is a stable name in the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// From a peer: not a complete IP packet, or invalid headers.
    Malformed,
    /// From a peer: an invalid source or destination (loopback, multicast, unspecified and the like).
    Martian,
    /// From a peer: it has a source route.
    SourceRouted,
    /// From a peer: ICMP that is only valid on one link (redirects, neighbour and router discovery).
    LinkOnly,
    /// From a peer: the source is not an address of that peer.
    Spoofed,
    /// From a peer: not addressed to this node.
    NotForUs,
    /// From a peer: no rule allows it.
    NoRule,
    /// From a peer: a reply or an ICMP error that belongs to no flow.
    NoFlow,
    /// From a peer: a fragment whose first was refused, or that hides or could overwrite the ports.
    Fragment,
    /// From a peer: it has reached its limit of flows.
    FlowLimit,
    /// From this node: no peer has the address.
    NoRoute,
    /// From this node: no session with the peer, and the queue is full.
    NoSession,
    /// From this node: the kernel did not send the datagram.
    Socket,
    /// From this node: no relay is known or reachable, or its queue is full.
    Relay,
    /// From a peer: the interface did not accept the packet.
    Interface,
    /// Longer than the tunnel's MTU.
    Oversize,
    /// A handshake for another node, or one of too many from one source.
    Handshake,
    /// A disco message of a stranger, one of too many from one source, or one that is not authentic or not known.
    Discovery,
    /// A datagram that no session opens: from inside the mesh, for no peer, not authentic, or replayed.
    Unopened,
}

impl Cause {
    /// Every cause, in the order of the type, with its name in `maru status -o json`.
    const NAMES: [(Self, &'static str); 19] = [
        (Self::Malformed, "malformed"),
        (Self::Martian, "martian"),
        (Self::SourceRouted, "source_routed"),
        (Self::LinkOnly, "link_only"),
        (Self::Spoofed, "spoofed"),
        (Self::NotForUs, "not_for_us"),
        (Self::NoRule, "no_rule"),
        (Self::NoFlow, "no_flow"),
        (Self::Fragment, "fragment"),
        (Self::FlowLimit, "flow_limit"),
        (Self::NoRoute, "no_route"),
        (Self::NoSession, "no_session"),
        (Self::Socket, "socket"),
        (Self::Relay, "relay"),
        (Self::Interface, "interface"),
        (Self::Oversize, "oversize"),
        (Self::Handshake, "handshake"),
        (Self::Discovery, "discovery"),
        (Self::Unopened, "unopened"),
    ];

    /// Its name in `maru status -o json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}

/// Lock-free counters of dropped packets, by cause.
#[derive(Debug, Default)]
pub struct Drops {
    counts: [AtomicU64; Cause::NAMES.len()],
}

impl Drops {
    /// Counts one.
    pub fn count(&self, cause: Cause) {
        self.add(cause, 1);
    }

    /// Counts several.
    pub fn add(&self, cause: Cause, how_many: u64) {
        self.counts[cause as usize].fetch_add(how_many, Ordering::Relaxed);
    }

    /// The current counts by name, zeros included.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Cause::NAMES.iter().map(|(_, name)| *name).zip(counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/protocols/local-api.md");

    #[test]
    fn every_cause_is_documented() {
        for (_, name) in Cause::NAMES {
            assert!(PAGE.contains(&format!("| `{name}` |")), "{name}");
            assert!(PAGE.contains(&format!("\"{name}\": ")), "{name}");
        }
    }

    #[test]
    fn every_cause_has_a_count_and_a_name_of_its_own() {
        let drops = Drops::default();
        for (number, (cause, _)) in Cause::NAMES.into_iter().enumerate() {
            drops.add(cause, number as u64);
            drops.count(cause);
        }
        let counts = drops.snapshot();
        assert_eq!(counts.len(), Cause::NAMES.len());
        for (number, (cause, name)) in Cause::NAMES.into_iter().enumerate() {
            assert_eq!(cause as usize, number);
            assert_eq!(cause.name(), name);
            assert_eq!(counts[name], number as u64 + 1);
        }
    }
}
