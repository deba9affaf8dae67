//! The registers (PCRs) of the SHA-256 bank that a quote is about.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use tpm2_protocol::data::{TpmAlgId, TpmCc, TpmsQuoteInfo};

use crate::{Class, Code};

/// The registers of the measured program and its model.
pub(crate) const REGISTERS_OF_CODE: [u8; 2] = [8, 12];
/// The registers of the booted code, and of Secure Boot's state and keys (PC Client Platform Firmware Profile, 3.3.4). Any
/// program that booted can extend the code's registers, so their values are worth what these are.
pub(crate) const REGISTERS_OF_BOOT: [u8; 2] = [4, 7];
/// Length of a selection in bytes: a PC's TPM has 24 registers (PC Client Platform TPM Profile, 4.6).
const SELECT: usize = 3;

/// Register values by index.
#[derive(Debug)]
pub(crate) struct Registers(pub(crate) BTreeMap<u8, Vec<u8>>);

impl Registers {
    /// Whether the quote is about exactly these registers.
    pub(crate) fn check_quoted(&self, quote: &TpmsQuoteInfo) -> Result<(), Code> {
        let [selection] = &*quote.pcr_select else { return Err(Code::RegistersOther) };
        let is_quoted = selection.hash == TpmAlgId::Sha256
            && self.select().is_some_and(|select| *selection.pcr_select == select)
            && *quote.pcr_digest == self.digest();
        if is_quoted { Ok(()) } else { Err(Code::RegistersOther) }
    }

    /// Whether the code's registers, and for a vendor's TPM the boot registers, differ from their initial values: all zeros or
    /// all ones.
    pub(crate) fn check_measured(&self, class: Option<Class>) -> Result<(), Code> {
        let is_measured = |index| {
            let value = self.0.get(index);
            value.is_some_and(|value| {
                [0, 0xff].iter().all(|unset| value.iter().any(|byte| byte != unset))
            })
        };
        if !REGISTERS_OF_CODE.iter().all(is_measured) {
            return Err(Code::NotMeasured);
        }
        let is_booted = class != Some(Class::Tpm) || REGISTERS_OF_BOOT.iter().all(is_measured);
        if is_booted { Ok(()) } else { Err(Code::BootNotMeasured) }
    }

    /// The selection: one bit for each register, from the lowest bit of the first byte.
    fn select(&self) -> Option<[u8; SELECT]> {
        let mut select = [0; SELECT];
        for index in self.0.keys() {
            *select.get_mut(usize::from(index / 8))? |= 1 << (index % 8);
        }
        Some(select)
    }

    /// SHA-256 of the values in the order of their indexes.
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        self.0.values().for_each(|value| digest.update(value));
        digest.finalize().into()
    }

    /// The digest of a policy of `TPM2_PolicyPCR` alone (Part 3, 23.7); `None` if there is no such register.
    pub(crate) fn policy(&self) -> Option<[u8; 32]> {
        let policy = Sha256::new_with_prefix([0; 32])
            .chain_update(TpmCc::PolicyPcr.value().to_be_bytes())
            // TPML_PCR_SELECTION: one, of SHA-256, three bytes long.
            .chain_update(1_u32.to_be_bytes())
            .chain_update(TpmAlgId::Sha256.value().to_be_bytes())
            .chain_update([3])
            .chain_update(self.select()?)
            .chain_update(self.digest());
        Some(policy.finalize().into())
    }
}
