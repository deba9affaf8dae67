//! The key that a node's requests are sealed to, as the node tells it.

use confidential_api::policy::RekKind;

use crate::Code;

/// Key encapsulation, key derivation and encryption: identifiers of RFC 9180.
const fn suite(kind: RekKind) -> [u8; 6] {
    match kind {
        RekKind::XWing => [0x64, 0x7a, 0, 1, 0, 1],
        RekKind::P256 => [0, 0x10, 0, 1, 0, 1],
    }
}

/// Length of the public key in bytes.
const fn public_key_len(kind: RekKind) -> usize {
    match kind {
        RekKind::XWing => 1216,
        RekKind::P256 => 65,
    }
}

/// A request encapsulation key: `kem u16 || kdf u16 || aead u16 || public key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rek {
    kind: RekKind,
    config: Vec<u8>,
}

impl Rek {
    /// Reads a key configuration.
    pub(crate) fn read(config: &[u8]) -> Result<Self, Code> {
        let is = |kind: &RekKind| {
            let key = config.strip_prefix(&suite(*kind));
            key.is_some_and(|key| key.len() == public_key_len(*kind))
        };
        let kind = [RekKind::XWing, RekKind::P256].into_iter().find(is).ok_or(Code::Malformed)?;
        Ok(Self { kind, config: config.to_vec() })
    }

    /// What kind of key.
    #[must_use]
    pub const fn kind(&self) -> RekKind {
        self.kind
    }

    /// The key configuration, as the node told it.
    #[must_use]
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// The public key alone, as RFC 9180 writes it for its KEM.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        &self.config[suite(self.kind).len()..]
    }
}
