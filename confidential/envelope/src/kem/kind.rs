//! Key encapsulation mechanisms.

use hpke::{
    Kem as HpkeKem,
    kem::{DhP256HkdfSha256, X25519HkdfSha256, XWing},
};

/// Length of an uncompressed P-256 point in bytes (SEC 1, section 2.3.3).
pub const P256_POINT: usize = 65;

/// A key encapsulation mechanism (RFC 9180, section 7.1; draft-ietf-hpke-pq).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kem {
    /// X-Wing: ML-KEM-768 and X25519.
    XWing,
    /// DHKEM(X25519, HKDF-SHA256).
    X25519,
    /// DHKEM(P-256, HKDF-SHA256).
    P256,
}

impl Kem {
    /// HPKE's identifier.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::XWing => XWing::KEM_ID,
            Self::X25519 => X25519HkdfSha256::KEM_ID,
            Self::P256 => DhP256HkdfSha256::KEM_ID,
        }
    }

    /// The KEM of an identifier.
    #[must_use]
    pub fn from_id(id: u16) -> Option<Self> {
        [Self::XWing, Self::X25519, Self::P256].into_iter().find(|kem| kem.id() == id)
    }

    /// Length of a public key in bytes.
    #[must_use]
    pub const fn public_len(self) -> usize {
        match self {
            Self::XWing => 1216,
            Self::X25519 => 32,
            Self::P256 => P256_POINT,
        }
    }

    /// Length of an encapsulated key in bytes.
    #[must_use]
    pub const fn encapsulated_len(self) -> usize {
        match self {
            Self::XWing => 1120,
            Self::X25519 => 32,
            Self::P256 => P256_POINT,
        }
    }
}
