//! Strict decoding of a TPM's structures.

use tpm2_protocol::{TpmError, TpmUnmarshal};

use crate::Code;

/// Decodes one structure from all of `bytes`.
pub(crate) fn read<T: TpmUnmarshal>(bytes: &[u8]) -> Result<T, Code> {
    let (value, rest) = T::unmarshal(bytes).map_err(|error| {
        let is_magic = matches!(error, TpmError::InvalidMagicNumber { .. });
        if is_magic { Code::NotGenerated } else { Code::Malformed }
    })?;
    if rest.is_empty() { Ok(value) } else { Err(Code::Malformed) }
}

/// The content of a TPM2B that is all of `bytes`.
pub(crate) fn read_sized(bytes: &[u8]) -> Result<&[u8], Code> {
    let (size, inner) = bytes.split_first_chunk().ok_or(Code::Malformed)?;
    let is_whole = inner.len() == usize::from(u16::from_be_bytes(*size));
    if is_whole { Ok(inner) } else { Err(Code::Malformed) }
}

#[cfg(test)]
mod tests {
    use attester::tpm::{Attest, Public, SHA256, words};
    use proptest::prelude::*;
    use tpm2_protocol::{
        TpmMarshal, TpmWriter,
        data::{TpmsAttest, TpmtPublic, TpmtSignature},
    };

    use super::*;

    fn write(value: &impl TpmMarshal) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        let mut writer = TpmWriter::new(&mut bytes);
        value.marshal(&mut writer).unwrap();
        let len = writer.len();
        bytes.truncate(len);
        bytes
    }

    /// What was read is the same bytes when it is written: there is one form.
    fn has_one_form<T: TpmMarshal + TpmUnmarshal>(bytes: &[u8]) -> Result<(), TestCaseError> {
        if let Ok(value) = read::<T>(bytes) {
            prop_assert_eq!(write(&value), bytes);
        }
        Ok(())
    }

    fn genuine() -> [Vec<u8>; 4] {
        [
            Attest::quote(&[1; 32], &[(SHA256, vec![0, 0x11, 0])], &[2; 32]).write(),
            Attest::creation(&[1; 32], &[3; 34]).write(),
            Public::rek(&[4; 64], &[5; 32]).write(),
            words(&[0x14, 0x0b, 4, 6, 7]),
        ]
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back(
            which in 0..4_usize,
            at in any::<prop::sample::Index>(),
            with in prop::collection::vec(any::<u8>(), 0..3),
            cut in 0..3_usize,
        ) {
            let mut bytes = genuine()[which].clone();
            has_one_form::<TpmsAttest>(&bytes)?;
            let at = at.index(bytes.len());
            bytes.splice(at..(at + cut).min(bytes.len()), with);
            has_one_form::<TpmsAttest>(&bytes)?;
            has_one_form::<TpmtPublic>(&bytes)?;
            has_one_form::<TpmtSignature>(&bytes)?;
        }
    }

    #[test]
    fn genuine_ones_are_read_and_longer_ones_are_not() {
        let [quote, creation, public, signature] = genuine();
        assert!(read::<TpmsAttest>(&quote).is_ok() && read::<TpmsAttest>(&creation).is_ok());
        assert!(read::<TpmtPublic>(&public).is_ok() && read::<TpmtSignature>(&signature).is_ok());
        for bytes in [quote, creation] {
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(read::<TpmsAttest>(&longer).unwrap_err(), Code::Malformed);
        }
        assert_eq!(read_sized(&[0, 2, 7, 8]), Ok(&[7, 8][..]));
        for bytes in [&[][..], &[0], &[0, 1], &[0, 1, 7, 8], &[1, 0, 7]] {
            assert_eq!(read_sized(bytes), Err(Code::Malformed), "{bytes:?}");
        }
    }
}
