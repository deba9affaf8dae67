//! A document, its signature, and the certificate of the key that made it.
//!
//! What is signed is the exact text of the document, so that nobody has to write JSON twice alike:
//! `"maru-confidential/1 " || kind || 0x00 || text`, by Ed25519. A home pins the deployment's identity and nothing below
//! it: policies and certificates are signed by the identity, all else by a key that it certified.

use std::{fmt, marker::PhantomData};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use common::wire::{self, Fixed};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::{certificate::Certificate, names::DOCUMENT_MAX};

pub use crate::document::{Document, PublicKey};

/// Why a signed document is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SignedError {
    /// It is not JSON of this kind, or of a version that is not known here.
    #[error("the {kind} cannot be read: {source}")]
    Malformed {
        /// Of which kind it should be.
        kind: &'static str,
        /// What is wrong.
        source: wire::DecodeError,
    },
    /// It says what cannot be.
    #[error("the {kind} is not usable: {reason}")]
    Impossible {
        /// Of which kind it is.
        kind: &'static str,
        /// What.
        reason: &'static str,
    },
    /// Longer than is read.
    #[error("the {0} is longer than 1 MiB")]
    TooLong(&'static str),
    /// Somebody else signed it, or it was changed.
    #[error("the {0} is not signed by whom it should be")]
    Signature(&'static str),
    /// It has no certificate, or one that it must not have.
    #[error("the {0} does not come with the certificate that it needs")]
    Certificate(&'static str),
    /// The certificate is for another kind of document, or for other epochs.
    #[error("the {0} is signed by a key that was certified for something else")]
    CertifiedForElse(&'static str),
    /// The certificate is valid later, or was valid before.
    #[error("the certificate of the key that signed the {kind} is not valid at this time")]
    CertificateTime {
        /// Of which kind the document is.
        kind: &'static str,
        /// Valid from, in milliseconds since 1970.
        not_before: u64,
        /// Valid before, in milliseconds since 1970.
        not_after: u64,
    },
}

/// A document of kind `T` with its signature; nothing of it is believed until it is verified.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Signed<T> {
    /// The exact text that was signed.
    pub payload: String,
    /// The signature.
    pub signature: Fixed<64>,
    /// The certificate of the key that signed; none where the identity did.
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
    /// Fails if it says what cannot be, or holds a time or number that JSON has no form for.
    pub fn sign(
        document: &T,
        key: &SigningKey,
        certificate: Option<Signed<Certificate>>,
    ) -> Result<Self, SignedError> {
        document.check().map_err(|reason| SignedError::Impossible { kind: T::KIND, reason })?;
        let payload = serde_json::to_string(document).map_err(|error| SignedError::Malformed {
            kind: T::KIND,
            source: wire::DecodeError::Json(error),
        })?;
        let signature = Fixed(key.sign(&Self::message(&payload)).to_bytes());
        Ok(Self { payload, signature, certificate: certificate.map(Box::new), kind: PhantomData })
    }

    /// Puts a document together whose signature came beside it.
    #[must_use]
    pub fn from_parts(
        payload: String,
        signature: Fixed<64>,
        certificate: Option<Signed<Certificate>>,
    ) -> Self {
        Self { payload, signature, certificate: certificate.map(Box::new), kind: PhantomData }
    }

    /// Reads a signed document from JSON; nothing of it is verified.
    ///
    /// # Errors
    ///
    /// [`SignedError::TooLong`] and [`SignedError::Malformed`].
    pub fn parse(json: &[u8]) -> Result<Self, SignedError> {
        if json.len() > DOCUMENT_MAX {
            return Err(SignedError::TooLong(T::KIND));
        }
        serde_json::from_slice(json).map_err(|error| SignedError::Malformed {
            kind: T::KIND,
            source: wire::DecodeError::Json(error),
        })
    }

    /// Returns the document if the deployment's `identity` stands behind it at `now_ms`, milliseconds since 1970.
    ///
    /// What times the document itself names is for who uses it.
    ///
    /// # Errors
    ///
    /// Why it is not taken.
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
            .map_err(|source| SignedError::Malformed { kind, source })?;
        document.check().map_err(|reason| SignedError::Impossible { kind, reason })?;
        if let (Some(epochs), Some(epoch)) = (epochs, document.epoch())
            && !epochs.contains(&epoch)
        {
            return Err(SignedError::CertifiedForElse(kind));
        }
        Ok(document)
    }

    /// Writes it as JSON.
    ///
    /// # Panics
    ///
    /// Never: text and bytes have a form in JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn message(payload: &str) -> Vec<u8> {
        [b"maru-confidential/1 ", T::KIND.as_bytes(), &[0], payload.as_bytes()].concat()
    }
}

impl Signed<Certificate> {
    /// The form of a header's value: base64url of the JSON.
    #[must_use]
    pub fn to_header(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_json())
    }

    /// Reads a header's value.
    ///
    /// # Errors
    ///
    /// [`SignedError::Certificate`] and [`SignedError::Malformed`].
    pub fn from_header(value: &str) -> Result<Self, SignedError> {
        let json = URL_SAFE_NO_PAD.decode(value);
        Self::parse(&json.map_err(|_| SignedError::Certificate(Certificate::KIND))?)
    }
}

// Derived ones would ask the same of `T`.
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
