//! Key configurations (RFC 9458, section 3.1) and lists of them (section 3.2).

use crate::{Aead, Kem, PublicKey, schedule::KDF};

/// Maximum number of configurations in a list.
pub const MAX_CONFIGS: usize = 64;

/// Length of a pair of KDF and AEAD, in bytes.
const PAIR: usize = 4;

/// A gateway's public key with its ciphers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyConfig {
    key_id: u8,
    public: PublicKey,
    /// The gateway's preferred cipher.
    preferred: Aead,
    /// All ciphers, the preferred one first.
    aeads: Vec<Aead>,
}

/// Why a key configuration, or a list of them, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyConfig {
    /// It is truncated or too long, or its lengths do not match.
    #[error("not a key configuration")]
    Malformed,
    /// Its algorithms are unknown; in a list it is skipped.
    #[error("the key configuration has unknown algorithms")]
    Unknown,
    /// Two keys of one list have the same id.
    #[error("two key configurations have the same key id")]
    SameId,
}

impl KeyConfig {
    /// A configuration; `None` without a cipher, or with one that no suite may name.
    #[must_use]
    pub fn new(key_id: u8, public: PublicKey, aeads: Vec<Aead>) -> Option<Self> {
        let &preferred = aeads.first()?;
        let known = aeads.iter().all(|aead| Aead::from_id(aead.id()).is_some());
        known.then_some(Self { key_id, public, preferred, aeads })
    }

    /// The ID by which a request names the key.
    #[must_use]
    pub const fn key_id(&self) -> u8 {
        self.key_id
    }

    /// The key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The cipher that the gateway prefers.
    #[must_use]
    pub const fn preferred(&self) -> Aead {
        self.preferred
    }

    /// The ciphers, the preferred one first.
    #[must_use]
    pub fn aeads(&self) -> &[Aead] {
        &self.aeads
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.key_id];
        bytes.extend_from_slice(&self.public.kem().id().to_be_bytes());
        bytes.extend_from_slice(&self.public.to_bytes());
        // There are only a few ciphers.
        let pairs = u16::try_from(self.aeads.len() * PAIR).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&pairs.to_be_bytes());
        for aead in &self.aeads {
            bytes.extend_from_slice(&KDF.to_be_bytes());
            bytes.extend_from_slice(&aead.id().to_be_bytes());
        }
        bytes
    }

    /// Decodes a configuration; unknown pairs of KDF and AEAD are skipped.
    ///
    /// # Errors
    ///
    /// [`InvalidKeyConfig::Malformed`] or [`InvalidKeyConfig::Unknown`].
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidKeyConfig> {
        let malformed = InvalidKeyConfig::Malformed;
        let (&[key_id, high, low], rest) = bytes.split_first_chunk().ok_or(malformed)?;
        let kem = Kem::from_id(u16::from_be_bytes([high, low])).ok_or(InvalidKeyConfig::Unknown)?;
        let (public, rest) = rest.split_at_checked(kem.public_len()).ok_or(malformed)?;
        let (&length, pairs) = rest.split_first_chunk().ok_or(malformed)?;
        let length = usize::from(u16::from_be_bytes(length));
        if pairs.len() != length || length == 0 || length % PAIR != 0 {
            return Err(malformed);
        }
        let public = PublicKey::from_bytes(kem, public).map_err(|_| malformed)?;
        let mut aeads = Vec::new();
        for pair in pairs.chunks_exact(PAIR) {
            let kdf = u16::from_be_bytes([pair[0], pair[1]]);
            let aead = Aead::from_id(u16::from_be_bytes([pair[2], pair[3]]));
            if let Some(aead) = aead.filter(|aead| kdf == KDF && !aeads.contains(aead)) {
                aeads.push(aead);
            }
        }
        Self::new(key_id, public, aeads).ok_or(InvalidKeyConfig::Unknown)
    }

    /// Encodes a list, with media type `application/ohttp-keys`.
    #[must_use]
    pub fn encode_list(configs: &[Self]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for config in configs {
            let config = config.encode();
            // The longest configuration has 1,229 bytes.
            let length = u16::try_from(config.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&config);
        }
        bytes
    }

    /// Decodes a list; configurations with unknown algorithms are skipped, so the result may be empty.
    ///
    /// # Errors
    ///
    /// [`InvalidKeyConfig::Malformed`], also for more than [`MAX_CONFIGS`], or [`InvalidKeyConfig::SameId`].
    pub fn decode_list(mut bytes: &[u8]) -> Result<Vec<Self>, InvalidKeyConfig> {
        let mut configs: Vec<Self> = Vec::new();
        for _ in 0..MAX_CONFIGS {
            if bytes.is_empty() {
                return Ok(configs);
            }
            let (&length, rest) = bytes.split_first_chunk().ok_or(InvalidKeyConfig::Malformed)?;
            let (config, rest) = rest
                .split_at_checked(usize::from(u16::from_be_bytes(length)))
                .ok_or(InvalidKeyConfig::Malformed)?;
            bytes = rest;
            match Self::decode(config) {
                Ok(config) if configs.iter().any(|other| other.key_id == config.key_id) => {
                    return Err(InvalidKeyConfig::SameId);
                }
                Ok(config) => configs.push(config),
                Err(InvalidKeyConfig::Unknown) => {}
                Err(error) => return Err(error),
            }
        }
        if bytes.is_empty() { Ok(configs) } else { Err(InvalidKeyConfig::Malformed) }
    }
}

#[cfg(test)]
mod tests;
