//! The inner layer: OpenPCC's request to several nodes, of which one answers.
//!
//! The request is sealed once, with a key of its own; that key is sealed to each candidate. Only the answering node and
//! the client can seal and open the response.

pub mod client;
pub mod node;

pub use client::{Answers, Candidate, Recipient, Sealed, SealedKey, seal, seal_chunked};
pub use node::{OpenError, Opened, RequestStream, open, open_key, replay_id};

use crate::{
    Limits,
    exchange::Layer,
    kem::{BadKey, Kem, PublicKey},
};

/// Media type and label of a request.
pub const REQUEST: &str = "application/confsec-req";
/// Media type and label of a request in chunks.
pub const CHUNKED_REQUEST: &str = "application/confsec-chunked-req";
/// Media type and label of a response.
pub const RESPONSE: &str = "application/confsec-res";
/// Media type and label of a response in chunks.
pub const CHUNKED_RESPONSE: &str = "application/confsec-chunked-res";

/// The one host that a question names: no resolver knows it.
pub const AUTHORITY: &str = "confsec.invalid";
/// The header of the user badge, inside the question.
pub const BADGE: &str = "x-confsec-badge";

/// Most nodes that one request is sealed to.
pub const MAX_CANDIDATES: usize = 8;

/// Bytes to a multiple of which questions and answers are padded, and most bytes of a chunk: 512 and a length of two.
pub const PADDING: usize = 514;

/// How much a request may hold that the node opens: 2 MiB, in chunks of [`PADDING`].
pub const REQUEST_LIMITS: Limits = Limits { chunk: PADDING, total: 2 << 20 };

/// How much a response may hold that the client opens: 64 MiB, in chunks of [`PADDING`].
pub const RESPONSE_LIMITS: Limits = Limits { chunk: PADDING, total: 64 << 20 };

/// The one key id of a node.
pub(crate) const KEY_ID: u8 = 0;

/// Bytes of the key that seals a request. As it has 32, the cipher is AES-256-GCM, whatever the header's AEAD says.
pub(crate) const DEK: usize = 32;

/// Associated data of the sealed key.
pub(crate) const DEK_AAD: &[u8] = b"multi-encap-key";

pub(crate) static LAYER: Layer = Layer {
    request: REQUEST,
    chunked_request: CHUNKED_REQUEST,
    response: RESPONSE,
    chunked_response: CHUNKED_RESPONSE,
    chunk: PADDING,
};

/// A node's request encryption key: of P-256 (held by a TPM) or X-Wing (held by an enclave).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rek(PublicKey);

impl Rek {
    /// Checks a serialized key.
    ///
    /// # Errors
    ///
    /// [`BadKey`], also for a KEM that no node has.
    pub fn from_bytes(kem: Kem, bytes: &[u8]) -> Result<Self, BadKey> {
        match kem {
            Kem::P256 | Kem::XWing => PublicKey::from_bytes(kem, bytes).map(Self),
            Kem::X25519 => Err(BadKey),
        }
    }

    /// The key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.0
    }
}

#[cfg(test)]
mod tests;
