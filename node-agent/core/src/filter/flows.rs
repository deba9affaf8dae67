//! Which side started each flow: a bounded table, by which answers to this node are let in.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::packet::{Packet, Transport};

/// Most flows that are remembered. When the table is full, the longest idle of [`EVICTION_SAMPLE`] flows is forgotten.
pub const MAX_FLOWS: usize = 16 * 1024;
/// Idle time after which a UDP flow is forgotten (RFC 4787, requirement 5, asks for 2 minutes or more).
pub const UDP_IDLE: Duration = Duration::from_secs(3 * 60);
/// Idle time after which a TCP flow is forgotten (RFC 5382, requirement 5, asks for 2 hours 4 minutes or more).
pub const TCP_IDLE: Duration = Duration::from_secs(3 * 60 * 60);
/// How many flows are compared to find one to forget.
const EVICTION_SAMPLE: usize = 16;

/// A flow as seen from this node: the same for packets of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    protocol: u8,
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
}

/// Who sent the first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// This node: the peer's packets are answers.
    Here,
    /// The peer: each of its packets must be allowed by a rule.
    There,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    origin: Origin,
    last_seen: Instant,
}

impl Entry {
    fn is_alive(&self, flow: &Flow, now: Instant) -> bool {
        let idle = if flow.protocol == super::packet::protocol::TCP { TCP_IDLE } else { UDP_IDLE };
        now.saturating_duration_since(self.last_seen) <= idle
    }
}

/// The flows of this node with its peers.
#[derive(Debug, Default)]
pub struct Flows {
    entries: HashMap<Flow, Entry>,
    /// The last inbound flow that passed and when: a batch is mostly of one flow.
    passed: Option<(Flow, Instant)>,
}

impl Flows {
    /// How many flows are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no flow is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Remembers a packet that this node sends, so that its answers pass.
    pub fn handle_outbound(&mut self, packet: &Packet, now: Instant) {
        if let Some(flow) = Flow::outbound(packet) {
            self.touch(flow, Origin::Here, now);
        }
    }

    /// Whether a packet of `flow` passed in the batch that is judged at `now`.
    pub(super) fn has_passed(&self, flow: Flow, now: Instant) -> bool {
        self.passed == Some((flow, now))
    }

    /// Whether `flow` was started by this node and is not forgotten; refreshes it if so.
    pub(super) fn is_answer(&mut self, flow: Flow, now: Instant) -> bool {
        match self.entries.get_mut(&flow) {
            Some(entry) if entry.origin == Origin::Here && entry.is_alive(&flow, now) => {
                entry.last_seen = now;
                self.passed = Some((flow, now));
                true
            }
            Some(_) | None => false,
        }
    }

    /// Remembers that the peer started `flow`, by a packet that a rule let in.
    pub(super) fn handle_admitted(&mut self, flow: Flow, now: Instant) {
        self.touch(flow, Origin::There, now);
        self.passed = Some((flow, now));
    }

    /// A flow keeps its first origin: answering a peer must not open what a rule closes later.
    fn touch(&mut self, flow: Flow, origin: Origin, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&flow) {
            if !entry.is_alive(&flow, now) {
                entry.origin = origin;
            }
            entry.last_seen = now;
            return;
        }
        if self.entries.len() >= MAX_FLOWS {
            self.evict(now);
        }
        self.entries.insert(flow, Entry { origin, last_seen: now });
    }

    /// Forgets the flows that are over; if there is none, the longest idle of [`EVICTION_SAMPLE`] flows.
    fn evict(&mut self, now: Instant) {
        self.entries.retain(|flow, entry| entry.is_alive(flow, now));
        if self.entries.len() < MAX_FLOWS {
            return;
        }
        let quietest =
            self.entries.iter().take(EVICTION_SAMPLE).min_by_key(|(_, entry)| entry.last_seen);
        if let Some(flow) = quietest.map(|(flow, _)| *flow) {
            self.entries.remove(&flow);
        }
    }
}

impl Flow {
    /// The flow of a packet that this node sends.
    fn outbound(packet: &Packet) -> Option<Self> {
        let (source, destination) = ports(packet)?;
        Some(Self {
            protocol: packet.protocol,
            local: (packet.source, source),
            remote: (packet.destination, destination),
        })
    }

    /// The flow of a packet that a peer sends.
    pub(super) fn inbound(packet: &Packet) -> Option<Self> {
        let (source, destination) = ports(packet)?;
        Some(Self {
            protocol: packet.protocol,
            local: (packet.destination, destination),
            remote: (packet.source, source),
        })
    }
}

fn ports(packet: &Packet) -> Option<(u16, u16)> {
    match packet.transport {
        Transport::Tcp { source, destination, .. }
        | Transport::Datagram { source, destination } => Some((source, destination)),
        Transport::Icmp { .. } | Transport::Other | Transport::LaterFragment => None,
    }
}
