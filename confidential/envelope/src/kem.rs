//! Keys, and encapsulation of secrets.

use std::fmt;

use hpke::{
    Deserializable, Kem as HpkeKem, Serializable as _,
    hybrid_array::typenum::U32,
    kdf::{HkdfSha256, Kdf as _},
    kem::{DhP256HkdfSha256, X25519HkdfSha256, XWing},
    rand_core::CryptoRng,
};
use zeroize::Zeroizing;

use crate::{SealError, random};

mod kind;
mod p256;
mod x_wing;

pub use kind::{Kem, P256_POINT};
pub use x_wing::{ExpandedKey, ExpandedXWing};

/// Length of every shared secret here, in bytes.
pub const SECRET: usize = 32;

/// The bytes are not a key of that KEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key of this KEM")]
pub struct InvalidKey;

/// A public key that was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Public);

#[derive(Clone, PartialEq, Eq)]
enum Public {
    XWing(Box<<XWing as HpkeKem>::PublicKey>),
    X25519(<X25519HkdfSha256 as HpkeKem>::PublicKey),
    P256(<DhP256HkdfSha256 as HpkeKem>::PublicKey),
}

impl PublicKey {
    /// Reads and checks a serialized key; for P-256, the point must be on the curve.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`].
    pub fn from_bytes(kem: Kem, bytes: &[u8]) -> Result<Self, InvalidKey> {
        Ok(Self(match kem {
            Kem::XWing => Public::XWing(Box::new(read(bytes)?)),
            Kem::X25519 => Public::X25519(read(bytes)?),
            Kem::P256 => Public::P256(read(bytes)?),
        }))
    }

    /// Its KEM.
    #[must_use]
    pub const fn kem(&self) -> Kem {
        match self.0 {
            Public::XWing(_) => Kem::XWing,
            Public::X25519(_) => Kem::X25519,
            Public::P256(_) => Kem::P256,
        }
    }

    /// The serialized key, [`Kem::public_len`] bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0 {
            Public::XWing(key) => key.to_bytes().to_vec(),
            Public::X25519(key) => key.to_bytes().to_vec(),
            Public::P256(key) => key.to_bytes().to_vec(),
        }
    }

    /// Encapsulates a new secret to it.
    pub(crate) fn encapsulate(&self, rng: &mut impl CryptoRng) -> Result<Encapsulation, SealError> {
        fn to<K: HpkeKem<NSecret = U32>>(
            public: &K::PublicKey,
            rng: &mut impl CryptoRng,
        ) -> Result<(Vec<u8>, SharedSecret), SealError> {
            let (secret, encapsulated) =
                K::encap_with_rng(public, None, rng).map_err(|_| SealError::Key)?;
            Ok((encapsulated.to_bytes().to_vec(), SharedSecret::copy(&secret.0)))
        }
        let (encapsulated_key, secret) = match &self.0 {
            Public::XWing(key) => to::<XWing>(key, rng),
            Public::X25519(key) => to::<X25519HkdfSha256>(key, rng),
            Public::P256(key) => {
                let (point, dh) = p256::encapsulate(&key.to_bytes(), rng).ok_or(SealError::Key)?;
                let secret = SharedSecret::from_p256_dh(&dh, &point, self);
                Ok((point.to_vec(), secret.map_err(|_| SealError::Key)?))
            }
        }?;
        Ok(Encapsulation { kem: self.kem(), encapsulated_key, secret })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("kem", &self.kem()).finish_non_exhaustive()
    }
}

/// A secret that was encapsulated, for one request.
pub(crate) struct Encapsulation {
    pub(crate) kem: Kem,
    pub(crate) encapsulated_key: Vec<u8>,
    pub(crate) secret: SharedSecret,
}

/// The secret that both sides share after decapsulation; zeroized on drop.
#[derive(Clone)]
pub struct SharedSecret(pub(crate) Zeroizing<[u8; SECRET]>);

impl SharedSecret {
    /// A secret that was decapsulated elsewhere, by another process that holds the key.
    #[must_use]
    pub const fn from_bytes(bytes: Zeroizing<[u8; SECRET]>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the process that opens this one request.
    #[must_use]
    pub const fn as_bytes(&self) -> &Zeroizing<[u8; SECRET]> {
        &self.0
    }

    /// Derives it from the Diffie-Hellman value of a key in a device such as a TPM.
    ///
    /// `dh` is the x coordinate, 32 bytes big-endian, of `encapsulated_key` times the private key; this is
    /// `ExtractAndExpand` of RFC 9180, section 4.1. The device must have been given a point that
    /// [`check_p256`] took.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if `encapsulated_key` is not a point of P-256, or `public` not a key of it.
    pub fn from_p256_dh(
        dh: &Zeroizing<[u8; 32]>,
        encapsulated_key: &[u8],
        public: &PublicKey,
    ) -> Result<Self, InvalidKey> {
        if public.kem() != Kem::P256 {
            return Err(InvalidKey);
        }
        check_p256(encapsulated_key)?;
        let context = [encapsulated_key, &public.to_bytes()].concat();
        let [high, low] = Kem::P256.id().to_be_bytes();
        let mut secret = Zeroizing::new([0; SECRET]);
        HkdfSha256::extract_and_expand(
            &**dh,
            &[b'K', b'E', b'M', high, low],
            &context,
            &mut *secret,
        )
        .map_err(|_| InvalidKey)?;
        Ok(Self(secret))
    }

    fn copy(bytes: &[u8]) -> Self {
        let mut secret = Zeroizing::new([0; SECRET]);
        secret.copy_from_slice(bytes);
        Self(secret)
    }
}

redacted!(SharedSecret);

/// Checks that these bytes are an uncompressed point of P-256, before a device computes with it.
///
/// # Errors
///
/// [`InvalidKey`].
pub fn check_p256(point: &[u8]) -> Result<(), InvalidKey> {
    read::<<DhP256HkdfSha256 as HpkeKem>::EncappedKey>(point).map(drop)
}

/// Why decapsulation failed.
#[derive(Debug, thiserror::Error)]
pub enum DecapsulateError {
    /// The request has no valid encapsulated key.
    #[error("not an encapsulated key")]
    Invalid,
    /// The device or process that holds the key failed.
    #[error("the holder of the key failed")]
    Holder(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A private key: in this process ([`PrivateKey`]), in another one, or in a TPM.
pub trait Decapsulate {
    /// The key's KEM.
    fn kem(&self) -> Kem;

    /// Decapsulates the secret in an encapsulated key of [`Kem::encapsulated_len`] bytes.
    ///
    /// # Errors
    ///
    /// See [`DecapsulateError`].
    fn decapsulate(&self, encapsulated_key: &[u8]) -> Result<SharedSecret, DecapsulateError>;
}

/// A private key in this process; zeroized on drop.
#[derive(Clone)]
pub struct PrivateKey(Private);

#[derive(Clone)]
enum Private {
    XWing(Box<ExpandedKey>),
    X25519(<X25519HkdfSha256 as HpkeKem>::PrivateKey),
    P256(<DhP256HkdfSha256 as HpkeKem>::PrivateKey),
}

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub fn generate(kem: Kem) -> Result<Self, getrandom::Error> {
        Ok(Self::derive(kem, &random::bytes()?))
    }

    /// Derives a key from a seed: `DeriveKeyPair` of RFC 9180, section 7.1.3, for X25519 and P-256. For X-Wing the seed
    /// is the private key, as OpenPCC's HPKE library (circl) has it, so that the same seeds give the same keys.
    #[must_use]
    pub fn derive(kem: Kem, seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(match kem {
            // Any 32 bytes are a private key of X-Wing, so this does not fail.
            Kem::XWing => Private::XWing(Box::new(
                Deserializable::from_bytes(&**seed)
                    .unwrap_or_else(|_| ExpandedXWing::derive_keypair(&**seed).0),
            )),
            Kem::X25519 => Private::X25519(X25519HkdfSha256::derive_keypair(&**seed).0),
            Kem::P256 => Private::P256(DhP256HkdfSha256::derive_keypair(&**seed).0),
        })
    }

    /// Reads a serialized key, 32 bytes for every KEM.
    #[cfg(test)]
    pub(crate) fn from_bytes(kem: Kem, bytes: &[u8]) -> Result<Self, InvalidKey> {
        Ok(Self(match kem {
            Kem::XWing => Private::XWing(Box::new(read(bytes)?)),
            Kem::X25519 => Private::X25519(read(bytes)?),
            Kem::P256 => Private::P256(read(bytes)?),
        }))
    }

    /// The serialized key.
    #[cfg(test)]
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match &self.0 {
            Private::XWing(key) => key.to_bytes().to_vec(),
            Private::X25519(key) => key.to_bytes().to_vec(),
            Private::P256(key) => key.to_bytes().to_vec(),
        })
    }

    /// Its public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(match &self.0 {
            Private::XWing(key) => Public::XWing(Box::new(ExpandedXWing::sk_to_pk(key))),
            Private::X25519(key) => Public::X25519(X25519HkdfSha256::sk_to_pk(key)),
            Private::P256(key) => Public::P256(DhP256HkdfSha256::sk_to_pk(key)),
        })
    }
}

impl Decapsulate for PrivateKey {
    fn kem(&self) -> Kem {
        match self.0 {
            Private::XWing(_) => Kem::XWing,
            Private::X25519(_) => Kem::X25519,
            Private::P256(_) => Kem::P256,
        }
    }

    fn decapsulate(&self, encapsulated_key: &[u8]) -> Result<SharedSecret, DecapsulateError> {
        fn with<K: HpkeKem<NSecret = U32>>(
            private: &K::PrivateKey,
            encapsulated_key: &[u8],
        ) -> Result<SharedSecret, DecapsulateError> {
            let invalid = |_| DecapsulateError::Invalid;
            let encapsulated = K::EncappedKey::from_bytes(encapsulated_key).map_err(invalid)?;
            let secret = K::decap(private, None, &encapsulated).map_err(invalid)?;
            Ok(SharedSecret::copy(&secret.0))
        }
        match &self.0 {
            Private::XWing(key) => with::<ExpandedXWing>(key, encapsulated_key),
            Private::X25519(key) => with::<X25519HkdfSha256>(key, encapsulated_key),
            Private::P256(key) => with::<DhP256HkdfSha256>(key, encapsulated_key),
        }
    }
}

redacted!(PrivateKey);

fn read<T: Deserializable>(bytes: &[u8]) -> Result<T, InvalidKey> {
    T::from_bytes(bytes).map_err(|_| InvalidKey)
}

#[cfg(test)]
mod tests;
