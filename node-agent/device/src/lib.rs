//! TUN, UDP and WireGuard on threads of their own.
//!
//! ```text
//!           read, split            Protocol::seal            send (sendmmsg, UDP_SEGMENT)
//!   kernel ─────────────▶ batch ────────────────▶ batch ──────────────────▶ UDP, or Host::relay
//!   kernel ◀───────────── batch ◀──────────────── batch ◀────────────────── UDP, or handle_relayed
//!           coalesce, write        Protocol::open            receive (recvmmsg, UDP_GRO), window
//! ```
//!
//! One thread forwards packets from the TUN to the network, one from the network to the TUN, and one runs the timers. They
//! share a table of peers, which is replaced as a whole, and one lock per peer. [`node_agent_core::path`] chooses a packet's
//! path, [`node_agent_core::filter`] filters received packets, and datagrams from mesh addresses are dropped
//! ([`node_agent_core::endpoint`]). `docs/decisions/0001-data-plane.md` explains the design, `0002-offloads.md` the offloads.
//!
//! `disco` answers and asks peers by disco. Addresses, routes and "link up" are set by the agent; datagrams of STUN are passed
//! to [`Host::foreign`].
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
mod disco;
mod error;
mod gate;
mod inbound;
pub mod offload;
mod outbound;
mod outgoing;
mod peer;
mod ping;
mod pings;
pub mod protocol;
mod receive_buffers;
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

pub use config::{Config, Host, Peer};
pub use device::Device;
pub use error::Error;
pub use offload::Offload;
pub use pings::Ping;
pub use stats::{LocalPorts, Path, PeerStats};
pub use tun::handed_over;
