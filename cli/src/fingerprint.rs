//! A gateway's fingerprint: its identity, short enough to read aloud (`docs/protocols/sealed-chat.md`).

use std::{fmt, str::FromStr};

use ai_gateway_api::sealed::Ed25519Public;
use messages::message;
use sha2::{Digest as _, Sha256};

const LABEL: &[u8] = b"maru-gateway-identity/1\0";
/// Bytes of the hash: enough that nobody finds a second key with the same ones.
const LEN: usize = 16;

/// The fingerprint of a gateway's identity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; LEN]);

impl Fingerprint {
    /// The fingerprint of this identity.
    pub(crate) fn of(identity: Ed25519Public) -> Self {
        let hash: [u8; 32] =
            Sha256::new_with_prefix(LABEL).chain_update(identity.0).finalize().into();
        Self(std::array::from_fn(|at| hash[at]))
    }
}

/// Eight groups of four hex digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, pair) in self.0.chunks(2).enumerate() {
            let dash = if at == 0 { "" } else { "-" };
            write!(f, "{dash}{}", hex::encode(pair))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", message!("not-a-fingerprint"))]
pub(crate) struct FingerprintError;

/// With or without the dashes, in small or capital letters.
impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits: String =
            text.chars().filter(|c| !matches!(c, '-' | ':') && !c.is_whitespace()).collect();
        let mut bytes = [0; LEN];
        hex::decode_to_slice(&digits, &mut bytes).map_err(|_| FingerprintError)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use ai_gateway_api::wire::Fixed;

    use super::*;

    /// The example of `docs/protocols/sealed-chat.md`.
    const EXAMPLE: &str = "2997-69d3-cf93-ae24-5bf1-eae1-8541-aead";

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let fingerprint = Fingerprint::of(Fixed([1; 32]));

        assert_eq!(fingerprint.to_string(), EXAMPLE);
        assert_ne!(fingerprint, Fingerprint::of(Fixed([2; 32])));
        for text in [EXAMPLE.to_uppercase(), EXAMPLE.replace('-', " "), EXAMPLE.replace('-', "")] {
            assert_eq!(text.parse(), Ok(fingerprint), "{text}");
        }
        for text in ["", "0123", &EXAMPLE[1..], &format!("{EXAMPLE}-00"), "마루"] {
            assert_eq!(text.parse::<Fingerprint>(), Err(FingerprintError), "{text}");
        }
    }
}
