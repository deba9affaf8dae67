//! Certificates: which keys of its servers a deployment stands behind, and for what.

use common::wire::Version;
use serde::{Deserialize, Serialize};

use crate::document::{Document, PublicKey};

pub use crate::document::Use;

/// The deployment's word for one key. Signed by the identity.
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
    /// The first epoch that the key may give a document; it has [`EPOCHS`] of them. A later certificate has later ones, so
    /// whoever takes a key away can use up no epoch of the key that follows. Zero where it is not written.
    #[serde(default)]
    pub first_epoch: u64,
}

/// How many epochs one certificate is for.
pub const EPOCHS: u64 = 1_000_000;

impl Certificate {
    /// The first epoch of a certificate that is made at `now_ms`, milliseconds since 1970: beyond those of every one that
    /// was made a second before or earlier, and a number that JSON has a form for everywhere (RFC 8259, section 6).
    #[must_use]
    pub const fn first_epoch_at(now_ms: u64) -> u64 {
        now_ms.saturating_mul(EPOCHS / 1000)
    }

    /// The epochs that the key may give documents.
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
