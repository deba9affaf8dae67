//! DERP relay frames, relay server and client cores, and STUN; no I/O.
//!
//! A relay passes packets between nodes that cannot reach each other directly; its addresses are node keys, and what
//! it passes is encrypted between the nodes. A connection starts with a handshake:
//!
//! ```text
//! client ◀── ServerKey: the relay's key ──────────────── relay
//! client ─── ClientInfo: node key, box(JSON) ──────────▶ relay     the box proves the node key
//! client ◀── ServerInfo: box(JSON) ───────────────────── relay     the box proves the relay's key
//! client ◀── RecvPacket … ─── SendPacket … ────────────▶ relay
//! ```
//!
//! * [`frame`]: every frame, and a decoder for a stream of them.
//! * [`http`]: the request that comes before, and its answer.
//! * [`client`], [`server`]: the handshake's two sides.
//! * [`stun`]: how a node learns the address that others see.

#![forbid(unsafe_code)]

pub mod client;
pub mod frame;
mod handshake;
pub mod http;
pub mod server;
pub mod stun;

pub use self::handshake::{ClientInfo, HandshakeError, NONCE_LEN, ServerInfo};
