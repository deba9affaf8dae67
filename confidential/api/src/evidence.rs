//! The evidence of a node, as a list of pieces. Crate `attestation` verifies it.

use crate::{
    names::EVIDENCE_MAX,
    protobuf::{self, Malformed, bounded, decode},
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

/// Maximum number of pieces.
pub const PIECES_MAX: usize = 64;

/// The type of a piece; unknown types are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvidenceType(pub i32);

impl EvidenceType {
    /// The TPM's certification of the REK's creation (OpenPCC).
    pub const CERTIFY_REK_CREATION: Self = Self(1);
    /// The REK's public area (OpenPCC).
    pub const TPMT_PUBLIC: Self = Self(3);
    /// A quote with its registers (OpenPCC): [`TpmQuote`](crate::quote::TpmQuote).
    pub const TPM_QUOTE: Self = Self(11);
    /// The attestation key's public area (OpenPCC).
    pub const AK_TPMT_PUBLIC: Self = Self(17);
    /// The `COSE_Sign1` of a Nitro Security Module.
    pub const NITRO_DOCUMENT: Self = Self(1000);
    /// The concatenated nonces, 32 bytes each.
    pub const NONCE_SET: Self = Self(1001);
    /// `kem u16 || kdf u16 || aead u16 || public key`: the REK of an enclave.
    pub const KEY_CONFIG: Self = Self(1002);
}

/// The hash of a nonce set, which evidence has as its nonce.
#[must_use]
pub fn bound_nonce(set: &[u8]) -> [u8; 32] {
    Sha256::new_with_prefix(b"maru-confidential/1 nonces\0").chain_update(set).finalize().into()
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidencePiece {
    /// Its type.
    pub kind: EvidenceType,
    /// Its bytes.
    pub data: Vec<u8>,
    /// Its signature, if that is not in the bytes.
    pub signature: Vec<u8>,
}

/// The evidence of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvidenceList(pub Vec<EvidencePiece>);

impl EvidenceList {
    /// Decodes a list of at most [`PIECES_MAX`] pieces and [`EVIDENCE_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bounded(bytes, EVIDENCE_MAX, "evidence has at most 1 MiB")?;
        Self::read(Some(decode(bytes, "not a list of evidence")?))
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.write().encode_to_vec()
    }

    pub(crate) fn read(list: Option<protobuf::Pieces>) -> Result<Self, Malformed> {
        let items = list.unwrap_or_default().items;
        bounded(&items, PIECES_MAX, "evidence has at most 64 pieces")?;
        let len: usize = items.iter().map(|piece| piece.data.len() + piece.signature.len()).sum();
        if len > EVIDENCE_MAX {
            return Err(Malformed("evidence has at most 1 MiB"));
        }
        let piece = |it: protobuf::Piece| EvidencePiece {
            kind: EvidenceType(it.kind),
            data: it.data,
            signature: it.signature,
        };
        Ok(Self(items.into_iter().map(piece).collect()))
    }

    pub(crate) fn write(&self) -> protobuf::Pieces {
        let piece = |it: &EvidencePiece| protobuf::Piece {
            kind: it.kind.0,
            data: it.data.clone(),
            signature: it.signature.clone(),
        };
        protobuf::Pieces { items: self.0.iter().map(piece).collect() }
    }
}
