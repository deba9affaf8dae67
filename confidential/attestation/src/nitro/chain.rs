//! Verifies a document's certificates and signature with rustls' verifier.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
    UnixTime, alg_id,
};
use webpki::{
    EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert,
    aws_lc_rs::ECDSA_P384_SHA384,
};

use super::document::{Document, Signed};
use crate::Code;

/// Nitro's certificates have no extended key usage; one that has was made for something else.
struct NoExtendedUsage;

impl ExtendedKeyUsageValidator for NoExtendedUsage {
    fn validate(&self, mut named: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        if named.next().is_none() { Ok(()) } else { Err(Error::BadDer) }
    }
}

/// Checks that the certificates form a chain from the leaf to the first certificate, which the caller trusts, and that each
/// is valid at `now`.
pub(crate) fn check_chain(document: &Document, now: u64) -> Result<(), Code> {
    let Some((root, intermediates)) = document.chain.split_first() else {
        return Err(Code::Chain);
    };
    let root = CertificateDer::from(root.as_slice());
    let anchor = anchor_from_trusted_cert(&root).map_err(|_| Code::Chain)?;
    let leaf = CertificateDer::from(document.certificate.as_slice());
    let leaf = EndEntityCert::try_from(&leaf).map_err(|_| Code::Chain)?;
    let intermediates: Vec<CertificateDer<'_>> =
        intermediates.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let time = UnixTime::since_unix_epoch(Duration::from_millis(now));
    leaf.verify_for_usage(
        &[ECDSA_P384_SHA384],
        &[anchor],
        &intermediates,
        time,
        NoExtendedUsage,
        None,
        None,
    )
    .map(drop)
    .map_err(|error| code(&error))
}

#[allow(clippy::wildcard_enum_match_arm, reason = "webpki may get more errors")]
fn code(error: &Error) -> Code {
    match error {
        Error::CertExpired { .. } => Code::LeafExpired,
        Error::CertNotValidYet { .. } => Code::NotYetValid,
        Error::EndEntityUsedAsCa | Error::PathLenConstraintViolated => Code::IntermediateNotCa,
        _ => Code::Chain,
    }
}

/// Checks that the leaf's key signed the document.
pub(crate) fn check_signature(document: &Document, signed: &Signed) -> Result<(), Code> {
    let leaf = CertificateDer::from(document.certificate.as_slice());
    let leaf = EndEntityCert::try_from(&leaf).map_err(|_| Code::Signature)?;
    let signature = signed.signature()?;
    leaf.verify_signature(&Es384, &signed.signed_bytes(), signature).map_err(|_| Code::Signature)
}

/// ES384 as COSE writes it, `r || s`; certificates have it in DER.
#[derive(Debug)]
struct Es384;

impl SignatureVerificationAlgorithm for Es384 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P384
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA384
    }
}
