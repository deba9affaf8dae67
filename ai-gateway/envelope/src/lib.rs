//! Seals and opens sealed chat: the *client* and the *gateway* of RFC 9458's roles.
//!
//! `docs/protocols/sealed-chat.md` is the specification. Nothing here reads a clock, opens a socket or stores a file:
//! `now` is an argument, in Unix milliseconds. Single-use values are taken by value; secrets are zeroized on drop and
//! print as `[redacted]`.
//!
//! ```text
//! client                                              gateway
//! client::Keys::verify  ◀────── KeyDocument ───────── gateway::KeyRing::document
//! client::seal          ─────────  Request  ────────▶ gateway::KeyRing::open
//! client::Reply::handle ◀── Start, Chunk…, Final ──── reply::ReplySealer::{start, chunk, finish}
//! ```
#![forbid(unsafe_code)]

use std::time::Duration;

pub mod client;
pub mod device;
mod document;
pub mod gateway;
mod padding;
pub mod reply;
mod suite;
mod transcript;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod vectors;

pub use padding::{MAX_TEXT, TooLong};
pub use suite::{InvalidKeyConfig, KeyConfig, Suite};

/// How old a request may be.
pub const TTL: Duration = Duration::from_secs(60);

/// How far a client's clock may differ from the gateway's.
pub const SKEW: Duration = Duration::from_secs(30);

/// How long a request with the same `request_id` may be repeated.
pub const ID_LIFE: Duration = Duration::from_secs(10 * 60);

/// A duration in the unit of the wire.
pub(crate) const fn ms(duration: Duration) -> u64 {
    duration.as_secs() * 1000 + duration.subsec_millis() as u64
}
