//! What an attestation key signs: a TPMS_ATTEST (Part 2, 10.12.12), and the signature beside it.

use tpm2_protocol::data::{
    TpmAlgId, TpmsAttest, TpmsCreationInfo, TpmsQuoteInfo, TpmtSignature, TpmuAttest, TpmuSignature,
};

use super::wire;
use crate::Code;

/// A TPMS_ATTEST with its TPMT_SIGNATURE.
#[derive(Debug)]
pub(super) struct Attest {
    signed: Vec<u8>,
    says: TpmsAttest,
    signature: TpmtSignature,
}

impl Attest {
    /// Reads both.
    pub(super) fn read(signed: Vec<u8>, signature: &[u8]) -> Result<Self, Code> {
        let says = wire::read(&signed)?;
        Ok(Self { signed, says, signature: wire::read(signature)? })
    }

    /// The bytes that are signed.
    pub(super) fn signed(&self) -> &[u8] {
        &self.signed
    }

    /// The signature's bytes, if it is one by RSASSA with SHA-256. A TPM signs with "null" where it shall not sign.
    pub(super) fn signature(&self) -> Result<&[u8], Code> {
        if self.signature.signature == TpmuSignature::Null {
            return Err(Code::Unsigned);
        }
        let TpmuSignature::Rsassa(rsa) = &self.signature.signature else {
            return Err(Code::Algorithm);
        };
        if rsa.hash == TpmAlgId::Sha256 { Ok(&rsa.sig) } else { Err(Code::Algorithm) }
    }

    /// What it says, if it is a quote.
    pub(super) fn quote(&self) -> Result<&TpmsQuoteInfo, Code> {
        let TpmuAttest::Quote(quote) = &self.says.attested else { return Err(Code::AttestType) };
        Ok(quote)
    }

    /// What it says, if it certifies a creation.
    pub(super) fn creation(&self) -> Result<&TpmsCreationInfo, Code> {
        let TpmuAttest::Creation(creation) = &self.says.attested else {
            return Err(Code::AttestType);
        };
        Ok(creation)
    }

    /// The caller's qualifying data.
    pub(super) fn extra_data(&self) -> &[u8] {
        &self.says.extra_data
    }

    /// How often the TPM was reset, and restarted or resumed since then.
    pub(super) fn counts(&self) -> (u32, u32) {
        let clock = &self.says.clock_info;
        (clock.reset_count.value(), clock.restart_count.value())
    }
}
