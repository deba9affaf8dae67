//! A node's request encryption key in its evidence: `kem u16 || kdf u16 || aead u16 || public key`.

use confidential_api::policy::RekKind;
use confidential_envelope::{Kem, inner::Rek};

use crate::Code;

/// HKDF-SHA256 and AES-128-GCM, which every node uses (RFC 9180, sections 7.2 and 7.3).
const KDF_AND_AEAD: [u8; 4] = [0, 1, 0, 1];

/// Reads and checks a key of a KEM that nodes have.
pub(crate) fn read(config: &[u8]) -> Result<Rek, Code> {
    let (kem, rest) = config.split_first_chunk().ok_or(Code::Malformed)?;
    let kem = Kem::from_id(u16::from_be_bytes(*kem)).ok_or(Code::Malformed)?;
    let key = rest.strip_prefix(&KDF_AND_AEAD).ok_or(Code::Malformed)?;
    Rek::from_bytes(kem, key).map_err(|_| Code::Malformed)
}

/// Whether the key is of this kind.
pub(crate) fn is_of(rek: &Rek, kind: RekKind) -> bool {
    let kem = match kind {
        RekKind::XWing => Kem::XWing,
        RekKind::P256 => Kem::P256,
    };
    rek.public().kem() == kem
}
