//! The pieces that evidence of each kind consists of.

use confidential_api::{
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    policy::EvidenceKind,
};

use crate::Code;

/// Maximum size of all pieces, in bytes.
pub const MAX_EVIDENCE: usize = 1024 * 1024;
/// Maximum size of a Nitro document, in bytes.
pub const MAX_DOCUMENT: usize = 16 * 1024;
/// Maximum size of a piece that a TPM made, and of its signature, in bytes: that of a TPM's response.
pub const MAX_TPM_PIECE: usize = 4 * 1024;

/// The pieces of an enclave's evidence.
#[derive(Debug)]
pub(crate) struct NitroSet<'a> {
    pub(crate) document: &'a [u8],
    /// `None` if the evidence answers no request.
    pub(crate) nonces: Option<&'a [u8]>,
    /// `None` if there is only a document.
    pub(crate) key_config: Option<&'a [u8]>,
}

/// The pieces of a TPM's evidence.
#[derive(Debug)]
pub(crate) struct TpmSet<'a> {
    pub(crate) ak: &'a EvidencePiece,
    pub(crate) creation: &'a EvidencePiece,
    pub(crate) quote: &'a EvidencePiece,
    pub(crate) rek: &'a EvidencePiece,
    /// `None` if the evidence answers no request.
    pub(crate) nonces: Option<&'a [u8]>,
}

/// Pieces that only a TPM's evidence has.
const OF_A_TPM: [EvidenceType; 4] = [
    EvidenceType::AK_TPMT_PUBLIC,
    EvidenceType::CERTIFY_REK_CREATION,
    EvidenceType::TPM_QUOTE,
    EvidenceType::TPMT_PUBLIC,
];

/// The kind of evidence. Mixed evidence is of either kind, and fails because of a foreign piece.
pub(crate) fn kind(evidence: &EvidenceList) -> EvidenceKind {
    let is_of_a_tpm = evidence.0.iter().any(|piece| OF_A_TPM.contains(&piece.kind));
    if is_of_a_tpm { EvidenceKind::Tpm } else { EvidenceKind::Nitro }
}

/// The pieces of an enclave's evidence, each at most once and nothing else. Only the document must be present.
pub(crate) fn nitro_set(evidence: &EvidenceList) -> Result<NitroSet<'_>, Code> {
    let types = [EvidenceType::NITRO_DOCUMENT, EvidenceType::NONCE_SET, EvidenceType::KEY_CONFIG];
    let [document, nonces, key_config] = pieces(evidence, types)?;
    let document = document.map(alone).transpose()?.ok_or(Code::PieceMissing)?;
    if document.len() > MAX_DOCUMENT {
        return Err(Code::Oversize);
    }
    let [nonces, key_config] = [nonces, key_config].map(|piece| piece.map(alone).transpose());
    Ok(NitroSet { document, nonces: nonces?, key_config: key_config? })
}

/// The pieces of a TPM's evidence, each once and nothing else. Only the nonces may be missing.
pub(crate) fn tpm_set(evidence: &EvidenceList) -> Result<TpmSet<'_>, Code> {
    let [ak, creation, quote, rek] = OF_A_TPM;
    let types = [ak, creation, quote, rek, EvidenceType::NONCE_SET];
    let [ak, creation, quote, rek, nonces] = pieces(evidence, types)?;
    Ok(TpmSet {
        ak: of_a_tpm(ak)?,
        creation: of_a_tpm(creation)?,
        quote: of_a_tpm(quote)?,
        rek: of_a_tpm(rek)?,
        nonces: nonces.map(alone).transpose()?,
    })
}

/// The pieces of these types, each at most once and nothing else.
fn pieces<const N: usize>(
    evidence: &EvidenceList,
    types: [EvidenceType; N],
) -> Result<[Option<&EvidencePiece>; N], Code> {
    let bytes = evidence.0.iter().map(|piece| piece.data.len() + piece.signature.len());
    if bytes.sum::<usize>() > MAX_EVIDENCE {
        return Err(Code::Oversize);
    }
    let mut places = [None; N];
    for piece in &evidence.0 {
        let mut named = types.iter().zip(&mut places);
        let place = named.find(|(kind, _)| **kind == piece.kind).map(|(_, place)| place);
        if place.ok_or(Code::PieceForeign)?.replace(piece).is_some() {
            return Err(Code::PieceDoubled);
        }
    }
    Ok(places)
}

/// The data of a piece that has no signature of its own.
fn alone(piece: &EvidencePiece) -> Result<&[u8], Code> {
    if piece.signature.is_empty() { Ok(&piece.data) } else { Err(Code::PieceForeign) }
}

/// A piece that must be present, and is not longer than what a TPM makes.
fn of_a_tpm(piece: Option<&EvidencePiece>) -> Result<&EvidencePiece, Code> {
    let piece = piece.ok_or(Code::PieceMissing)?;
    let is_small = piece.data.len() <= MAX_TPM_PIECE && piece.signature.len() <= MAX_TPM_PIECE;
    if is_small { Ok(piece) } else { Err(Code::Oversize) }
}
