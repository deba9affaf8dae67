//! What several crates say alike, and so say once.
//!
//! * [`foreign`]: text of others, as it may be shown.
//! * [`media`]: types of answers that are no pages.
//! * [`mesh`]: the address ranges of the mesh.
//! * [`nearest`]: what somebody may have meant by an unknown name.
//! * [`problem`]: the body of an HTTP error (RFC 9457).
//! * [`route`]: which networks a node may route.
//! * [`surrogate`]: half characters in JSON text, and what takes their place.
//! * [`websocket`]: frames of a WebSocket.
//! * [`wire`]: versions that are refused by name, and binary as base64url, in JSON.
#![forbid(unsafe_code)]

pub mod foreign;
pub mod media;
pub mod mesh;
pub mod nearest;
pub mod problem;
pub mod route;
pub mod surrogate;
pub mod websocket;
pub mod wire;
