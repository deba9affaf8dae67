//! Why packets are dropped, and how many were.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

/// Why a packet or a datagram went no further. [`Self::name`] is what people and programs see; it does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// From a peer: not a whole IP packet, or headers that no sender writes.
    Malformed,
    /// From a peer: an address that no packet on a network may have (loopback, multicast, unspecified and the like).
    Martian,
    /// From a peer: it asks to be sent on to somewhere else.
    SourceRouted,
    /// From a peer: ICMP that only machines of one link may send each other (redirects, neighbour and router discovery).
    LinkOnly,
    /// From a peer: the source is not an address of that peer.
    Spoofed,
    /// From a peer: not addressed to this node.
    NotForUs,
    /// From a peer: no rule lets it in.
    NoRule,
    /// From a peer: it answers, or complains of, nothing that passed before.
    NoFlow,
    /// From a peer: a fragment whose first was not let in, or that hides or could overwrite the ports.
    Fragment,
    /// From a peer: it has as many flows as one peer may have, all of them in use.
    FlowLimit,
    /// From this node: no peer has the address.
    NoRoute,
    /// From this node: no session with the peer yet, and too many packets wait for one.
    NoSession,
    /// From this node: the kernel did not take the datagram.
    Socket,
    /// From this node: no relay took the packet: none is known, it is not reached, or too much waits for it.
    Relay,
    /// From a peer: the interface did not take the packet.
    Interface,
    /// Longer than the tunnel carries.
    Oversize,
    /// A handshake that was not made for this node, or one of too many from one source.
    Handshake,
    /// A datagram that no session opens: from inside the mesh, for no peer, not authentic, or a copy of one that came before.
    Unopened,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 18] = [
        Self::Malformed,
        Self::Martian,
        Self::SourceRouted,
        Self::LinkOnly,
        Self::Spoofed,
        Self::NotForUs,
        Self::NoRule,
        Self::NoFlow,
        Self::Fragment,
        Self::FlowLimit,
        Self::NoRoute,
        Self::NoSession,
        Self::Socket,
        Self::Relay,
        Self::Interface,
        Self::Oversize,
        Self::Handshake,
        Self::Unopened,
    ];

    /// Its name in `maru status -o json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Martian => "martian",
            Self::SourceRouted => "source_routed",
            Self::LinkOnly => "link_only",
            Self::Spoofed => "spoofed",
            Self::NotForUs => "not_for_us",
            Self::NoRule => "no_rule",
            Self::NoFlow => "no_flow",
            Self::Fragment => "fragment",
            Self::FlowLimit => "flow_limit",
            Self::NoRoute => "no_route",
            Self::NoSession => "no_session",
            Self::Socket => "socket",
            Self::Relay => "relay",
            Self::Interface => "interface",
            Self::Oversize => "oversize",
            Self::Handshake => "handshake",
            Self::Unopened => "unopened",
        }
    }
}

/// How many packets were dropped, by cause. Counted by several threads without a lock.
#[derive(Debug, Default)]
pub struct Drops {
    counts: [AtomicU64; Cause::ALL.len()],
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

    /// The counts now, by name; those that are zero are there too.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<&'static str, u64> {
        let count = |cause: Cause| self.counts[cause as usize].load(Ordering::Relaxed);
        Cause::ALL.into_iter().map(|cause| (cause.name(), count(cause))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/protocols/local-api.md");

    #[test]
    fn every_cause_is_documented() {
        for cause in Cause::ALL {
            let name = cause.name();
            assert!(PAGE.contains(&format!("| `{name}` |")), "{name}");
            assert!(PAGE.contains(&format!("\"{name}\": ")), "{name}");
        }
    }

    #[test]
    fn every_cause_has_a_count_and_a_name_of_its_own() {
        let drops = Drops::default();
        for (number, cause) in Cause::ALL.into_iter().enumerate() {
            drops.add(cause, number as u64);
            drops.count(cause);
        }
        let counts = drops.snapshot();
        assert_eq!(counts.len(), Cause::ALL.len());
        for (number, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(counts[cause.name()], number as u64 + 1);
        }
    }
}
