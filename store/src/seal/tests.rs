//! What opens, and what does not.

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use proptest::prelude::*;

use super::*;

/// Sealed with [`key`] for [`HERE`] by another implementation, under the nonce 0, 1, … 23.
const VALUE: &str = "01000102030405060708090a0b0c0d0e0f101112131415161743b0236e59b41a943293e9a6bb9d6337b27bb1fae1ce";
const HERE: Cell<'static> = Cell { table: "messages", column: "content", row: &[0, 1] };

fn key() -> Key {
    Key::new(&[7; 32])
}

/// Frozen: a database of the first version holds such values.
#[test]
fn a_value_of_version_1_opens() {
    let sealed = hex::decode(VALUE).unwrap();

    assert_eq!(&**key().open(HERE, &sealed).unwrap(), "마루".as_bytes());
}

#[test]
fn a_newer_version_is_named() {
    let mut sealed = key().seal(HERE, b"hi").unwrap();
    sealed[0] = 2;

    assert_eq!(key().open(HERE, &sealed), Err(OpenError::Version(2)));
}

#[test]
fn the_same_value_is_never_sealed_alike() {
    assert_ne!(key().seal(HERE, b"hi").unwrap(), key().seal(HERE, b"hi").unwrap());
}

#[test]
fn a_key_is_not_shown() {
    assert_eq!(format!("{:?}", key()), "Key([redacted])");
}

#[test]
fn another_key_opens_nothing() {
    let sealed = key().seal(HERE, b"hi").unwrap();

    assert_eq!(Key::new(&[8; 32]).open(HERE, &sealed), Err(OpenError::Refused));
}

#[test]
fn parts_of_a_place_do_not_run_into_each_other() {
    let sealed = key().seal(HERE, b"hi").unwrap();
    let shifted = Cell { table: "message", column: "scontent", ..HERE };

    assert_eq!(key().open(shifted, &sealed), Err(OpenError::Refused));
}

proptest! {
    #[test]
    fn what_is_sealed_opens_in_its_place_alone(
        value in prop::collection::vec(any::<u8>(), 0..200),
        own in (any::<String>(), any::<String>(), any::<Vec<u8>>()),
        other in (any::<String>(), any::<String>(), any::<Vec<u8>>()),
    ) {
        let cell = Cell { table: &own.0, column: &own.1, row: &own.2 };
        let sealed = key().seal(cell, &value).unwrap();

        prop_assert_eq!(sealed.len(), value.len() + OVERHEAD);
        prop_assert_eq!(&**key().open(cell, &sealed).unwrap(), &value[..]);
        for moved in [
            Cell { table: &other.0, ..cell },
            Cell { column: &other.1, ..cell },
            Cell { row: &other.2, ..cell },
        ] {
            prop_assert_eq!(key().open(moved, &sealed).is_ok(), moved == cell);
        }
    }

    /// Databases of before hold what that implementation sealed, and a Maru of before has to read what this one seals.
    #[test]
    fn another_implementation_seals_and_opens_the_same(
        value in prop::collection::vec(any::<u8>(), 0..600),
        nonce: [u8; NONCE],
        row: Vec<u8>,
    ) {
        let cell = Cell { row: &row, ..HERE };
        let (other, aad) = (XChaCha20Poly1305::new(&[7; 32].into()), associated(cell));
        let payload = |msg| Payload { msg, aad: &aad };

        let sealed = other.encrypt(&nonce.into(), payload(&value)).unwrap();
        let sealed = [&[VERSION], &nonce[..], &sealed].concat();
        prop_assert_eq!(&**key().open(cell, &sealed).unwrap(), &value[..]);

        let sealed = key().seal(cell, &value).unwrap();
        let (head, text) = sealed.split_at(1 + NONCE);
        let opened = other.decrypt(XNonce::from_slice(&head[1..]), payload(text)).unwrap();
        prop_assert_eq!(opened, value);
    }

    #[test]
    fn what_was_changed_cut_or_made_longer_does_not_open(
        value in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        flip in 1..=u8::MAX,
        more in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        let sealed = key().seal(HERE, &value).unwrap();
        let at = at.index(sealed.len());
        let mut changed = sealed.clone();
        changed[at] ^= flip;

        prop_assert!(key().open(HERE, &changed).is_err());
        prop_assert!(key().open(HERE, &sealed[..at]).is_err());
        prop_assert!(key().open(HERE, &sealed[at + 1..]).is_err());
        prop_assert!(key().open(HERE, &[&sealed[..], &more].concat()).is_err());
    }

    #[test]
    fn what_nobody_sealed_does_not_open(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(key().open(HERE, &bytes).is_err());
    }
}
