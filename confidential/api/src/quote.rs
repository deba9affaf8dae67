//! A TPM's quote with its registers, as one piece of evidence (OpenPCC's `TPMQuoteAttestation`).

use std::collections::BTreeMap;

use prost::Message as _;

use crate::{
    policy::Registers,
    protobuf::{self, Malformed, bounded, decode},
};

/// Maximum length in bytes, that of a TPM's response.
pub const QUOTE_MAX: usize = 4 * 1024;
/// Length of a register of the SHA-256 bank, in bytes.
const REGISTER: usize = 32;
/// Number of registers.
const REGISTERS: u8 = 32;

/// The data of a piece of type [`TPM_QUOTE`](crate::evidence::EvidenceType::TPM_QUOTE).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TpmQuote {
    /// The signed structure: a `TPMS_ATTEST`, without its length.
    pub attest: Vec<u8>,
    /// The registers, 32 bytes each.
    pub registers: Registers,
}

impl TpmQuote {
    /// Decodes a quote. Its registers may have any order, as Go encodes maps; all else must be canonical.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        const NONE: Malformed = Malformed("not a TPM's quote with its registers");
        bounded(bytes, QUOTE_MAX, "a TPM's quote has at most 4 KiB")?;
        let quote: protobuf::Quote = decode(bytes, NONE.0)?;
        // Encoding it again drops unknown or duplicate fields, and shortens integers.
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

    /// Encodes it.
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
