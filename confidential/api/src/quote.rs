//! A TPM's quote, and the registers that it is of, as one piece of evidence (OpenPCC's `TPMQuoteAttestation`).

use std::collections::BTreeMap;

use prost::Message as _;

use crate::{
    policy::Registers,
    protobuf::{self, Malformed, bounded, decode},
};

/// Most bytes of it, as many as of a TPM's response.
pub const QUOTE_MAX: usize = 4 * 1024;
/// Length of a register of the SHA-256 bank, in bytes.
const REGISTER: usize = 32;
/// Registers are numbered below this.
const REGISTERS: u8 = 32;

/// The data of a piece of type [`TPM_QUOTE`](crate::evidence::EvidenceType::TPM_QUOTE). Nothing here judges it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TpmQuote {
    /// What is signed: a `TPMS_ATTEST`, without a length before it.
    pub attest: Vec<u8>,
    /// The registers beside it, 32 bytes each.
    pub registers: Registers,
}

impl TpmQuote {
    /// Reads one. Its registers may come in any order, since Go writes maps so; all else has one form.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        const NONE: Malformed = Malformed("no quote of a TPM with its registers");
        bounded(bytes, QUOTE_MAX, "a TPM's quote has at most 4 KiB")?;
        let quote: protobuf::Quote = decode(bytes, NONE.0)?;
        // Fields that nobody knows, doubled ones and longer integers are gone when it is written.
        if quote.encode_to_vec() != bytes {
            return Err(NONE);
        }
        let mut registers = BTreeMap::new();
        for register in quote.registers.ok_or(NONE)?.values {
            let index = register.index.and_then(|index| u8::try_from(index).ok());
            let index = index.filter(|index| *index < REGISTERS).ok_or(NONE)?;
            let value = register.value.filter(|value| value.len() == REGISTER).ok_or(NONE)?;
            if registers.insert(index, value).is_some() {
                return Err(NONE);
            }
        }
        Ok(Self { attest: quote.attest, registers: Registers(registers) })
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let register = |(index, value): (&u8, &Vec<u8>)| protobuf::Register {
            index: Some((*index).into()),
            value: Some(value.clone()),
        };
        let values = self.registers.0.iter().map(register).collect();
        let registers = Some(protobuf::RegisterMap { values });
        protobuf::Quote { attest: self.attest.clone(), registers }.encode_to_vec()
    }
}
