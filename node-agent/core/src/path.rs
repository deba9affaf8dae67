//! Paths: direct or over the relay, for each peer.
//!
//! The relay is always available; UDP is used while it works. How that is known depends on the peer: a peer with a disco key
//! is asked by disco ([`crate::disco`]), the others by WireGuard's empty packets, and one of plain WireGuard is not asked. The caller owns the socket and the clock.

use std::{net::SocketAddr, time::Instant};

use crate::disco::TransactionId;

mod candidates;
mod event;
mod pinged;
mod probed;
mod roaming;
pub mod timing;

pub use event::{PacketKind, Request, Route, Source};
use pinged::PingedPath;
use probed::ProbedPath;
use roaming::RoamingPath;
pub use timing::*;

#[derive(Clone, Debug)]
enum Machine {
    Probed(Box<ProbedPath>),
    Pinged(Box<PingedPath>),
    Roaming(RoamingPath),
}

/// The paths to one peer.
#[derive(Clone, Debug)]
pub struct PeerPath {
    machine: Machine,
}

impl PeerPath {
    /// A path over the relay. `disco` is whether the peer has a disco key.
    #[must_use]
    pub fn new(disco: bool) -> Self {
        let machine =
            if disco { Machine::Pinged(Box::default()) } else { Machine::Probed(Box::default()) };
        Self { machine }
    }

    /// A path to a peer of plain WireGuard, which has not been heard yet.
    #[must_use]
    pub fn roaming() -> Self {
        Self { machine: Machine::Roaming(RoamingPath::default()) }
    }

    /// Replaces the candidates; those past [`MAX_CANDIDATES`] and unusable ones are dropped
    /// ([`is_usable`](crate::endpoint::is_usable)).
    pub fn set_candidates(&mut self, candidates: &[SocketAddr]) {
        match &mut self.machine {
            Machine::Probed(path) => path.set_candidates(candidates),
            Machine::Pinged(path) => path.set_candidates(candidates),
            Machine::Roaming(_) => {}
        }
    }

    /// The paths on which data is sent now.
    #[must_use]
    pub fn route(&self) -> Route {
        match &self.machine {
            Machine::Probed(path) => path.route(),
            Machine::Pinged(path) => path.route(),
            Machine::Roaming(path) => path.route(),
        }
    }

    /// The address of a direct path, if there is one.
    #[must_use]
    pub fn direct(&self) -> Option<SocketAddr> {
        match &self.machine {
            Machine::Probed(path) => path.direct(),
            Machine::Pinged(path) => path.address(),
            Machine::Roaming(path) => path.heard_at,
        }
    }

    /// All addresses for a handshake initiation, which is also sent over the relay.
    #[must_use]
    pub fn fan_out(&self) -> Vec<SocketAddr> {
        match &self.machine {
            Machine::Probed(path) => path.fan_out().collect(),
            Machine::Pinged(path) => path.fan_out().collect(),
            Machine::Roaming(path) => path.heard_at.into_iter().collect(),
        }
    }

    /// Records an authenticated packet. Returns an address to which an empty packet must be sent.
    pub fn handle_received(
        &mut self,
        source: Source,
        heard: PacketKind,
        now: Instant,
    ) -> Option<SocketAddr> {
        match &mut self.machine {
            Machine::Probed(path) => path.handle_received(source, heard, now),
            Machine::Pinged(path) => {
                path.handle_received(source, heard, now);
                None
            }
            Machine::Roaming(path) => {
                path.handle_received(source);
                None
            }
        }
    }

    /// Records that data was sent along [`Self::route`].
    pub fn handle_sent_data(&mut self, now: Instant) {
        match &mut self.machine {
            Machine::Probed(path) => path.handle_sent_data(now),
            Machine::Pinged(path) => path.handle_sent_data(now),
            Machine::Roaming(_) => {}
        }
    }

    /// Records that an empty packet was sent along [`Self::route`].
    pub fn handle_sent(&mut self, now: Instant) {
        match &mut self.machine {
            Machine::Probed(path) => path.handle_sent(now),
            Machine::Pinged(_) | Machine::Roaming(_) => {}
        }
    }

    /// Records that a handshake was begun: a path is needed.
    pub fn handle_initiation(&mut self, now: Instant) {
        if let Machine::Pinged(path) = &mut self.machine {
            path.handle_wanted(now);
        }
    }

    /// Records that a new session was made: a path is looked for.
    pub fn handle_session(&mut self, now: Instant) {
        match &mut self.machine {
            Machine::Probed(path) => path.handle_session(),
            Machine::Pinged(path) => path.handle_wanted(now),
            Machine::Roaming(_) => {}
        }
    }

    /// Advances to `now`; call it about four times a second. `live` is whether there is a session. Appends addresses to which an
    /// empty packet must be sent.
    pub fn handle_timeout(&mut self, live: bool, now: Instant, probes: &mut Vec<SocketAddr>) {
        match &mut self.machine {
            Machine::Probed(path) => path.handle_timeout(live, now, probes),
            Machine::Pinged(path) => path.handle_timeout(live, now),
            Machine::Roaming(_) => {}
        }
    }

    /// Records that this node has other endpoints: the peer is called if a path is looked for.
    pub fn handle_endpoints(&mut self, now: Instant) {
        if let Machine::Pinged(path) = &mut self.machine {
            path.handle_endpoints(now);
        }
    }

    /// Records that this machine's network changed, or that it slept: a path that worked may not, and one that failed may. Data
    /// on a direct path is sent over the relay, too, until it is proved again. Appends addresses to which an empty packet must
    /// be sent.
    pub fn handle_network_change(&mut self, now: Instant, probes: &mut Vec<SocketAddr>) {
        match &mut self.machine {
            Machine::Probed(path) => path.handle_network_change(now, probes),
            Machine::Pinged(path) => path.handle_network_change(now),
            Machine::Roaming(_) => {}
        }
    }

    /// The next disco message to send. Report a ping by [`Self::handle_ping_sent`].
    pub fn poll_request(&mut self) -> Option<Request> {
        match &mut self.machine {
            Machine::Probed(_) | Machine::Roaming(_) => None,
            Machine::Pinged(path) => path.poll_request(),
        }
    }

    /// Records that a ping with this transaction id, chosen at random, was sent to `to`.
    pub fn handle_ping_sent(&mut self, to: SocketAddr, transaction: TransactionId, now: Instant) {
        if let Machine::Pinged(path) = &mut self.machine {
            path.handle_ping_sent(to, transaction, now);
        }
    }

    /// Records a ping of the peer. Returns whether it must be answered, to its source.
    pub fn handle_ping(
        &mut self,
        source: Source,
        transaction: TransactionId,
        now: Instant,
    ) -> bool {
        match &mut self.machine {
            Machine::Probed(_) | Machine::Roaming(_) => false,
            Machine::Pinged(path) => path.handle_ping(source, transaction, now),
        }
    }

    /// Records a pong of the peer that came from `from` by UDP. Returns whether it answers a ping of ours that still waits.
    pub fn handle_pong(
        &mut self,
        from: SocketAddr,
        transaction: TransactionId,
        now: Instant,
    ) -> bool {
        match &mut self.machine {
            Machine::Probed(_) | Machine::Roaming(_) => false,
            Machine::Pinged(path) => path.handle_pong(from, transaction, now),
        }
    }

    /// Records a call-me-maybe that came over the relay.
    pub fn handle_call_me_maybe(&mut self, addresses: &[SocketAddr], now: Instant) {
        if let Machine::Pinged(path) = &mut self.machine {
            path.handle_call_me_maybe(addresses, now);
        }
    }
}
