//! Evidence of a TPM 2.0: what its attestation key (AK) signed of its registers, and of the node's key (REK), which the
//! same TPM holds.
//!
//! Structures are those of the TPM 2.0 Library specification, Part 2, as crate `tpm2-protocol` reads them.

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

/// All pieces of a set; nothing of them is checked but their form.
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

    /// What is signed: a quote, and a creation.
    pub(crate) fn attested(&self) -> Result<(&TpmsQuoteInfo, &TpmsCreationInfo), Code> {
        Ok((self.quote.quote()?, self.creation.creation()?))
    }

    /// Whether the AK is of the one algorithm, and both are signed with it.
    pub(crate) fn check_algorithm(&self) -> Result<(), Code> {
        self.ak.check_algorithm()?;
        self.quote.signature().and(self.creation.signature()).map(drop)
    }

    /// Whether the AK signed both.
    pub(crate) fn check_signatures(&self) -> Result<(), Code> {
        self.ak.check_signature(&self.quote)?;
        self.ak.check_signature(&self.creation)
    }

    /// What quote and creation were made for, each; nothing where nobody asked.
    pub(crate) fn nonces(&self) -> [&[u8]; 2] {
        [self.quote.extra_data(), self.creation.extra_data()]
    }

    /// Whether the TPM was neither reset nor resumed between the two.
    pub(crate) fn check_counts(&self) -> Result<(), Code> {
        if self.quote.counts() == self.creation.counts() { Ok(()) } else { Err(Code::CountsDiffer) }
    }
}
