//! Certificates: which keys of its servers a deployment stands behind, and for what.

use common::wire::Version;
use serde::{Deserialize, Serialize};

use crate::signed::{Document, PublicKey};

/// What a certified key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// The gateway's bundle of keys.
    Bundle,
    /// The configuration.
    Config,
}

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
}

impl Document for Certificate {
    const KIND: &'static str = "certificate";
    const SIGNED_BY: Option<Use> = None;

    fn check(&self) -> Result<(), &'static str> {
        if self.not_before < self.not_after { Ok(()) } else { Err("it ends before it begins") }
    }
}
