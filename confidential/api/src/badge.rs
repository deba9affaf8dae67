//! Badges: the models that a client may use. They are inside the encryption (OpenPCC `auth/credentialing`).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use prost::Message as _;

use crate::{
    protobuf::{self, Malformed, bounded, decode},
    signed::PublicKey,
};

/// Longest badge, in bytes.
pub const BADGE_MAX: usize = 16 << 10;

/// A signed list of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Badge {
    /// Names of models, sorted.
    pub models: Vec<String>,
    /// Ed25519 over the credentials' protobuf.
    pub signature: [u8; 64],
}

impl Badge {
    /// Signs a badge.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if a name is empty or not printable ASCII.
    pub fn sign(mut models: Vec<String>, key: &SigningKey) -> Result<Self, Malformed> {
        models.sort_unstable();
        models.dedup();
        models.iter().try_for_each(|model| check(model.as_bytes()))?;
        let signature = key.sign(&credentials(&models).encode_to_vec()).to_bytes();
        Ok(Self { models, signature })
    }

    /// Decodes a header's value, base64 with padding.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode_text(text: &[u8]) -> Result<Self, Malformed> {
        bounded(text, BADGE_MAX, "a badge has at most 16 KiB")?;
        let bytes = STANDARD.decode(text).map_err(|_| Malformed("a badge must be base64"))?;
        let badge: protobuf::Badge = decode(&bytes, "not a badge")?;
        let signature =
            badge.signature.try_into().map_err(|_| Malformed("a signature must have 64 bytes"))?;
        let models = read_models(&badge.credentials.unwrap_or_default().models)?;
        Ok(Self { models, signature })
    }

    /// Encodes a header's value.
    #[must_use]
    pub fn encode_text(&self) -> String {
        let (credentials, signature) = (Some(credentials(&self.models)), self.signature.to_vec());
        STANDARD.encode(protobuf::Badge { credentials, signature }.encode_to_vec())
    }

    /// Whether it is signed by `key`.
    #[must_use]
    pub fn is_from(&self, key: &PublicKey) -> bool {
        let message = credentials(&self.models).encode_to_vec();
        let signature = Signature::from_bytes(&self.signature);
        VerifyingKey::from_bytes(&key.0)
            .is_ok_and(|key| key.verify_strict(&message, &signature).is_ok())
    }
}

fn credentials(models: &[String]) -> protobuf::Credentials {
    let mut bytes = Vec::new();
    for model in models {
        bytes.extend_from_slice(&u32::try_from(model.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(model.as_bytes());
    }
    protobuf::Credentials { models: bytes }
}

/// Names in order, each after its length in four bytes, little-endian.
fn read_models(mut bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    const CUT: Malformed = Malformed("a badge's list of models is truncated");
    let mut models: Vec<String> = Vec::new();
    while !bytes.is_empty() {
        let (len, rest) = bytes.split_first_chunk::<4>().ok_or(CUT)?;
        let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| CUT)?;
        let (model, rest) = rest.split_at_checked(len).ok_or(CUT)?;
        check(model)?;
        let model = String::from_utf8(model.to_vec()).map_err(|_| CUT)?;
        if models.last().is_some_and(|last| *last >= model) {
            return Err(Malformed("a badge's models must be sorted, each once"));
        }
        models.push(model);
        bytes = rest;
    }
    Ok(models)
}

fn check(model: &[u8]) -> Result<(), Malformed> {
    if !model.is_empty() && model.iter().all(|byte| (32..127).contains(byte)) {
        Ok(())
    } else {
        Err(Malformed("a model's name must be printable ASCII"))
    }
}
