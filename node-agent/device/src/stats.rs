//! Statistics of a running device.

use std::{net::SocketAddr, time::SystemTime};

/// The path to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Direct to this address, which has answered.
    Direct(SocketAddr),
    /// Over the relay.
    Relay,
    /// No session.
    None,
}

/// Statistics of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStats {
    /// Its node key.
    pub public_key: [u8; 32],
    /// The path of packets to it.
    pub path: Path,
    /// When the session in use was made; `None` without a session.
    pub last_handshake: Option<SystemTime>,
    /// Bytes of IP packets from it that were allowed and written to the interface.
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
