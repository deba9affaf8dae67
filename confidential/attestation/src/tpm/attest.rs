//! The structure that an attestation key signs, TPMS_ATTEST (Part 2, 10.12.12), and its signature.

use tpm2_protocol::data::{
    TpmAlgId, TpmsAttest, TpmsCreationInfo, TpmsQuoteInfo, TpmtSignature, TpmuAttest, TpmuSignature,
};

use super::wire;
use crate::Code;

/// A TPMS_ATTEST with its TPMT_SIGNATURE.
#[derive(Debug)]
pub(super) struct Attest {
    signed: Vec<u8>,
    attest: TpmsAttest,
    signature: TpmtSignature,
}

impl Attest {
    /// Reads both.
    pub(super) fn read(signed: Vec<u8>, signature: &[u8]) -> Result<Self, Code> {
        let attest = wire::read(&signed)?;
        Ok(Self { signed, attest, signature: wire::read(signature)? })
    }

    /// The bytes that are signed.
    pub(super) fn signed(&self) -> &[u8] {
        &self.signed
    }

    /// The signature's bytes, if its algorithm is RSASSA with SHA-256. A null signature means that the TPM did not sign.
    pub(super) fn signature(&self) -> Result<&[u8], Code> {
        if self.signature.signature == TpmuSignature::Null {
            return Err(Code::Unsigned);
        }
        let TpmuSignature::Rsassa(rsa) = &self.signature.signature else {
            return Err(Code::Algorithm);
        };
        if rsa.hash == TpmAlgId::Sha256 { Ok(&rsa.sig) } else { Err(Code::Algorithm) }
    }

    /// The quote, if it is one.
    pub(super) fn quote(&self) -> Result<&TpmsQuoteInfo, Code> {
        let TpmuAttest::Quote(quote) = &self.attest.attested else { return Err(Code::AttestType) };
        Ok(quote)
    }

    /// The creation, if it certifies one.
    pub(super) fn creation(&self) -> Result<&TpmsCreationInfo, Code> {
        let TpmuAttest::Creation(creation) = &self.attest.attested else {
            return Err(Code::AttestType);
        };
        Ok(creation)
    }

    /// The caller's qualifying data.
    pub(super) fn extra_data(&self) -> &[u8] {
        &self.attest.extra_data
    }

    /// The TPM's reset and restart counters.
    pub(super) fn counts(&self) -> (u32, u32) {
        let clock = &self.attest.clock_info;
        (clock.reset_count.value(), clock.restart_count.value())
    }
}
