//! A device, as WireGuard has it.

use std::{
    net::{IpAddr, SocketAddr},
    time::SystemTime,
};

/// A device as WireGuard has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) key: [u8; 32],
    pub(crate) addresses: Vec<IpAddr>,
}

/// What WireGuard knows of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PeerState {
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) last_handshake: Option<SystemTime>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}
