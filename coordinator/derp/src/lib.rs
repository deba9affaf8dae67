//! DERP relay frames, relay server and client cores, and STUN; no I/O.
//!
//! A relay forwards packets between nodes that cannot reach each other directly. It addresses nodes by their keys; the packets
//! are encrypted between the nodes. A connection starts with a handshake:
//!
//! ```text
//! client ◀── ServerKey: the relay's key ──────────────── relay
//! client ─── ClientInfo: node key, box(JSON) ──────────▶ relay     the box proves the node key
//! client ◀── ServerInfo: box(JSON) ───────────────────── relay     the box proves the relay's key
//! client ◀── RecvPacket … ─── SendPacket … ────────────▶ relay
//! ```
//!
//! * [`frame`]: frames, and a decoder for a stream of them.
//! * [`http`]: the HTTP request before the handshake.
//! * [`client`], [`server`]: the handshake's two sides.
//! * [`stun`]: how a node learns its public address.

#![forbid(unsafe_code)]

pub mod client;
pub mod frame;
mod handshake;
pub mod http;
pub mod server;
pub mod stun;

pub use self::handshake::{ClientInfo, HandshakeError, NONCE_LEN, ServerInfo};
