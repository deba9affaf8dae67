//! What is known of a running device.

use std::{net::SocketAddr, time::SystemTime};

/// How packets to a peer travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Straight to this address, which has answered.
    Direct(SocketAddr),
    /// Over the relay.
    Relay,
    /// No session: nothing travels.
    None,
}

/// What is known of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStats {
    /// Its node key.
    pub public_key: [u8; 32],
    /// How packets travel.
    pub path: Path,
    /// When the session in use was made; `None` without a session.
    pub last_handshake: Option<SystemTime>,
    /// Bytes of IP packets received from it that were let in and that the interface took.
    pub rx_bytes: u64,
    /// Bytes of IP packets sent to it.
    pub tx_bytes: u64,
}

/// The UDP ports in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalPorts {
    /// The IPv4 socket's.
    pub v4: u16,
    /// The IPv6 socket's; `None` where the kernel has no IPv6.
    pub v6: Option<u16>,
}
