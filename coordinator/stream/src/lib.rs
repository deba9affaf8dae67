//! The Noise channel of the control protocol as a byte stream, over any connection.
//!
//! ```text
//! POST /ts2021                          upgrade: tailscale-control-protocol, x-tailscale-handshake: base64(init)
//! 101 Switching Protocols               then, on the same connection:
//! Noise response, Noise records         and inside the records HTTP/2, with prior knowledge
//! ```
//!
//! [`client::connect`] does all of it; a coordinator reads the header with [`server::Handshake::from_header`], answers
//! 101 and hands the upgraded connection to [`server::Handshake::accept`]. Both get a [`NoiseStream`], which goes to
//! any HTTP/2 implementation unchanged.

#![forbid(unsafe_code)]

pub mod client;
pub mod server;
mod stream;

pub use self::stream::NoiseStream;

/// What the connection is upgraded to.
pub const UPGRADE: &str = "tailscale-control-protocol";

/// Header of the upgrade request that carries the client's handshake message, in base64.
pub const HANDSHAKE_HEADER: &str = "x-tailscale-handshake";
