//! Connection tracking: which side started each flow, and which fragments belong to an allowed packet. Bounded, with a share
//! for each peer.
//!
//! Flows of this node and flows of peers are in separate tables, so that no peer can evict a flow for which this node awaits
//! replies. Within a table each peer has a share (`table.rs`): a peer that opens too many flows evicts its own.
//!
//! A peer's flow is remembered so that replies to it do not count as a flow of this node. Evicting it must not change that:
//! TCP becomes this node's flow by a SYN only; a datagram flow that was used within [`RECENT`] is not evicted for another of
//! the same peer, which is refused instead ([`Cause::FlowLimit`]); and as long as an evicted flow would otherwise live, no
//! datagram to its peer starts a flow of this node.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    packet::{Fragment, Icmp, Packet, QuotedPacket, Transport, protocol},
    run::{FlowBytes, flow_bytes},
    table::{FairTable, Limits, Owner, Stage},
};
use crate::drops::Cause;

/// Most flows that this node started; the same number for flows that peers started.
pub const MAX_FLOWS: usize = 16 * 1024;
/// Most flows of one peer; for TCP and for datagrams each.
pub const MAX_FLOWS_OF_PEER: usize = 8 * 1024;
/// Idle time after which a UDP flow is forgotten (RFC 4787, requirement 5, asks for 2 minutes or more).
pub const UDP_IDLE: Duration = Duration::from_secs(3 * 60);
/// Idle time after which a TCP flow is forgotten (RFC 5382, requirement 5, asks for 2 hours 4 minutes or more).
pub const TCP_IDLE: Duration = Duration::from_secs(24 * 60 * 60);
/// Idle time after which an unanswered TCP flow of this node is forgotten (RFC 5382, requirement 5, asks for 4 minutes or
/// more).
pub const TCP_OPENING: Duration = Duration::from_secs(4 * 60);
/// A peer's datagram flow that was used within this time is not evicted for another of that peer.
pub const RECENT: Duration = Duration::from_secs(30);
/// For this time after the start, TCP from an ephemeral port ([`STARTING_PORTS`]) counts as this node's flow without a SYN, so
/// that connections outlive a restart of the agent; not with a peer of which a flow was evicted.
pub const RESTART: Duration = Duration::from_secs(5 * 60);
/// Linux's lowest ephemeral port.
pub const STARTING_PORTS: u16 = 32_768;

/// Most packets with outstanding fragments.
const MAX_FRAGMENTED: usize = 4096;
/// The same for one peer.
const MAX_FRAGMENTED_OF_PEER: usize = 256;
/// How long later fragments may come after the first.
pub const FRAGMENT_LIFE: Duration = Duration::from_secs(30);

/// A peer's number, unique among the current peers. Flows are charged to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerId(pub u32);

/// A flow as seen from this node: the same for packets of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    pub(super) protocol: u8,
    pub(super) local: (IpAddr, u16),
    pub(super) remote: (IpAddr, u16),
}

/// Which side started a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This node: the peer's packets are replies.
    Local,
    /// The peer: each of its packets must be allowed by a rule.
    Remote,
}

/// A packet whose first fragment was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Fragmented {
    source: IpAddr,
    destination: IpAddr,
    fragment: Fragment,
}

/// The flows of this node with its peers.
#[derive(Debug)]
pub struct Flows {
    here: FairTable<Flow>,
    there: FairTable<Flow>,
    fragmented: FairTable<Fragmented>,
    started_at: Instant,
}

impl Flows {
    /// Empty tables; `now` is the start of this node.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let fragments = Limits {
            keys: MAX_FRAGMENTED,
            share: MAX_FRAGMENTED_OF_PEER,
            idle: |_, _| FRAGMENT_LIFE,
        };
        Self {
            here: FairTable::new(Limits { keys: MAX_FLOWS, share: MAX_FLOWS, idle }),
            there: FairTable::new(Limits { keys: MAX_FLOWS, share: MAX_FLOWS_OF_PEER, idle }),
            fragmented: FairTable::new(fragments),
            started_at: now,
        }
    }

    /// The number of flows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.here.len() + self.there.len()
    }

    /// Whether there is no flow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records the packets that this node sends at `now`.
    pub fn sending(&mut self, now: Instant) -> OutboundRecorder<'_> {
        OutboundRecorder { flows: self, now, last: None }
    }

    /// Records a packet that this node sends to `peer`, so that its replies pass.
    pub fn handle_outbound(&mut self, packet: &Packet, peer: PeerId, now: Instant) {
        let Some(flow) = Flow::outbound(packet) else { return };
        let owner = owner(peer, flow.protocol);
        let (opens, closes) = ends(packet);
        // A flow keeps its first origin: a reply to a peer must not open what a rule closes later.
        let is_peers = if closes {
            self.there.end(&flow, owner, now)
        } else {
            self.there.touch(&flow, owner, now)
        };
        if is_peers {
            return;
        }
        if opens {
            self.here.begin(flow, owner, now);
        } else if !self.here.touch(&flow, owner, now) && self.may_begin(packet, owner, now) {
            self.here.insert(flow, owner, now);
        }
        if closes {
            self.here.end(&flow, owner, now);
        }
    }

    /// Whether a packet without SYN can start a flow of this node.
    fn may_begin(&self, packet: &Packet, owner: Owner, now: Instant) -> bool {
        match packet.transport {
            Transport::Tcp { source, .. } => {
                source >= STARTING_PORTS
                    && !self.there.has_forgotten(owner, now)
                    && now.saturating_duration_since(self.started_at) <= RESTART
            }
            // It may be a reply within an evicted flow.
            Transport::Datagram { .. } => !self.there.has_forgotten(owner, now),
            Transport::Icmp(_) => true,
            Transport::Other | Transport::LaterFragment => false,
        }
    }

    /// Records the peer's flow of a packet that a rule allows.
    ///
    /// # Errors
    ///
    /// [`Cause::FlowLimit`] if the peer has too many.
    pub(super) fn admit(
        &mut self,
        packet: &Packet,
        peer: PeerId,
        now: Instant,
    ) -> Result<(), Cause> {
        let Some(flow) = Flow::inbound(packet) else { return Ok(()) };
        let (opens, closes) = ends(packet);
        let is_icmp = matches!(packet.transport, Transport::Icmp(_));
        if is_icmp || (!opens && self.is_answer(packet, peer, now)) {
            return Ok(());
        }
        let owner = owner(peer, flow.protocol);
        if opens {
            // A connection that the peer opens is the peer's, even if this node had one with the same ports.
            self.here.remove(&flow);
            self.there.insert(flow, owner, now);
        } else if !self.there.touch(&flow, owner, now) {
            let is_recent = |used: Instant| now.saturating_duration_since(used) < RECENT;
            let is_datagram = flow.protocol != protocol::TCP;
            if is_datagram && self.there.would_lose(owner).is_some_and(is_recent) {
                return Err(Cause::FlowLimit);
            }
            self.there.insert(flow, owner, now);
        }
        if closes {
            self.there.end(&flow, owner, now);
        }
        Ok(())
    }

    /// Whether this node started the packet's flow; refreshes it if so.
    pub(super) fn is_answer(&mut self, packet: &Packet, peer: PeerId, now: Instant) -> bool {
        let Some(flow) = Flow::inbound(packet) else { return false };
        let owner = owner(peer, flow.protocol);
        let (_, closes) = ends(packet);
        if closes { self.here.end(&flow, owner, now) } else { self.here.settle(&flow, owner, now) }
    }

    /// Which side started `flow`, if it is known.
    pub(super) fn origin(&self, flow: &Flow, now: Instant) -> Option<Origin> {
        if self.here.has(flow, now) {
            Some(Origin::Local)
        } else {
            self.there.has(flow, now).then_some(Origin::Remote)
        }
    }

    /// Records an allowed first fragment.
    pub(super) fn handle_first_fragment(&mut self, packet: &Packet, peer: PeerId, now: Instant) {
        if let Some(fragmented) = Fragmented::of(packet) {
            self.fragmented.insert(fragmented, Owner::from(peer.0), now);
        }
    }

    /// Whether the first fragment of this packet was allowed.
    pub(super) fn has_first_fragment(&self, packet: &Packet, now: Instant) -> bool {
        Fragmented::of(packet).is_some_and(|fragmented| self.fragmented.has(&fragmented, now))
    }
}

/// Records the packets that this node sends; a run of packets of one flow needs one look-up.
#[derive(Debug)]
pub struct OutboundRecorder<'a> {
    flows: &'a mut Flows,
    now: Instant,
    last: Option<(FlowBytes, PeerId)>,
}

impl OutboundRecorder<'_> {
    /// Records an IP packet to `peer`, so that its replies pass. It may be a super-packet.
    pub fn note(&mut self, bytes: &[u8], peer: PeerId) {
        let flow = flow_bytes(bytes).map(|(flow, _)| (flow, peer));
        if flow.is_some() && flow == self.last {
            return;
        }
        self.last = flow;
        if let Ok(packet) = Packet::parse(bytes) {
            self.flows.handle_outbound(&packet, peer, self.now);
        }
    }
}

impl Flow {
    /// The flow of a packet that this node sends.
    fn outbound(packet: &Packet) -> Option<Self> {
        let (source, destination) = if let Transport::Icmp(Icmp::EchoRequest(id)) = packet.transport
        {
            (id, id)
        } else {
            ports(packet)?
        };
        Some(Self {
            protocol: packet.protocol,
            local: (packet.source, source),
            remote: (packet.destination, destination),
        })
    }

    /// The flow of a packet that a peer sends.
    fn inbound(packet: &Packet) -> Option<Self> {
        let (source, destination) = if let Transport::Icmp(Icmp::EchoReply(id)) = packet.transport {
            (id, id)
        } else {
            ports(packet)?
        };
        Some(Self {
            protocol: packet.protocol,
            local: (packet.destination, destination),
            remote: (packet.source, source),
        })
    }

    /// The flow of a packet that an ICMP error quotes.
    pub(super) fn quoted(packet: &QuotedPacket) -> Option<Self> {
        let (source, destination) = packet.ports?;
        Some(Self {
            protocol: packet.protocol,
            local: (packet.source, source),
            remote: (packet.destination, destination),
        })
    }
}

impl Fragmented {
    fn of(packet: &Packet) -> Option<Self> {
        let (source, destination) = (packet.source, packet.destination);
        packet.fragment.map(|fragment| Self { source, destination, fragment })
    }
}

fn ports(packet: &Packet) -> Option<(u16, u16)> {
    match packet.transport {
        Transport::Tcp { source, destination, .. }
        | Transport::Datagram { source, destination } => Some((source, destination)),
        Transport::Icmp(_) | Transport::Other | Transport::LaterFragment => None,
    }
}

/// Whether a packet opens a connection, and whether it ends one.
fn ends(packet: &Packet) -> (bool, bool) {
    match packet.transport {
        Transport::Tcp { opens, closes, .. } => (opens, closes),
        Transport::Datagram { .. }
        | Transport::Icmp(_)
        | Transport::Other
        | Transport::LaterFragment => (false, false),
    }
}

/// The owner that a flow is charged to: the peer, separately for TCP and the rest.
fn owner(peer: PeerId, protocol: u8) -> Owner {
    Owner::from(peer.0) << 1 | Owner::from(protocol == protocol::TCP)
}

/// Idle timeout of a flow.
fn idle(owner: Owner, stage: Stage) -> Duration {
    match (owner & 1 == 1, stage) {
        (true, Stage::New) => TCP_OPENING,
        (true, Stage::Over | Stage::Settled) => TCP_IDLE,
        (false, _) => UDP_IDLE,
    }
}

#[cfg(test)]
mod tests;
