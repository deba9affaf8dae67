//! Wire types of Tailscale's control protocol, keys, Noise handshake and frames.
//!
//! Both ends use this crate: the coordinator serves the protocol, the agent speaks it, and either may meet a stock
//! implementation at the other end. It decides nothing and does no I/O.
//!
//! * [`key`]: the keys of machines, nodes and path discovery, and how they are written.
//! * [`key_response`]: how a client learns the coordinator's Noise key.
//! * [`noise`]: the handshake and the records that everything below is sealed in.
//! * [`register`]: how a node becomes and stays registered.
//! * [`admit`]: how relays of others ask whether somebody is a node.
//! * [`map`]: the network map, whole and in deltas; [`frame`]: how maps follow each other in one response.
//!
//! JSON is decoded leniently, because three implementations write it: unknown fields are ignored, `null` lists are
//! empty, and the spellings of the Go and the Rust client are both taken. Times stay RFC 3339 strings; Go's zero time
//! ([`ZERO_TIME`]) means "not set" and is read as `None`.

#![forbid(unsafe_code)]

pub mod admit;
pub mod frame;
mod json;
pub mod key;
pub mod key_response;
pub mod map;
pub mod noise;
pub mod register;

/// Path of the request that turns a connection into a Noise channel.
pub const UPGRADE_PATH: &str = "/ts2021";

/// How Go writes a time that is not set.
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// The capability version that Maru's agent announces: what Tailscale 1.90 sends, and what the wire types here cover.
pub const CAPABILITY_VERSION: u32 = 130;

/// The oldest capability version that a coordinator should accept (Tailscale 1.80).
///
/// From 113 on, clients take `HomeDERP` (111) and read an absent `AllowedIPs` as the node's own addresses (112).
pub const MIN_CAPABILITY_VERSION: u32 = 113;
