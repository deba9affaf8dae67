//! Evidence of a TPM 2.0: its attestation key (AK) signed the registers, and the creation of the node's key (REK) in the
//! same TPM.
//!
//! Section numbers are those of the TPM 2.0 Library specification.

mod attest;
mod key;
mod registers;
mod wire;

use confidential_api::quote::TpmQuote;
use tpm2_protocol::data::{TpmsCreationInfo, TpmsQuoteInfo};

use crate::{Code, evidence::TpmSet};
use attest::Attest;
pub(crate) use key::{AttestationKey, NodeKey};
pub(crate) use registers::{REGISTERS_OF_BOOT, REGISTERS_OF_CODE, Registers};

/// The pieces of a TPM's evidence; only their format is checked.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) ak: AttestationKey<'a>,
    pub(crate) rek: NodeKey<'a>,
    pub(crate) registers: Registers,
    quote: Attest,
    creation: Attest,
}

impl<'a> Evidence<'a> {
    /// Reads them.
    pub(crate) fn read(set: &TpmSet<'a>) -> Result<Self, Code> {
        let quote = TpmQuote::decode(&set.quote.data).map_err(|_| Code::Malformed)?;
        let created = wire::read_sized(&set.creation.data)?;
        Ok(Self {
            ak: AttestationKey::read(set.ak)?,
            rek: NodeKey::read(set.rek)?,
            registers: Registers(quote.registers.0),
            creation: Attest::read(created.to_vec(), &set.creation.signature)?,
            quote: Attest::read(quote.attest, &set.quote.signature)?,
        })
    }

    /// The signed structures: a quote and a creation.
    pub(crate) fn attested(&self) -> Result<(&TpmsQuoteInfo, &TpmsCreationInfo), Code> {
        Ok((self.quote.quote()?, self.creation.creation()?))
    }

    /// Whether the AK and both signatures are of the allowed algorithm.
    pub(crate) fn check_algorithm(&self) -> Result<(), Code> {
        self.ak.check_algorithm()?;
        self.quote.signature().and(self.creation.signature()).map(drop)
    }

    /// Whether the AK signed both.
    pub(crate) fn check_signatures(&self) -> Result<(), Code> {
        self.ak.check_signature(&self.quote)?;
        self.ak.check_signature(&self.creation)
    }

    /// The nonces of quote and creation, empty if there was no request.
    pub(crate) fn nonces(&self) -> [&[u8]; 2] {
        [self.quote.extra_data(), self.creation.extra_data()]
    }

    /// Whether the TPM was neither reset nor resumed between the two.
    pub(crate) fn check_counts(&self) -> Result<(), Code> {
        if self.quote.counts() == self.creation.counts() { Ok(()) } else { Err(Code::CountsDiffer) }
    }
}
