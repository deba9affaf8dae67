//! Key configurations (RFC 9458, section 3.1) and lists of them (section 3.2).

use crate::{Aead, Kem, PublicKey, schedule::KDF};

/// Most configurations of one list.
pub const MAX_CONFIGS: usize = 64;

/// Bytes of one pair of KDF and AEAD.
const PAIR: usize = 4;

/// A gateway's public key, and the ciphers that it takes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyConfig {
    key_id: u8,
    public: PublicKey,
    /// The gateway's preference.
    preferred: Aead,
    /// All of them, the preferred one first.
    aeads: Vec<Aead>,
}

/// Why bytes are no key configuration, or no list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKeyConfig {
    /// Cut, too long, or with lengths that do not fit.
    #[error("not a key configuration")]
    Malformed,
    /// Of algorithms that are not known here; in a list it is passed over.
    #[error("a key configuration of unknown algorithms")]
    Unknown,
    /// Two keys of one list have the same id.
    #[error("two key configurations have the same key id")]
    SameId,
}

impl KeyConfig {
    /// Makes a configuration; `None` without a cipher, or with one that no suite names.
    #[must_use]
    pub fn new(key_id: u8, public: PublicKey, aeads: Vec<Aead>) -> Option<Self> {
        let &preferred = aeads.first()?;
        let known = aeads.iter().all(|aead| Aead::from_id(aead.id()).is_some());
        known.then_some(Self { key_id, public, preferred, aeads })
    }

    /// The id by which a request names the key.
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

    /// The ciphers, the gateway's preference first.
    #[must_use]
    pub fn aeads(&self) -> &[Aead] {
        &self.aeads
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.key_id];
        bytes.extend_from_slice(&self.public.kem().id().to_be_bytes());
        bytes.extend_from_slice(&self.public.to_bytes());
        // At most two ciphers are known, each once or a few times; a list of 16,384 of them is not made.
        let pairs = u16::try_from(self.aeads.len() * PAIR).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&pairs.to_be_bytes());
        for aead in &self.aeads {
            bytes.extend_from_slice(&KDF.to_be_bytes());
            bytes.extend_from_slice(&aead.id().to_be_bytes());
        }
        bytes
    }

    /// Reads one; pairs of KDF and AEAD that are not known here are left out.
    ///
    /// # Errors
    ///
    /// [`BadKeyConfig::Malformed`] or [`BadKeyConfig::Unknown`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BadKeyConfig> {
        let malformed = BadKeyConfig::Malformed;
        let (&[key_id, high, low], rest) = bytes.split_first_chunk().ok_or(malformed)?;
        let kem = Kem::from_id(u16::from_be_bytes([high, low])).ok_or(BadKeyConfig::Unknown)?;
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
        Self::new(key_id, public, aeads).ok_or(BadKeyConfig::Unknown)
    }

    /// Writes a list, of media type [`KEYS`](super::KEYS).
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

    /// Reads a list; configurations of unknown algorithms are passed over, so it may come out empty.
    ///
    /// # Errors
    ///
    /// [`BadKeyConfig::Malformed`], also for more than [`MAX_CONFIGS`], or [`BadKeyConfig::SameId`].
    pub fn decode_list(mut bytes: &[u8]) -> Result<Vec<Self>, BadKeyConfig> {
        let mut configs: Vec<Self> = Vec::new();
        for _ in 0..MAX_CONFIGS {
            if bytes.is_empty() {
                return Ok(configs);
            }
            let (&length, rest) = bytes.split_first_chunk().ok_or(BadKeyConfig::Malformed)?;
            let (config, rest) = rest
                .split_at_checked(usize::from(u16::from_be_bytes(length)))
                .ok_or(BadKeyConfig::Malformed)?;
            bytes = rest;
            match Self::decode(config) {
                Ok(config) if configs.iter().any(|other| other.key_id == config.key_id) => {
                    return Err(BadKeyConfig::SameId);
                }
                Ok(config) => configs.push(config),
                Err(BadKeyConfig::Unknown) => {}
                Err(error) => return Err(error),
            }
        }
        if bytes.is_empty() { Ok(configs) } else { Err(BadKeyConfig::Malformed) }
    }
}

#[cfg(test)]
mod tests;
