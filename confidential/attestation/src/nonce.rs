//! The client's own nonce, which makes evidence an answer to its question and to no other.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Most nonces that share one document.
pub const MAX_NONCES: usize = 64;

/// 32 bytes that nobody foresaw. One question has one: verifying takes it by value.
#[derive(PartialEq, Eq)]
pub struct Nonce([u8; Nonce::LEN]);

impl Nonce {
    /// Its length in bytes.
    pub const LEN: usize = 32;

    /// A new one.
    ///
    /// # Errors
    ///
    /// Fails if the system has no random bytes; the question cannot be asked then.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; Self::LEN];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The one that somebody asked with.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// What the node is asked with.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// What a document has as its nonce for these nonces, joined.
#[must_use]
pub fn bound_nonce(set: &[u8]) -> [u8; 32] {
    Sha256::new_with_prefix(b"maru-confidential/1 nonces\0").chain_update(set).finalize().into()
}
