//! Trust anchors, and the class of evidence that follows from them.

use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a trust anchor: of a root certificate (DER), or of the public area of a TPM's attestation key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of these bytes.
    #[must_use]
    pub fn of(anchor: &[u8]) -> Self {
        Self(Sha256::digest(anchor).into())
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The root of AWS's Nitro enclaves, G1: SHA-256 of its certificate, as AWS publishes it
/// (<https://docs.aws.amazon.com/enclaves/latest/user/verify-root.html>).
pub const AWS_NITRO_ROOT: Fingerprint = Fingerprint([
    0x64, 0x1a, 0x03, 0x21, 0xa3, 0xe2, 0x44, 0xef, 0xe4, 0x56, 0x46, 0x31, 0x95, 0xd6, 0x06, 0x31,
    0x7e, 0xd7, 0xcd, 0xcc, 0x3c, 0x17, 0x56, 0xe0, 0x98, 0x93, 0xf3, 0xc6, 0x8f, 0x79, 0xbb, 0x5b,
]);

/// The class of evidence. It follows from the trust anchor, never from what the evidence or a published policy claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Class {
    /// AWS's root, which is compiled in, signed it.
    Nitro,
    /// The attestation key of a TPM signed it that the home's pin marks as a vendor's.
    Tpm,
    /// Anything else, such as a software TPM or a private root. It proves nothing to anybody but its owner.
    Simulated,
}

impl Class {
    /// `NITRO`, `TPM` or `SIMULATED`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nitro => "NITRO",
            Self::Tpm => "TPM",
            Self::Simulated => "SIMULATED",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
