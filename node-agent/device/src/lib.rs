//! TUN, UDP and WireGuard on threads of their own.
//!
//! ```text
//!           read, split            Protocol::seal            send (sendmmsg, UDP_SEGMENT)
//!   kernel ─────────────▶ batch ────────────────▶ batch ──────────────────▶ UDP, or Host::relay
//!   kernel ◀───────────── batch ◀──────────────── batch ◀────────────────── UDP, or handle_relayed
//!           coalesce, write        Protocol::open            receive (recvmmsg, UDP_GRO), window
//! ```
//!
//! One thread carries packets from the TUN to the network, one from the network to the TUN, one
//! ticks the timers. They share a table of peers that is replaced as a whole, and one lock per
//! peer. Which way a packet takes is decided by [`node_agent_core::path`], whether it may enter by
//! [`node_agent_core::filter`]; a datagram whose source is inside the mesh is dropped unread
//! ([`node_agent_core::endpoint`]); `docs/decisions/0001-data-plane.md` says why it is built this way,
//! `0002-offloads.md` how the kernel is asked to take and give many packets at once.
//!
//! What this crate does not do: addresses, routes and "link up" (the agent sets them by netlink),
//! disco, STUN (their datagrams are handed to [`Host::foreign`]).
#![allow(
    unsafe_code,
    reason = "system calls that no safe crate offers in batches; each has a SAFETY comment"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "this crate owns sockets and threads: it reads the clock"
)]

use std::{io, net::SocketAddr, time::SystemTime};

use ipnet::IpNet;

pub mod batch;
mod checksum;
pub mod coalesce;
mod device;
mod gate;
mod inbound;
pub mod offload;
mod outbound;
mod outgoing;
mod peer;
pub mod protocol;
#[cfg(test)]
mod sample;
pub mod split;
mod sys;
mod table;
mod tun;
mod udp;
pub mod vnet;
pub mod window;
pub mod wire;

pub use device::Device;
pub use offload::Offload;

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

/// What the device asks of the process that runs it.
///
/// Both methods are called on the packet threads and must not block; neither is called with a
/// lock held, so calling back into the device is allowed.
pub trait Host: Send + Sync {
    /// Sends a WireGuard message to the peer with the node key `to` over the relay, if it can.
    fn relay(&self, to: &[u8; 32], packet: &[u8]);

    /// Takes a datagram from the shared UDP socket that is not WireGuard's (STUN, disco).
    fn foreign(&self, from: SocketAddr, packet: &[u8]);
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

/// A device could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work.
    #[error("{0}")]
    Config(&'static str),
    /// `/dev/net/tun` cannot be opened.
    #[error(
        "cannot open /dev/net/tun (load the tun module, or pass the device into the container)"
    )]
    NoTun(#[source] io::Error),
    /// The interface cannot be created.
    #[error(
        "cannot create the interface {interface} (is another agent running? it needs CAP_NET_ADMIN)"
    )]
    Interface {
        /// Its name.
        interface: String,
        /// Why not.
        source: io::Error,
    },
    /// The UDP port cannot be bound.
    #[error("cannot listen on UDP port {port} (choose another listen_port, or stop what uses it)")]
    Bind {
        /// The port.
        port: u16,
        /// Why not.
        source: io::Error,
    },
    /// A thread or the descriptor that wakes it cannot be made.
    #[error("cannot start the packet threads")]
    Threads(#[source] io::Error),
}
