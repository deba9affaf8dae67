//! Kinds of signed documents.

use common::wire::Fixed;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A public key of Ed25519: base64url in text.
pub type PublicKey = Fixed<32>;

/// A kind of document that is signed.
pub trait Document: Serialize + DeserializeOwned {
    /// The kind, which the signature covers.
    const KIND: &'static str;
    /// The certified key that signs it; `None` for the identity.
    const SIGNED_BY: Option<Use>;

    /// Checks that the content is valid, independent of the time.
    ///
    /// # Errors
    ///
    /// One sentence that says what is invalid.
    fn check(&self) -> Result<(), &'static str>;

    /// The epoch of a document that a certified key signs; `None` if the identity signs it.
    fn epoch(&self) -> Option<u64> {
        None
    }
}

/// What a certified key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// The gateway's bundle of keys.
    Bundle,
    /// The configuration.
    Config,
}
