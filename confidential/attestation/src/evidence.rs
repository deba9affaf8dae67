//! The set of pieces that an enclave shows.

use confidential_api::evidence::{EvidenceList, EvidenceType};

use crate::Code;

/// Most bytes of all pieces.
pub const MAX_EVIDENCE: usize = 1024 * 1024;
/// Most bytes of a Nitro document.
pub const MAX_DOCUMENT: usize = 16 * 1024;

/// The pieces of an enclave's set.
#[derive(Debug)]
pub(crate) struct NitroSet<'a> {
    pub(crate) document: &'a [u8],
    /// `None` where nobody asked the node anything.
    pub(crate) nonces: Option<&'a [u8]>,
    /// `None` where there is a document alone.
    pub(crate) key_config: Option<&'a [u8]>,
}

/// The pieces of an enclave, each at most once and nothing else. The document must be there; whether the others must,
/// depends on what is asked.
pub(crate) fn nitro_set(evidence: &EvidenceList) -> Result<NitroSet<'_>, Code> {
    let bytes = evidence.0.iter().map(|piece| piece.data.len() + piece.signature.len());
    if bytes.sum::<usize>() > MAX_EVIDENCE {
        return Err(Code::Oversize);
    }
    let [mut document, mut nonces, mut key_config] = [None; 3];
    for piece in &evidence.0 {
        let place = match piece.kind {
            EvidenceType::NITRO_DOCUMENT => &mut document,
            EvidenceType::NONCE_SET => &mut nonces,
            EvidenceType::KEY_CONFIG => &mut key_config,
            _ => return Err(Code::PieceForeign),
        };
        if !piece.signature.is_empty() {
            return Err(Code::PieceForeign);
        }
        if place.replace(piece.data.as_slice()).is_some() {
            return Err(Code::PieceDoubled);
        }
    }
    let document = document.ok_or(Code::PieceMissing)?;
    if document.len() > MAX_DOCUMENT {
        return Err(Code::Oversize);
    }
    Ok(NitroSet { document, nonces, key_config })
}
