//! Wire types of Tailscale's control protocol, keys, Noise handshake and frames.
//!
//! The coordinator serves the protocol and the agent is its client; the other end may be a stock implementation. No I/O and
//! no decisions.
//!
//! * [`key`]: the keys of machines, nodes and path discovery.
//! * [`key_response`]: how a client learns the coordinator's Noise key.
//! * [`noise`]: the handshake and the encrypted records of the channel.
//! * [`register`]: how a node becomes and stays registered.
//! * [`admit`]: how other relays check whether a client is a node.
//! * [`certificate`]: public certificates for names of the mesh.
//! * [`map`]: the network map and its changes; [`frame`]: frames of maps in one response.
//!
//! JSON is decoded leniently, because three implementations write it: unknown fields are ignored, `null` lists are empty, and
//! the spellings of the Go and the Rust client are both accepted. Times are RFC 3339 strings; Go's zero time ([`ZERO_TIME`])
//! is read as `None`.

#![forbid(unsafe_code)]

pub mod admit;
pub mod certificate;
pub mod frame;
mod json;
pub mod key;
pub mod key_response;
pub mod map;
pub mod noise;
pub mod register;

/// Path of the request that upgrades a connection to a Noise channel.
pub const UPGRADE_PATH: &str = "/ts2021";

/// How Go writes a time that is not set.
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// The capability version of Maru's agent, that of Tailscale 1.90.
pub const CAPABILITY_VERSION: u32 = 130;

/// The oldest capability version that a coordinator should accept (Tailscale 1.80).
///
/// Clients from 113 on support `HomeDERP` (111), and read an absent `AllowedIPs` as the node's addresses (112).
pub const MIN_CAPABILITY_VERSION: u32 = 113;
