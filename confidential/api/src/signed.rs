//! A document with its signature and the certificate of the signing key.
//!
//! The signature covers the exact text of the document, so that no canonical JSON is needed:
//! `"maru-confidential/1 " || kind || 0x00 || text`, by Ed25519. A home pins only the deployment's identity, which signs
//! policies and certificates; other documents are signed by certified keys.

use std::{fmt, marker::PhantomData};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use common::wire::{self, Fixed};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::{certificate::Certificate, names::DOCUMENT_MAX};

pub use crate::document::{Document, PublicKey};

/// Why a signed document is refused.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    /// It is not JSON of this kind, or has an unknown version.
    #[error("the {0} cannot be read: {1}")]
    Malformed(&'static str, #[source] wire::DecodeError),
    /// Its content is invalid.
    #[error("the {0} is invalid: {1}")]
    Invalid(&'static str, &'static str),
    /// It is too long.
    #[error("the {0} is longer than 1 MiB")]
    TooLong(&'static str),
    /// The signature is wrong.
    #[error("the signature of the {0} is wrong")]
    Signature(&'static str),
    /// The certificate is missing or malformed, or must not be there.
    #[error("the {0} does not have the certificate that it needs")]
    Certificate(&'static str),
    /// The certificate is for another kind of document, or for other epochs.
    #[error("the {0} is signed by a key with a certificate for another use")]
    CertifiedForElse(&'static str),
    /// The certificate has expired, or is not valid yet.
    #[error("the certificate of the key that signed the {kind} is not valid at this time")]
    CertificateTime {
        /// The kind of the document.
        kind: &'static str,
        /// Valid from, in milliseconds since 1970.
        not_before: u64,
        /// Valid before, in milliseconds since 1970.
        not_after: u64,
    },
}

/// A document of kind `T` with its signature, not yet verified.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Signed<T> {
    /// The signed text.
    pub payload: String,
    /// The signature.
    pub signature: Fixed<64>,
    /// The certificate of the signing key; `None` for the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Box<Signed<Certificate>>>,
    #[serde(skip)]
    kind: PhantomData<fn() -> T>,
}

impl<T: Document> Signed<T> {
    /// Signs a document.
    ///
    /// # Errors
    ///
    /// [`SignedError::Invalid`], or [`SignedError::Malformed`] for a value that JSON cannot represent.
    pub fn sign(
        document: &T,
        key: &SigningKey,
        certificate: Option<Signed<Certificate>>,
    ) -> Result<Self, SignedError> {
        document.check().map_err(|reason| SignedError::Invalid(T::KIND, reason))?;
        let payload = serde_json::to_string(document).map_err(malformed::<T>)?;
        let signature = Fixed(key.sign(&Self::message(&payload)).to_bytes());
        Ok(Self { payload, signature, certificate: certificate.map(Box::new), kind: PhantomData })
    }

    /// A document of a text and a separate signature.
    #[must_use]
    pub fn from_parts(
        payload: String,
        signature: Fixed<64>,
        certificate: Option<Signed<Certificate>>,
    ) -> Self {
        Self { payload, signature, certificate: certificate.map(Box::new), kind: PhantomData }
    }

    /// Reads a signed document from JSON, without verifying it.
    ///
    /// # Errors
    ///
    /// [`SignedError::TooLong`] and [`SignedError::Malformed`].
    pub fn parse(json: &[u8]) -> Result<Self, SignedError> {
        if json.len() > DOCUMENT_MAX {
            return Err(SignedError::TooLong(T::KIND));
        }
        serde_json::from_slice(json).map_err(malformed::<T>)
    }

    /// Verifies the signature with the deployment's `identity` at `now_ms`, milliseconds since 1970, and returns the document.
    /// Times in the document are not checked.
    ///
    /// # Errors
    ///
    /// [`SignedError`].
    pub fn verify(&self, identity: &PublicKey, now_ms: u64) -> Result<T, SignedError> {
        let kind = T::KIND;
        let (key, epochs) = match (T::SIGNED_BY, &self.certificate) {
            (None, None) => (*identity, None),
            (Some(wanted), Some(certificate)) => {
                let certificate = certificate.verify(identity, now_ms)?;
                if certificate.usage != wanted {
                    return Err(SignedError::CertifiedForElse(kind));
                }
                let Certificate { not_before, not_after, key, .. } = certificate;
                if !(not_before..not_after).contains(&now_ms) {
                    return Err(SignedError::CertificateTime { kind, not_before, not_after });
                }
                (key, Some(certificate.epochs()))
            }
            (None, Some(_)) | (Some(_), None) => return Err(SignedError::Certificate(kind)),
        };
        if self.payload.len() > DOCUMENT_MAX {
            return Err(SignedError::TooLong(kind));
        }
        let key = VerifyingKey::from_bytes(&key.0).map_err(|_| SignedError::Signature(kind))?;
        let signature = Signature::from_bytes(&self.signature.0);
        key.verify_strict(&Self::message(&self.payload), &signature)
            .map_err(|_| SignedError::Signature(kind))?;
        let document: T = wire::decode(self.payload.as_bytes())
            .map_err(|source| SignedError::Malformed(kind, source))?;
        document.check().map_err(|reason| SignedError::Invalid(kind, reason))?;
        if let (Some(epochs), Some(epoch)) = (epochs, document.epoch())
            && !epochs.contains(&epoch)
        {
            return Err(SignedError::CertifiedForElse(kind));
        }
        Ok(document)
    }

    /// Encodes it as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn message(payload: &str) -> Vec<u8> {
        [b"maru-confidential/1 ", T::KIND.as_bytes(), &[0], payload.as_bytes()].concat()
    }
}

fn malformed<T: Document>(error: serde_json::Error) -> SignedError {
    SignedError::Malformed(T::KIND, wire::DecodeError::Json(error))
}

impl Signed<Certificate> {
    /// The value of a header: base64url of the JSON.
    #[must_use]
    pub fn to_header(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_json())
    }

    /// Decodes the value of a header.
    ///
    /// # Errors
    ///
    /// [`SignedError::Certificate`] and [`SignedError::Malformed`].
    pub fn from_header(value: &str) -> Result<Self, SignedError> {
        let json = URL_SAFE_NO_PAD.decode(value);
        Self::parse(&json.map_err(|_| SignedError::Certificate(Certificate::KIND))?)
    }
}

// Derived implementations would require them of `T`.
impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self {
            payload: self.payload.clone(),
            signature: self.signature,
            certificate: self.certificate.clone(),
            kind: PhantomData,
        }
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        (&self.payload, &self.signature, &self.certificate)
            == (&other.payload, &other.signature, &other.certificate)
    }
}

impl<T> Eq for Signed<T> {}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field("payload", &self.payload)
            .field("signature", &self.signature)
            .field("certificate", &self.certificate)
            .finish()
    }
}
