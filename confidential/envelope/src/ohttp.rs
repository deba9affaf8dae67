//! The outer layer: Oblivious HTTP (RFC 9458) and its chunked form (draft-ietf-ohai-chunked-ohttp-08).

pub mod client;
pub mod gateway;
pub mod key_config;
mod names;

pub use client::Request;
pub use gateway::{GatewayKey, OpenError, Opened, RequestStream, open};
pub use key_config::{BadKeyConfig, KeyConfig};

pub use names::{
    CHUNK, CHUNKED_REQUEST, CHUNKED_RESPONSE, KEY_PROBLEM, KEYS, REQUEST, REQUEST_LIMITS, RESPONSE,
    RESPONSE_LIMITS,
};

#[cfg(test)]
mod tests;
