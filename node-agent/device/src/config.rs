//! Configuration of a device, its peers, and its callbacks.

use std::net::SocketAddr;

use ipnet::IpNet;

use crate::offload::Offload;

/// Configuration of a device.
#[derive(Clone)]
pub struct Config {
    /// Name of the TUN interface, at most 15 bytes.
    pub interface: String,
    /// Largest IP packet inside the tunnel, in bytes (576 to 9000). Maru's is 1280.
    pub mtu: u16,
    /// UDP port on both address families; 0 lets the kernel choose.
    pub listen_port: u16,
    /// Mark of the packets that carry the tunnel (`SO_MARK`), for rules of routing; needs CAP_NET_ADMIN.
    pub mark: Option<u32>,
    /// This node's X25519 private key.
    pub private_key: [u8; 32],
    /// This node's private key for path discovery.
    pub discovery_key: [u8; 32],
    /// Whether the peers have plain WireGuard: each is sent to where it was last heard, and nowhere else.
    pub roams: bool,
    /// The allowed offloads; those that the kernel lacks are not used.
    pub offload: Offload,
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its node key.
    pub public_key: [u8; 32],
    /// Its key for path discovery; zeros if it has none. A new one means that the peer restarted: one handshake with an older timestamp is accepted
    /// then, since its clock may have gone back.
    pub discovery_key: [u8; 32],
    /// Addresses that it may send from and that are routed to it.
    pub allowed_ips: Vec<IpNet>,
    /// Endpoint candidates, in any order. Unusable ones, such as mesh addresses, are ignored.
    pub candidates: Vec<SocketAddr>,
}

/// Callbacks of the device.
///
/// They are called on the packet threads and must not block. No lock is held, so they may call the device.
pub trait Host: Send + Sync {
    /// Sends a WireGuard or disco message to the peer with the node key `to` over the relay, if possible.
    fn relay(&self, to: &[u8; 32], packet: &[u8]);

    /// Handles a datagram from the shared UDP socket that is neither WireGuard nor disco (STUN).
    fn foreign(&self, from: SocketAddr, packet: &[u8]);
}
