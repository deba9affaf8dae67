//! The cryptography of the confidential chain: *client*, *gateway* and *node*, without sockets, clocks or files.
//!
//! Roles are those of RFC 9458. In this chain the household's `ai-gateway` is the client; relay and gateway are
//! `maru-confidential`; the node behind the gateway's target, the router, is `maru-compute`.
//! `docs/protocols/confidential-wire.md` is the specification.
//!
//! ```text
//! client                              gateway                        node
//! bhttp (the request, padded)
//! inner::seal ───────────────────────────────────────────────────▶ inner::open
//! bhttp (the router's request)
//! ohttp::Request::seal ────────────▶ ohttp::open
//! ResponseOpener ◀────────────────── ResponseSealer
//! ResponseOpener ◀──────────────────────────────────────────────── ResponseSealer
//! ```
//!
//! Single-use objects are taken by value. Secrets are zeroized on drop and print as `[redacted]`. Every failure to open is
//! [`Unopenable`], except for an unknown key of the gateway ([`ohttp::OpenError`]).
#![forbid(unsafe_code)]

/// Implements `Debug` for secrets without printing them.
macro_rules! redacted {
    ($($secret:ident $(<$id:ident>)?),+) => {$(
        impl$(<$id>)? std::fmt::Debug for $secret$(<$id>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("[redacted]")
            }
        }
    )+};
}

pub mod aead;
pub mod bhttp;
mod candidates;
pub mod chunks;
mod error;
pub mod exchange;
pub mod inner;
pub mod kem;
pub mod ohttp;
pub mod plaintext;
pub mod random;
pub mod response;
mod schedule;
mod varint;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod vectors;

pub use aead::Aead;
pub use chunks::{ChunkSealer, Limits};
pub use error::{SealError, Unopenable};
pub use exchange::{ResponseOpener, ResponseSealer, ResponseStream};
pub use kem::{Decapsulate, DecapsulateError, Kem, PrivateKey, PublicKey, SharedSecret};
pub use plaintext::Plaintext;
