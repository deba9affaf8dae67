//! The key that a node's requests are sealed to, as the node tells it: `kem u16 || kdf u16 || aead u16 || public key`.

use confidential_api::policy::RekKind;
use confidential_envelope::{Kem, inner::Rek};

use crate::Code;

/// HKDF-SHA256 and AES-128-GCM: what every node's suite has beside its KEM (RFC 9180, sections 7.2 and 7.3).
const KDF_AND_AEAD: [u8; 4] = [0, 1, 0, 1];

/// Reads a key configuration of a KEM that nodes have; the key itself is checked.
pub(crate) fn read(config: &[u8]) -> Result<Rek, Code> {
    let (kem, rest) = config.split_first_chunk().ok_or(Code::Malformed)?;
    let kem = Kem::from_id(u16::from_be_bytes(*kem)).ok_or(Code::Malformed)?;
    let key = rest.strip_prefix(&KDF_AND_AEAD).ok_or(Code::Malformed)?;
    Rek::from_bytes(kem, key).map_err(|_| Code::Malformed)
}

/// Whether the key is of the kind that a policy names.
pub(crate) fn is_of(rek: &Rek, kind: RekKind) -> bool {
    let kem = match kind {
        RekKind::XWing => Kem::XWing,
        RekKind::P256 => Kem::P256,
    };
    rek.public().kem() == kem
}
