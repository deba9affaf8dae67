//! Documents that are signed.

use common::wire::Fixed;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A public key of Ed25519: base64url in text.
pub type PublicKey = Fixed<32>;

/// A kind of document that is signed.
pub trait Document: Serialize + DeserializeOwned {
    /// What the signature is bound to.
    const KIND: &'static str;
    /// Which key signs it: a certified one, or `None` for the identity itself.
    const SIGNED_BY: Option<Use>;

    /// Whether what it says is possible at all, whatever the time.
    ///
    /// # Errors
    ///
    /// One sentence that says what is not.
    fn check(&self) -> Result<(), &'static str>;

    /// The epoch that a certified key gave it; `None` if the identity signs documents of this kind itself.
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
