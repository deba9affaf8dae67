//! The outer layer: Oblivious HTTP (RFC 9458) and its chunked form (draft-ietf-ohai-chunked-ohttp-08).

pub mod client;
pub mod gateway;
pub mod key_config;
mod names;

pub use client::Request;
pub use gateway::{GatewayKey, OpenError, Opened, RequestStream, open};
pub use key_config::{InvalidKeyConfig, KeyConfig};

pub use names::{CHUNK, REQUEST_LIMITS, RESPONSE_LIMITS};

#[cfg(test)]
mod tests;
