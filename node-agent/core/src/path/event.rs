//! Events of a path.

use std::net::SocketAddr;

/// Where a packet came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Over the relay.
    Relay,
    /// By UDP from this address.
    Udp(SocketAddr),
}

impl Source {
    pub(super) fn is_udp(self, address: Option<SocketAddr>) -> bool {
        match self {
            Self::Udp(from) => address == Some(from),
            Self::Relay => false,
        }
    }
}

/// The kind of an authenticated packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// A handshake initiation.
    Initiation,
    /// A handshake response. It is sent to the initiation's source, so one by UDP proves that both directions work.
    Response,
    /// A packet with content.
    Data,
    /// A keepalive.
    Empty,
}

impl PacketKind {
    /// Whether it proves, when received by UDP, that the peer hears us: data is sent by UDP only after that.
    pub(super) fn proves_both_ways(self) -> bool {
        match self {
            Self::Data | Self::Response => true,
            Self::Initiation | Self::Empty => false,
        }
    }
}

/// A disco message that must be sent to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A ping by UDP to this address.
    Ping(SocketAddr),
    /// A call-me-maybe over the relay, with this node's endpoints; nothing if there are none.
    CallMeMaybe,
}

/// The paths on which a packet is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// By UDP to this address.
    pub direct: Option<SocketAddr>,
    /// Over the relay.
    pub relay: bool,
}
