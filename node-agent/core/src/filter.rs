//! The packet filter for packets from peers. Default deny.
//!
//! Rules come from the coordinator ([`FilterRule`]) and are compiled once per map. A packet passes if
//!
//! 1. it is a complete IP packet, or a fragment of one whose first fragment passed, with valid headers;
//! 2. its source is an address of the peer (cryptokey routing) and its destination one of this node's, or of a network that
//!    this node routes; and
//! 3. a rule allows its source, destination, protocol and port; or it belongs to a flow that this node started ([`Flows`]); or
//!    it is an ICMP error about a packet of such a flow with that peer.
//!
//! Every packet of a connection is judged, not only the first: removing a rule cuts the connections that it allowed. The
//! device counts refused packets by [`Cause`]. Fragments that overtake their first are refused; the sender retransmits.

use std::{net::IpAddr, time::Instant};

use common::{mesh, route};
use control_protocol::map::FilterRule;
use ipnet::IpNet;

use crate::drops::Cause;

mod flows;
mod list;
mod martian;
pub mod packet;
mod rules;
mod run;
mod table;

pub use flows::{
    FRAGMENT_LIFE, Flows, MAX_FLOWS, MAX_FLOWS_OF_PEER, OutboundRecorder, PeerId, RECENT, RESTART,
    STARTING_PORTS, TCP_IDLE, TCP_OPENING, UDP_IDLE,
};
use flows::{Flow, Origin};
use martian::is_martian;
use packet::{Icmp, Packet, QuotedPacket, Transport};
pub(crate) use rules::DEFAULT_PROTOCOLS;
pub use rules::Ranges;
use rules::Rule;
use run::{FlowBytes, flow_bytes};

/// Compiled rules. The default has no rules and no addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PacketFilter {
    local: Ranges,
    routed: Ranges,
    /// Mesh addresses of WireGuard devices behind this node.
    behind: Ranges,
    /// Whether another filter judges where packets may go.
    is_open: bool,
    rules: Vec<Rule>,
}

impl PacketFilter {
    /// Compiles `rules` for the node with the addresses `local`.
    ///
    /// Parts that cannot be read allow nothing: rules in the format of 2020, invalid addresses, `cap:` sources (grants to
    /// capabilities are not packet rules).
    #[must_use]
    pub fn compile(rules: &[FilterRule], local: &[IpNet]) -> Self {
        let mut own = Ranges::default();
        for net in local {
            own.push_net(*net);
        }
        let rules =
            rules.iter().filter(|rule| rule.is_supported()).filter_map(Rule::compile).collect();
        Self { local: own, rules, ..Self::default() }
    }

    /// The same for a node that forwards packets to these addresses, too: never to mesh addresses, which are other nodes', or to
    /// loopback, link-local and multicast ones.
    #[must_use]
    pub fn forwarding(mut self, routed: Ranges) -> Self {
        self.routed = routed;
        self
    }

    /// The same for a router of WireGuard devices with these mesh addresses: packets to them pass, none from them does.
    #[must_use]
    pub fn serving(mut self, devices: &[IpAddr]) -> Self {
        self.behind = devices.iter().copied().map(IpNet::from).collect();
        self
    }

    /// A filter that lets each peer send to any address: it checks that packets are valid and from the peer's own addresses.
    /// For an interface whose packets the kernel's firewall judges.
    #[must_use]
    pub fn open() -> Self {
        let mut filter = Self { is_open: true, ..Self::default() };
        filter.rules.push(Rule::any());
        filter
    }

    /// Judges packets that `peer` sent at `now`. `owns` returns whether an address is that peer's.
    pub fn judge<'a, Owns: Fn(IpAddr) -> bool>(
        &'a self,
        flows: &'a mut Flows,
        peer: PeerId,
        owns: Owns,
        now: Instant,
    ) -> Judge<'a, Owns> {
        Judge { filter: self, flows, peer, owns, now, passed: None }
    }

    /// Whether a rule lets `source` open `port` of `destination` by `protocol` (an IANA number).
    ///
    /// A server of a connection ends it when this becomes false.
    #[must_use]
    pub fn allows_port(
        &self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        port: u16,
    ) -> bool {
        self.rules.iter().any(|rule| rule.allows_port(source, destination, protocol, port))
    }

    fn is_for_us(&self, destination: IpAddr) -> bool {
        let may_lead_there = || mesh::is_outside(destination) && !route::is_nowhere(destination);
        self.is_open
            || self.local.contains(destination)
            || self.behind.contains(destination)
            || self.routed.contains(destination) && may_lead_there()
    }

    fn allows(&self, packet: &Packet) -> bool {
        self.rules.iter().any(|rule| rule.allows(packet))
    }
}

/// Judges the packets of one peer in order.
///
/// A run of packets of one flow needs one look-up of owner, rule and flow: further packets are compared byte by byte with one
/// that passed. It borrows the flows: use it for one batch.
#[derive(Debug)]
pub struct Judge<'a, Owns> {
    filter: &'a PacketFilter,
    flows: &'a mut Flows,
    peer: PeerId,
    owns: Owns,
    now: Instant,
    /// The flow of the previous packet, if it passed.
    passed: Option<FlowBytes>,
}

impl<Owns: Fn(IpAddr) -> bool> Judge<'_, Owns> {
    /// Judges a packet, which may be padded, and updates the flows. Returns the packet's length without padding.
    ///
    /// # Errors
    ///
    /// The cause of the refusal; flows are not changed then.
    pub fn check(&mut self, bytes: &[u8]) -> Result<usize, Cause> {
        let flow = flow_bytes(bytes);
        if let Some((flow, len)) = flow
            && self.passed == Some(flow)
        {
            return Ok(len);
        }
        self.passed = None;
        let packet = Packet::parse(bytes).map_err(packet::Malformed::cause)?;
        self.check_packet(&packet)?;
        self.passed = flow.map(|(flow, _)| flow);
        Ok(packet.len)
    }

    /// Judges a packet that the node itself answers, whatever the rules: it is valid, from the peer and for this node. Returns
    /// its headers.
    ///
    /// # Errors
    ///
    /// The cause of the refusal.
    pub fn check_own(&self, bytes: &[u8]) -> Result<Packet, Cause> {
        let packet = Packet::parse(bytes).map_err(packet::Malformed::cause)?;
        self.check_addresses(&packet)?;
        // Not for a network behind this node either.
        if self.filter.local.contains(packet.destination) {
            Ok(packet)
        } else {
            Err(Cause::NotForUs)
        }
    }

    fn check_packet(&mut self, packet: &Packet) -> Result<(), Cause> {
        self.check_addresses(packet)?;
        match packet.transport {
            Transport::LaterFragment if self.flows.has_first_fragment(packet, self.now) => {
                return Ok(());
            }
            Transport::LaterFragment => return Err(Cause::Fragment),
            Transport::Icmp(Icmp::LinkOnly) => return Err(Cause::LinkOnly),
            Transport::Icmp(Icmp::Error(quoted)) if self.concerns_us(packet, &quoted) => {}
            Transport::Icmp(Icmp::Error(_)) => return Err(Cause::NoFlow),
            Transport::Icmp(Icmp::EchoRequest(_) | Icmp::EchoReply(_) | Icmp::Other)
            | Transport::Tcp { .. }
            | Transport::Datagram { .. }
            | Transport::Other => self.check_flow(packet)?,
        }
        self.flows.handle_first_fragment(packet, self.peer, self.now);
        Ok(())
    }

    fn check_addresses(&self, packet: &Packet) -> Result<(), Cause> {
        if is_martian(packet.source) || is_martian(packet.destination) {
            return Err(Cause::Martian);
        }
        let is_ours =
            |address| self.filter.local.contains(address) || self.filter.behind.contains(address);
        if is_ours(packet.source) || !(self.owns)(packet.source) {
            return Err(Cause::Spoofed);
        }
        if self.filter.is_for_us(packet.destination) { Ok(()) } else { Err(Cause::NotForUs) }
    }

    fn check_flow(&mut self, packet: &Packet) -> Result<(), Cause> {
        if self.filter.allows(packet) {
            return self.flows.admit(packet, self.peer, self.now);
        }
        match packet.transport {
            // A packet that opens a connection is never a reply.
            Transport::Tcp { opens: true, .. } => Err(Cause::NoRule),
            _ if self.flows.is_answer(packet, self.peer, self.now) => Ok(()),
            Transport::Tcp { .. } | Transport::Icmp(Icmp::EchoReply(_)) => Err(Cause::NoFlow),
            Transport::Datagram { .. }
            | Transport::Icmp(_)
            | Transport::Other
            | Transport::LaterFragment => Err(Cause::NoRule),
        }
    }

    /// Whether an ICMP error is about a packet that this node sent to this peer, in an allowed flow.
    fn concerns_us(&self, packet: &Packet, quoted: &QuotedPacket) -> bool {
        let Some(flow) = Flow::quoted(quoted) else { return false };
        let is_between_us = quoted.source == packet.destination && (self.owns)(quoted.destination);
        is_between_us
            && match self.flows.origin(&flow, self.now) {
                Some(Origin::Local) => true,
                Some(Origin::Remote) => {
                    let (there, (here, port)) = (flow.remote.0, flow.local);
                    self.filter.allows_port(there, here, flow.protocol, port)
                }
                None => false,
            }
    }
}

#[cfg(test)]
mod tests;
