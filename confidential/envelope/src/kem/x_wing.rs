//! X-Wing with a private key that is expanded once.
//!
//! An X-Wing private key is a seed (draft-connolly-cfrg-xwing-kem, section 5.2). Crate `x-wing`, which `hpke` uses, derives
//! the keys of ML-KEM and X25519 for each decapsulation, which is a good part of its cost. Here they are stored. A test
//! compares both.

use hpke::{
    Deserializable, HpkeError, Kem, Serializable,
    kem::{SharedSecret, XWing},
    rand_core::CryptoRng,
};
use ml_kem::{Decapsulate as _, ml_kem_768};
use sha3::{Digest as _, Sha3_256};
use shake::{ExtendableOutput as _, Shake256, Update as _, XofReader as _};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// Length of ML-KEM-768's ciphertext, the first part of an encapsulated key (FIPS 203, table 3).
const ML_KEM: usize = 1088;
/// The label at the end of the combiner's input (draft-connolly-cfrg-xwing-kem, section 5.3).
const LABEL: &[u8; 6] = br"\.//^\";

/// X-Wing with expanded private keys.
#[derive(Clone, Copy, Debug)]
pub struct ExpandedXWing;

/// A private key with its expansion.
#[derive(Clone)]
pub struct ExpandedKey {
    seed: <XWing as Kem>::PrivateKey,
    ml_kem: ml_kem_768::DecapsulationKey,
    x25519: Zeroizing<[u8; 32]>,
    x25519_public: [u8; 32],
}

impl ExpandedKey {
    /// Expands a key (draft-connolly-cfrg-xwing-kem, section 5.2).
    fn new(seed: <XWing as Kem>::PrivateKey) -> Self {
        let mut shake = Shake256::default();
        shake.update(&Zeroizing::new(seed.to_bytes()).0);
        let mut expanded = shake.finalize_xof();
        let mut ml_kem = Zeroizing::new([0; 64]);
        expanded.read(&mut *ml_kem);
        let mut x25519 = Zeroizing::new([0; 32]);
        expanded.read(&mut *x25519);
        let x25519_public = x25519_dalek::x25519(*x25519, x25519_dalek::X25519_BASEPOINT_BYTES);
        let ml_kem = ml_kem_768::DecapsulationKey::from_seed((*ml_kem).into());
        Self { seed, ml_kem, x25519, x25519_public }
    }

    /// The secret in an encapsulated key (draft-connolly-cfrg-xwing-kem, section 5.5).
    fn decapsulate(&self, encapsulated: &[u8]) -> Option<[u8; 32]> {
        let (ml_kem, x25519) = encapsulated.split_at_checked(ML_KEM)?;
        let their: [u8; 32] = x25519.try_into().ok()?;
        let ml_kem = Zeroizing::new(self.ml_kem.decapsulate(&ml_kem.try_into().ok()?).0);
        let x25519 = Zeroizing::new(x25519_dalek::x25519(*self.x25519, their));
        let parts = [ml_kem.as_slice(), x25519.as_slice(), &their, &self.x25519_public, LABEL];
        let combined = parts.iter().fold(Sha3_256::new(), |hash, part| hash.chain_update(part));
        Some(combined.finalize().into())
    }
}

redacted!(ExpandedKey);

impl Serializable for ExpandedKey {
    type OutputSize = <<XWing as Kem>::PrivateKey as Serializable>::OutputSize;

    fn write_exact(&self, buffer: &mut [u8]) {
        self.seed.write_exact(buffer);
    }
}

impl Deserializable for ExpandedKey {
    fn from_bytes(encoded: &[u8]) -> Result<Self, HpkeError> {
        <XWing as Kem>::PrivateKey::from_bytes(encoded).map(Self::new)
    }
}

impl ConstantTimeEq for ExpandedKey {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.seed.ct_eq(&other.seed)
    }
}

impl Kem for ExpandedXWing {
    type PublicKey = <XWing as Kem>::PublicKey;
    type PrivateKey = ExpandedKey;
    type EncappedKey = <XWing as Kem>::EncappedKey;
    type NSecret = <XWing as Kem>::NSecret;

    const KEM_ID: u16 = XWing::KEM_ID;

    fn sk_to_pk(private: &ExpandedKey) -> Self::PublicKey {
        XWing::sk_to_pk(&private.seed)
    }

    fn derive_keypair(ikm: &[u8]) -> (ExpandedKey, Self::PublicKey) {
        let (seed, public) = XWing::derive_keypair(ikm);
        (ExpandedKey::new(seed), public)
    }

    fn decap(
        private: &ExpandedKey,
        sender: Option<&Self::PublicKey>,
        encapsulated: &Self::EncappedKey,
    ) -> Result<SharedSecret<Self>, HpkeError> {
        // X-Wing has no sender authentication.
        let secret = match sender {
            None => private.decapsulate(&encapsulated.to_bytes()),
            Some(_) => None,
        };
        secret.map(|secret| SharedSecret(secret.into())).ok_or(HpkeError::DecapError)
    }

    fn encap_with_rng(
        public: &Self::PublicKey,
        sender: Option<(&ExpandedKey, &Self::PublicKey)>,
        rng: &mut impl CryptoRng,
    ) -> Result<(SharedSecret<Self>, Self::EncappedKey), HpkeError> {
        if sender.is_some() {
            return Err(HpkeError::EncapError);
        }
        let (secret, encapsulated) = XWing::encap_with_rng(public, None, rng)?;
        Ok((SharedSecret(secret.0), encapsulated))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::SystemRandom;

    proptest! {
        /// The library's own X-Wing finds the same secret, also in an encapsulated key that nobody made.
        #[test]
        fn the_library_decapsulates_the_same(ikm: [u8; 32], at in 0..1120_usize, flip: u8) {
            let (seed, public) = XWing::derive_keypair(&ikm);
            let (key, same) = ExpandedXWing::derive_keypair(&ikm);
            prop_assert_eq!(&public, &same);
            let (secret, encapsulated) = XWing::encap_with_rng(&public, None, &mut SystemRandom::default()).unwrap();
            let mut bytes = encapsulated.to_bytes();
            prop_assert_eq!(&key.decapsulate(&bytes).unwrap()[..], &secret.0[..]);

            bytes[at] ^= flip;
            let changed = <XWing as Kem>::EncappedKey::from_bytes(&bytes).unwrap();
            let theirs = XWing::decap(&seed, None, &changed).unwrap();
            let ours = ExpandedXWing::decap(&key, None, &changed).unwrap();
            prop_assert_eq!(&ours.0[..], &theirs.0[..]);
            prop_assert_eq!(ours.0 == secret.0, flip == 0);
        }
    }

    #[test]
    fn what_is_no_encapsulated_key_has_no_secret() {
        let (key, _) = ExpandedXWing::derive_keypair(&[7; 32]);
        for length in [0, ML_KEM - 1, ML_KEM, ML_KEM + 31, ML_KEM + 33] {
            assert!(key.decapsulate(&vec![0; length]).is_none(), "{length}");
        }
    }
}
