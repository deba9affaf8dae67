//! What happens on a path.

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

/// What was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A handshake initiation.
    Initiation,
    /// A handshake response. It goes where its initiation came from, so that one that came by UDP
    /// shows that both directions work.
    Response,
    /// A packet with content.
    Data,
    /// A keepalive.
    Empty,
}

impl Heard {
    /// Whether it shows, when it comes by UDP, that the peer hears us there: it sends data by UDP
    /// only after it heard us by UDP.
    pub(super) fn proves_both_ways(self) -> bool {
        match self {
            Self::Data | Self::Response => true,
            Self::Initiation | Self::Empty => false,
        }
    }
}

/// Which ways a packet is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// By UDP to this address.
    pub direct: Option<SocketAddr>,
    /// Over the relay.
    pub relay: bool,
}
