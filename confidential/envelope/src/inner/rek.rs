//! The key that requests to a node are sealed to.

use crate::kem::{InvalidKey, Kem, PublicKey};

/// A node's request encryption key: of P-256 (held by a TPM) or X-Wing (held by an enclave).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rek(PublicKey);

impl Rek {
    /// Checks a serialized key.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`], also for a KEM that no node uses.
    pub fn from_bytes(kem: Kem, bytes: &[u8]) -> Result<Self, InvalidKey> {
        match kem {
            Kem::P256 | Kem::XWing => PublicKey::from_bytes(kem, bytes).map(Self),
            Kem::X25519 => Err(InvalidKey),
        }
    }

    /// The key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.0
    }
}
