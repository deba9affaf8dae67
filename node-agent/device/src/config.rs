//! What a device is started with.

use std::net::SocketAddr;

use ipnet::IpNet;

use crate::offload::Offload;

/// What a device is started with.
#[derive(Clone)]
pub struct Config {
    /// Name of the TUN interface, at most 15 bytes.
    pub interface: String,
    /// Largest IP packet inside the tunnel, in bytes (576 to 9000). Maru's is 1280.
    pub mtu: u16,
    /// UDP port on both address families; 0 lets the kernel choose.
    pub listen_port: u16,
    /// This node's X25519 private key.
    pub private_key: [u8; 32],
    /// The offloads that may be used; what the kernel does not have is left out.
    pub offload: Offload,
}

/// A peer that the network map allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its node key.
    pub public_key: [u8; 32],
    /// Its key for path discovery. Another one than before means that it started again: one handshake that is older
    /// than the last is taken then, since its clock may have gone back meanwhile.
    pub discovery_key: [u8; 32],
    /// Addresses that it may send from and that are routed to it.
    pub allowed_ips: Vec<IpNet>,
    /// Where it may be reached by UDP; the order does not matter. Addresses of the mesh and others where no peer can be
    /// are not used.
    pub candidates: Vec<SocketAddr>,
}
