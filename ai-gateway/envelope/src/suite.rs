//! The two suites, their key configurations, and HPKE itself.

use std::fmt;

use ai_gateway_api::{
    sealed::{KeyId, PublishedKey},
    wire::{Bytes, Fixed},
};
use confidential_envelope::kem::{ExpandedKey, ExpandedXWing};
use hpke::{
    Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable,
    aead::ChaCha20Poly1305,
    kdf::HkdfSha256,
    kem::{X25519HkdfSha256, XWing},
    rand_core::CryptoRng,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Context of the exported reply secret.
const EXPORTER: &[u8] = b"maru-sealed-chat/1 reply";

/// HPKE's identifier of HKDF-SHA256.
const KDF: u16 = 0x0001;

/// HPKE's identifier of ChaCha20-Poly1305.
const AEAD: u16 = 0x0003;

/// The algorithms of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Suite {
    /// X-Wing (ML-KEM-768 and X25519), HKDF-SHA256, ChaCha20-Poly1305.
    #[default]
    XWing,
    /// X25519, HKDF-SHA256, ChaCha20-Poly1305; for clients without X-Wing.
    X25519,
}

impl Suite {
    /// All suites, the preferred one first.
    pub const ALL: [Self; 2] = [Self::XWing, Self::X25519];

    /// HPKE's identifier of the suite's KEM.
    #[must_use]
    pub const fn kem(self) -> u16 {
        match self {
            Self::XWing => XWing::KEM_ID,
            Self::X25519 => X25519HkdfSha256::KEM_ID,
        }
    }

    /// HPKE's identifiers: KEM, KDF, AEAD.
    pub(crate) fn identifiers(self) -> [u8; 6] {
        let mut bytes = [0; 6];
        for (into, id) in bytes.chunks_exact_mut(2).zip([self.kem(), KDF, AEAD]) {
            into.copy_from_slice(&id.to_be_bytes());
        }
        bytes
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XWing => "x-wing",
            Self::X25519 => "x25519",
        })
    }
}

/// A suite and a public key of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyConfig {
    suite: Suite,
    public: Vec<u8>,
}

/// Why a published key is not a valid key configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyConfig {
    /// This version does not support the suite.
    #[error("unknown suite")]
    Suite,
    /// The public key is invalid for its suite.
    #[error("not a public key of its suite")]
    Public,
    /// The key id is not that of the configuration.
    #[error("key id of another configuration")]
    Id,
}

impl KeyConfig {
    /// Makes a configuration, after checking the public key.
    ///
    /// # Errors
    ///
    /// [`InvalidKeyConfig::Public`].
    pub fn new(suite: Suite, public: Vec<u8>) -> Result<Self, InvalidKeyConfig> {
        match suite {
            Suite::XWing => <XWing as Kem>::PublicKey::from_bytes(&public).map(drop),
            Suite::X25519 => <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&public).map(drop),
        }
        .map_err(|_| InvalidKeyConfig::Public)?;
        Ok(Self { suite, public })
    }

    /// Reads a published key.
    ///
    /// # Errors
    ///
    /// See [`InvalidKeyConfig`].
    pub fn from_published(key: &PublishedKey) -> Result<Self, InvalidKeyConfig> {
        let suite = Suite::ALL
            .into_iter()
            .find(|suite| (suite.kem(), KDF, AEAD) == (key.kem, key.kdf, key.aead));
        let config = Self::new(suite.ok_or(InvalidKeyConfig::Suite)?, key.public_key.0.clone())?;
        if config.id() != key.key_id {
            return Err(InvalidKeyConfig::Id);
        }
        Ok(config)
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// First 8 bytes of SHA-256 of the configuration's bytes.
    #[must_use]
    pub fn id(&self) -> KeyId {
        key_id(&config_bytes(self.suite.kem(), KDF, AEAD, &self.public))
    }

    /// The configuration in the format of the key document.
    pub(crate) fn publish(&self, not_before: u64, not_after: u64) -> PublishedKey {
        PublishedKey {
            key_id: self.id(),
            kem: self.suite.kem(),
            kdf: KDF,
            aead: AEAD,
            public_key: Bytes(self.public.clone()),
            not_before,
            not_after,
        }
    }

    /// Encapsulates to this key and seals.
    pub(crate) fn seal(
        &self,
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Sealed, HpkeError> {
        match self.suite {
            Suite::XWing => seal::<XWing>(&self.public, info, aad, plaintext, rng),
            Suite::X25519 => seal::<X25519HkdfSha256>(&self.public, info, aad, plaintext, rng),
        }
    }
}

/// The bytes of a key configuration of any suite, known or unknown.
pub(crate) fn config_bytes(kem: u16, kdf: u16, aead: u16, public: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + public.len());
    for id in [kem, kdf, aead] {
        bytes.extend_from_slice(&id.to_be_bytes());
    }
    bytes.extend_from_slice(&u16::try_from(public.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(public);
    bytes
}

fn key_id(config: &[u8]) -> KeyId {
    let mut id = [0; 8];
    id.copy_from_slice(&Sha256::digest(config)[..8]);
    Fixed(id)
}

/// The result of sealing.
pub(crate) struct Sealed {
    pub(crate) encapsulated_key: Vec<u8>,
    pub(crate) ciphertext: Vec<u8>,
    /// Exported for the reply.
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

/// The result of opening.
pub(crate) struct Unsealed {
    pub(crate) plaintext: Zeroizing<Vec<u8>>,
    /// Exported for the reply.
    pub(crate) secret: Zeroizing<[u8; 32]>,
}

/// A private key of the gateway.
pub(crate) enum PrivateKey {
    XWing(Box<ExpandedKey>),
    X25519(<X25519HkdfSha256 as Kem>::PrivateKey),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PrivateKey {
    /// Derives a key pair of the suite (RFC 9180, section 7.1.3) from 32 random bytes.
    pub(crate) fn derive(suite: Suite, ikm: &Zeroizing<[u8; 32]>) -> (Self, KeyConfig) {
        let (private, public) = match suite {
            Suite::XWing => {
                let (private, public) = ExpandedXWing::derive_keypair(&**ikm);
                (Self::XWing(Box::new(private)), public.to_bytes().to_vec())
            }
            Suite::X25519 => {
                let (private, public) = X25519HkdfSha256::derive_keypair(&**ikm);
                (Self::X25519(private), public.to_bytes().to_vec())
            }
        };
        (private, KeyConfig { suite, public })
    }

    /// Decapsulates and opens.
    pub(crate) fn open(
        &self,
        encapsulated_key: &[u8],
        info: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Unsealed, HpkeError> {
        match self {
            Self::XWing(private) => {
                open::<ExpandedXWing>(private, encapsulated_key, info, aad, ciphertext)
            }
            Self::X25519(private) => {
                open::<X25519HkdfSha256>(private, encapsulated_key, info, aad, ciphertext)
            }
        }
    }
}

fn seal<K: Kem>(
    public: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Sealed, HpkeError> {
    let public = K::PublicKey::from_bytes(public)?;
    let (encapsulated_key, mut context) = hpke::setup_sender_with_rng::<
        ChaCha20Poly1305,
        HkdfSha256,
        K,
    >(&OpModeS::Base, &public, info, rng)?;
    let ciphertext = context.seal(plaintext, aad)?;
    let mut secret = Zeroizing::new([0; 32]);
    context.export(EXPORTER, &mut *secret)?;
    Ok(Sealed { encapsulated_key: encapsulated_key.to_bytes().to_vec(), ciphertext, secret })
}

fn open<K: Kem>(
    private: &K::PrivateKey,
    encapsulated_key: &[u8],
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Unsealed, HpkeError> {
    let encapsulated_key = K::EncappedKey::from_bytes(encapsulated_key)?;
    let mut context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, K>(
        &OpModeR::Base,
        private,
        &encapsulated_key,
        info,
    )?;
    let plaintext = Zeroizing::new(context.open(ciphertext, aad)?);
    let mut secret = Zeroizing::new([0; 32]);
    context.export(EXPORTER, &mut *secret)?;
    Ok(Unsealed { plaintext, secret })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_key_is_checked_against_its_id() {
        for suite in Suite::ALL {
            let (_, config) = PrivateKey::derive(suite, &Zeroizing::new([7; 32]));
            let published = config.publish(1, 2);

            assert_eq!(KeyConfig::from_published(&published), Ok(config));
            let other = PublishedKey { key_id: Fixed([0; 8]), ..published.clone() };
            assert_eq!(KeyConfig::from_published(&other), Err(InvalidKeyConfig::Id));
            let short = PublishedKey { public_key: Bytes(vec![0; 31]), ..published.clone() };
            assert_eq!(KeyConfig::from_published(&short), Err(InvalidKeyConfig::Public));
            let unknown = PublishedKey { aead: 1, ..published };
            assert_eq!(KeyConfig::from_published(&unknown), Err(InvalidKeyConfig::Suite));
        }
    }
}
