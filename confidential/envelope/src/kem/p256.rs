//! Encapsulation to a key of P-256 (DHKEM, RFC 9180, section 4.1) with AWS-LC, which multiplies points about ten times as
//! fast as the library that `hpke` uses. A test compares both.

use aws_lc_rs::agreement::{self, ECDH_P256, UnparsedPublicKey};
use hkdf::Hkdf;
use hpke::rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::kind::{Kem, P256_POINT};

/// The prefix of HPKE's labels (RFC 9180, section 4).
const VERSION: &[u8] = b"HPKE-v1";
/// Maximum number of candidates for a private key; one in four billion is invalid (RFC 9180, section 7.1.3).
const CANDIDATES: u8 = u8::MAX;

/// The point of a new key, and its Diffie-Hellman value with `public`, an uncompressed point; `None` if that is not on the
/// curve.
pub(super) fn encapsulate(
    public: &[u8],
    rng: &mut impl CryptoRng,
) -> Option<([u8; P256_POINT], Zeroizing<[u8; 32]>)> {
    let mut material = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *material);
    let private = derive(&material)?;
    let point = private.compute_public_key().ok()?.as_ref().try_into().ok()?;
    let peer = UnparsedPublicKey::new(&ECDH_P256, public);
    let dh = agreement::agree(&private, peer, (), |x| {
        let mut dh = Zeroizing::new([0; 32]);
        if x.len() != dh.len() {
            return Err(());
        }
        dh.copy_from_slice(x);
        Ok(dh)
    });
    Some((point, dh.ok()?))
}

/// `DeriveKeyPair` (RFC 9180, section 7.1.3).
fn derive(material: &Zeroizing<[u8; 32]>) -> Option<agreement::PrivateKey> {
    let [high, low] = Kem::P256.id().to_be_bytes();
    let suite = [b'K', b'E', b'M', high, low];
    let labelled = Zeroizing::new([VERSION, &suite, b"dkp_prk", &**material].concat());
    let (_, expander) = Hkdf::<Sha256>::extract(None, &labelled);
    let mut candidate = Zeroizing::new([0; 32]);
    let length: &[u8] = &[0, 32];
    (0..CANDIDATES).find_map(|counter| {
        let info = [length, VERSION, &suite, b"candidate", &[counter]].concat();
        expander.expand(&info, &mut *candidate).ok()?;
        agreement::PrivateKey::from_private_key(&ECDH_P256, &*candidate).ok()
    })
}

#[cfg(test)]
mod tests {
    use hpke::{Deserializable as _, Kem as _, Serializable as _, kem::DhP256HkdfSha256};
    use proptest::prelude::*;

    use crate::{
        Kem,
        fixture::{self, FixedRng},
        kem::SharedSecret,
    };

    proptest! {
        /// The library of `hpke` encapsulates the same, from the same randomness.
        #[test]
        fn the_library_encapsulates_the_same(seed: u8, material: [u8; 32]) {
            let public = fixture::key(Kem::P256, seed).public();
            let (point, dh) = super::encapsulate(&public.to_bytes(), &mut FixedRng(material.to_vec())).unwrap();
            let ours = SharedSecret::from_p256_dh(&dh, &point, &public).unwrap();

            let theirs = <DhP256HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(&public.to_bytes()).unwrap();
            let (secret, encapsulated) =
                DhP256HkdfSha256::encap_with_rng(&theirs, None, &mut FixedRng(material.to_vec())).unwrap();
            prop_assert_eq!(&point[..], &encapsulated.to_bytes()[..]);
            prop_assert_eq!(&ours.as_bytes()[..], &secret.0[..]);
        }
    }

    #[test]
    fn a_point_off_the_curve_takes_nothing() {
        let mut point = fixture::key(Kem::P256, 1).public().to_bytes();
        point[64] ^= 1;
        assert!(super::encapsulate(&point, &mut FixedRng(vec![7; 32])).is_none());
    }
}
