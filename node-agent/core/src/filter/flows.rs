//! Which side started each flow, and which fragments belong to a packet that was let in: bounded, a share for each peer.
//!
//! Flows that this node started and flows that peers started lie in tables of their own, so that no peer can push out
//! what this node waits an answer for. Within a table each peer has a share (`table.rs`): a member who opens flows without
//! end loses flows of its own.
//!
//! A peer's flow is remembered so that answering it does not make it this node's. That must not be undone by forgetting
//! it: TCP becomes this node's by a SYN only; a datagram flow that was used within [`RECENT`] is not forgotten for
//! another of the same peer, which is refused instead ([`Cause::FlowLimit`]); and while one that was forgotten for want
//! of room would still be remembered otherwise, no datagram to its peer makes a flow this node's.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    packet::{Fragment, Icmp, Packet, Quoted, Transport, protocol},
    peer::PeerId,
    run::{FlowBytes, flow_bytes},
    table::{FairTable, Limits, Owner, Stage},
};
use crate::drops::Cause;

/// Most flows that are remembered of those that this node started; as many of those that peers started.
pub const MAX_FLOWS: usize = 16 * 1024;
/// Most flows of one peer that are remembered; of TCP and of datagrams as many each.
pub const MAX_FLOWS_OF_PEER: usize = 8 * 1024;
/// Idle time after which a UDP flow is forgotten (RFC 4787, requirement 5, asks for 2 minutes or more).
pub const UDP_IDLE: Duration = Duration::from_secs(3 * 60);
/// Idle time after which a TCP flow is forgotten (RFC 5382, requirement 5, asks for 2 hours 4 minutes or more).
pub const TCP_IDLE: Duration = Duration::from_secs(24 * 60 * 60);
/// Idle time after which a TCP flow of this node's is forgotten that nobody answered (RFC 5382, requirement 5, asks for 4
/// minutes or more).
pub const TCP_OPENING: Duration = Duration::from_secs(4 * 60);
/// A peer's datagram flow that was used within this time does not make room for another of that peer.
pub const RECENT: Duration = Duration::from_secs(30);
/// For so long after the start, TCP from a port that connections start from ([`STARTING_PORTS`]) is this node's, although
/// no SYN was seen: connections outlive a restart of the agent. Not those with a peer of whose connections one was forgotten
/// for want of room, since that one must not become this node's.
pub const RESTART: Duration = Duration::from_secs(5 * 60);
/// The lowest port that Linux gives to connections which start here.
pub const STARTING_PORTS: u16 = 32_768;

/// Most packets whose later fragments are awaited, in all.
const MAX_FRAGMENTED: usize = 4096;
/// The same of one peer.
const MAX_FRAGMENTED_OF_PEER: usize = 256;
/// How long later fragments may come after the first.
pub const FRAGMENT_LIFE: Duration = Duration::from_secs(30);

/// A flow as seen from this node: the same for packets of both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flow {
    pub(super) protocol: u8,
    pub(super) local: (IpAddr, u16),
    pub(super) remote: (IpAddr, u16),
}

/// Who sent a flow's first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This node: the peer's packets are answers.
    Here,
    /// The peer: each of its packets must be allowed by a rule.
    There,
}

/// A packet whose first fragment was let in.
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
    /// None yet. `now` is when this node starts to see packets.
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

    /// How many flows are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.here.len() + self.there.len()
    }

    /// Whether no flow is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes the packets that this node sends at `now`.
    pub fn sending(&mut self, now: Instant) -> Sending<'_> {
        Sending { flows: self, now, last: None }
    }

    /// Remembers a packet that this node sends to `peer`, so that its answers pass.
    pub fn handle_outbound(&mut self, packet: &Packet, peer: PeerId, now: Instant) {
        let Some(flow) = Flow::outbound(packet) else { return };
        let owner = owner(peer, flow.protocol);
        let (opens, closes) = ends(packet);
        // A flow keeps its first origin: answering a peer must not open what a rule closes later.
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

    /// Whether a packet without SYN can be the first that is seen of a flow that this node started.
    fn may_begin(&self, packet: &Packet, owner: Owner, now: Instant) -> bool {
        match packet.transport {
            Transport::Tcp { source, .. } => {
                source >= STARTING_PORTS
                    && !self.there.has_forgotten(owner, now)
                    && now.saturating_duration_since(self.started_at) <= RESTART
            }
            // It may be an answer to what was forgotten.
            Transport::Datagram { .. } => !self.there.has_forgotten(owner, now),
            Transport::Icmp(_) => true,
            Transport::Other | Transport::LaterFragment => false,
        }
    }

    /// Remembers that the peer started the packet's flow, if none did yet; a rule let the packet in.
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
            // A connection that the peer opens is the peer's, also where one of this node's was before.
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

    /// Whether the packet's flow was started by this node and is not forgotten; refreshes it if so.
    pub(super) fn is_answer(&mut self, packet: &Packet, peer: PeerId, now: Instant) -> bool {
        let Some(flow) = Flow::inbound(packet) else { return false };
        let owner = owner(peer, flow.protocol);
        let (_, closes) = ends(packet);
        if closes { self.here.end(&flow, owner, now) } else { self.here.settle(&flow, owner, now) }
    }

    /// Who started `flow`, if it is not forgotten.
    pub(super) fn origin(&self, flow: &Flow, now: Instant) -> Option<Origin> {
        if self.here.has(flow, now) {
            Some(Origin::Here)
        } else {
            self.there.has(flow, now).then_some(Origin::There)
        }
    }

    /// Remembers a first fragment that was let in.
    pub(super) fn handle_first_fragment(&mut self, packet: &Packet, peer: PeerId, now: Instant) {
        if let Some(fragmented) = Fragmented::of(packet) {
            self.fragmented.insert(fragmented, Owner::from(peer.0), now);
        }
    }

    /// Whether the first fragment of the packet that this is a later one of was let in.
    pub(super) fn has_first_fragment(&self, packet: &Packet, now: Instant) -> bool {
        Fragmented::of(packet).is_some_and(|fragmented| self.fragmented.has(&fragmented, now))
    }
}

/// Notes what this node sends: a run of packets of one flow costs one look-up.
#[derive(Debug)]
pub struct Sending<'a> {
    flows: &'a mut Flows,
    now: Instant,
    last: Option<(FlowBytes, PeerId)>,
}

impl Sending<'_> {
    /// Notes an IP packet to `peer`, whole or not yet split into segments, so that its answers pass.
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

    /// The flow of a packet that this node sent and a peer complains of.
    pub(super) fn quoted(packet: &Quoted) -> Option<Self> {
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

/// Who is charged for a flow: the peer, for TCP and all else apart.
fn owner(peer: PeerId, protocol: u8) -> Owner {
    Owner::from(peer.0) << 1 | Owner::from(protocol == protocol::TCP)
}

/// How long a flow may be quiet.
fn idle(owner: Owner, stage: Stage) -> Duration {
    match (owner & 1 == 1, stage) {
        (true, Stage::New) => TCP_OPENING,
        (true, Stage::Over | Stage::Settled) => TCP_IDLE,
        (false, _) => UDP_IDLE,
    }
}

#[cfg(test)]
mod tests;
