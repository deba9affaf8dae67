//! Certificates of a deployment's signing keys.

use common::wire::Version;
use serde::{Deserialize, Serialize};

use crate::document::{Document, PublicKey};

pub use crate::document::Use;

/// The certificate of a signing key. Signed by the identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Always 1.
    pub version: Version,
    /// What the key may sign.
    #[serde(rename = "for")]
    pub usage: Use,
    /// The key.
    pub key: PublicKey,
    /// Valid from, in milliseconds since 1970.
    pub not_before: u64,
    /// Valid before, in milliseconds since 1970.
    pub not_after: u64,
    /// The first of the [`EPOCHS`] epochs that documents of this key may have. Later certificates have later epochs, so that a
    /// stolen key cannot use up the epochs of its successor. Default: 0.
    #[serde(default)]
    pub first_epoch: u64,
}

/// Number of epochs of one certificate.
pub const EPOCHS: u64 = 1_000_000;

impl Certificate {
    /// The first epoch of a certificate that is made at `now_ms`, milliseconds since 1970. It is beyond the epochs of those
    /// that were made at least a second earlier, and an interoperable JSON number (RFC 8259, section 6).
    #[must_use]
    pub const fn first_epoch_at(now_ms: u64) -> u64 {
        now_ms.saturating_mul(EPOCHS / 1000)
    }

    /// The epochs that documents of this key may have.
    #[must_use]
    pub fn epochs(&self) -> std::ops::Range<u64> {
        self.first_epoch..self.first_epoch.saturating_add(EPOCHS)
    }
}

impl Document for Certificate {
    const KIND: &'static str = "certificate";
    const SIGNED_BY: Option<Use> = None;

    fn check(&self) -> Result<(), &'static str> {
        if self.not_before < self.not_after { Ok(()) } else { Err("it ends before it begins") }
    }
}
