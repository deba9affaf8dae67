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

pub mod batch;
mod checksum;
pub mod coalesce;
mod config;
mod device;
mod error;
mod flush;
mod gate;
mod host;
mod inbound;
mod inbox;
mod lock;
pub mod offload;
mod outbound;
mod outgoing;
mod peer;
pub mod protocol;
mod shared;
pub mod split;
mod stats;
mod sys;
mod table;
#[cfg(test)]
mod test_packet;
mod tun;
mod udp;
pub mod vnet;
pub mod window;
pub mod wire;

pub use config::{Config, Peer};
pub use device::Device;
pub use error::Error;
pub use host::Host;
pub use offload::Offload;
pub use stats::{LocalPorts, Path, PeerStats};
