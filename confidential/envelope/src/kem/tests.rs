use aws_lc_rs::agreement;
use proptest::prelude::*;

use super::*;
use crate::fixture::{self, CountingRng};

const ALL: [Kem; 3] = [Kem::XWing, Kem::X25519, Kem::P256];

#[test]
fn what_is_encapsulated_is_decapsulated_by_that_key_alone() {
    for kem in ALL {
        let key = fixture::key(kem, 1);
        let Encapsulation { encapsulated_key, secret, .. } =
            key.public().encapsulate(&mut CountingRng(1)).unwrap();

        assert_eq!(encapsulated_key.len(), kem.encapsulated_len());
        assert_eq!(key.public().to_bytes().len(), kem.public_len());
        assert_eq!(*key.decapsulate(&encapsulated_key).unwrap().0, *secret.0);
        let other = fixture::key(kem, 2).decapsulate(&encapsulated_key);
        assert_ne!(*other.unwrap().0, *secret.0);
        assert!(key.decapsulate(&encapsulated_key[1..]).is_err());
    }
}

#[test]
fn a_key_is_read_as_it_was_written() {
    for kem in ALL {
        let key = fixture::key(kem, 1);
        let again = PrivateKey::from_bytes(kem, &key.to_bytes()).unwrap();

        assert_eq!(again.public(), key.public());
        assert_eq!(PublicKey::from_bytes(kem, &key.public().to_bytes()), Ok(key.public()));
        assert_eq!(PublicKey::from_bytes(kem, &[0; 31]), Err(InvalidKey));
        assert_eq!(Kem::from_id(kem.id()), Some(kem));
        assert_eq!(format!("{key:?}"), "[redacted]");
    }
}

#[test]
fn a_seed_is_the_private_key_of_x_wing() {
    assert_eq!(fixture::key(Kem::XWing, 7).to_bytes()[..], [7; 32]);
    assert_ne!(fixture::key(Kem::P256, 7).to_bytes()[..], [7; 32]);
}

/// A device that only multiplies, as a TPM: AWS-LC's ECDH stands for it.
#[test]
fn a_device_that_only_multiplies_gives_the_same_secret() {
    let key = fixture::key(Kem::P256, 1);
    let device =
        agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, &key.to_bytes()).unwrap();
    let Encapsulation { encapsulated_key, secret, .. } =
        key.public().encapsulate(&mut CountingRng(1)).unwrap();

    let point = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, &encapsulated_key);
    let dh = agreement::agree(&device, point, (), |x| {
        Ok(Zeroizing::new(<[u8; 32]>::try_from(x).unwrap()))
    });
    let made = SharedSecret::from_p256_dh(&dh.unwrap(), &encapsulated_key, &key.public());

    assert_eq!(*made.unwrap().0, *secret.0);
    let dh = Zeroizing::new([0; 32]);
    let other = fixture::key(Kem::X25519, 1).public();
    assert!(SharedSecret::from_p256_dh(&dh, &encapsulated_key, &other).is_err());
}

#[test]
fn a_point_off_the_curve_is_refused_before_a_device_sees_it() {
    let mut point = fixture::key(Kem::P256, 1).public().to_bytes();
    assert_eq!(check_p256(&point), Ok(()));
    point[64] ^= 1;

    assert_eq!(check_p256(&point), Err(InvalidKey));
    assert_eq!(PublicKey::from_bytes(Kem::P256, &point), Err(InvalidKey));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_key_or_one_that_is_written_the_same(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        for kem in ALL {
            if let Ok(key) = PublicKey::from_bytes(kem, &bytes) {
                prop_assert_eq!(key.to_bytes(), &bytes[..]);
            }
            let _ = (PrivateKey::from_bytes(kem, &bytes), check_p256(&bytes));
        }
    }
}
