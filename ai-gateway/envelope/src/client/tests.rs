//! Tests of keys, clocks and devices.

use ai_gateway_api::sealed::decode_keys;
use proptest::prelude::*;

use super::*;
use crate::{
    device,
    fixture::{NOW, ring},
    gateway::Reason,
};

const DAY: u64 = 24 * 3_600_000;

#[test]
fn only_the_pinned_identity_is_believed() {
    let mut ring = ring();
    let document = ring.document(NOW).unwrap();
    let stranger = SigningKey::from_bytes(&[8; 32]);
    let theirs = Fixed(stranger.verifying_key().to_bytes());

    assert!(Keys::verify(&document, ring.identity(), 0).is_ok());
    assert_eq!(Keys::verify(&document, theirs, 0).unwrap_err(), DocumentError::Identity);

    let forged = document::sign(&stranger, document.epoch, NOW, document.current.clone(), vec![]);
    let relabelled = KeyDocument { identity: ring.identity(), ..forged };
    assert_eq!(Keys::verify(&relabelled, ring.identity(), 0).unwrap_err(), DocumentError::Identity);
}

#[test]
fn keys_of_an_older_epoch_are_refused() {
    let mut ring = ring();
    let document = ring.document(NOW).unwrap();
    let seen = document.epoch + 1;

    assert!(Keys::verify(&document, ring.identity(), document.epoch).is_ok());
    assert_eq!(
        Keys::verify(&document, ring.identity(), seen).unwrap_err(),
        DocumentError::Rollback { offered: document.epoch, seen }
    );
}

#[test]
fn a_wrong_clock_is_reported() {
    let mut ring = ring();
    let keys = Keys::verify(&ring.document(NOW).unwrap(), ring.identity(), 0).unwrap();
    let day = i64::try_from(DAY).unwrap();

    assert_eq!(keys.check_clock(NOW - 10, NOW + 10), Ok(()));
    assert_eq!(keys.check_clock(NOW - DAY, NOW - DAY + 5), Err(ClockSkew { ahead_ms: -day + 5 }));
    assert_eq!(keys.check_clock(NOW + DAY, NOW + DAY + 5), Err(ClockSkew { ahead_ms: day }));
    assert_eq!(keys.check_clock(NOW + 30_000, NOW + 40_000), Ok(()));
    assert_eq!(keys.check_clock(NOW + 30_001, NOW + 40_000), Err(ClockSkew { ahead_ms: 30_001 }));
    assert_eq!(keys.check_clock(NOW - 40_000, NOW - 30_000), Ok(()));
    assert_eq!(keys.check_clock(NOW - 40_000, NOW - 30_001), Err(ClockSkew { ahead_ms: -30_001 }));
}

#[test]
fn a_key_is_taken_only_while_it_holds() {
    let mut ring = ring();
    let document = ring.document(NOW).unwrap();
    let keys = Keys::verify(&document, ring.identity(), 0).unwrap();

    for suite in Suite::ALL {
        let current = keys.select(suite, NOW).unwrap();
        assert_eq!(current.suite(), suite);
        assert_eq!(keys.select(suite, NOW + DAY - 1), Some(current));
        assert_ne!(
            keys.select(suite, NOW + DAY),
            Some(current),
            "the next one, although the old one still opens"
        );
        assert_eq!(
            keys.select(suite, NOW - 30_000),
            Some(current),
            "a slow clock, a gateway that just started"
        );
        assert_eq!(keys.select(suite, NOW + 3 * DAY), None);
    }
}

#[test]
fn a_key_under_a_false_id_or_of_an_unknown_suite_is_left_out() {
    let mut ring = ring();
    let mut document = ring.document(NOW).unwrap();
    document.current[0].key_id = Fixed([0; 8]);
    document.current[1].kem = 0x0010;
    let identity = SigningKey::from_bytes(&[1; 32]);
    let document = document::sign(&identity, document.epoch, NOW, document.current, document.next);

    let keys = Keys::verify(&document, ring.identity(), 0).unwrap();

    assert_eq!(keys.select(Suite::XWing, NOW), None);
    assert_eq!(keys.select(Suite::X25519, NOW), None);
    assert!(keys.select(Suite::XWing, NOW + DAY).is_some());
}

#[test]
fn a_text_that_is_too_long_is_not_sealed() {
    let mut ring = ring();
    let keys = Keys::verify(&ring.document(NOW).unwrap(), ring.identity(), 0).unwrap();
    let key = keys.select(Suite::X25519, NOW).unwrap();
    let seal = |length| {
        seal(&SigningKey::from_bytes(&[2; 32]), key, Uuid::nil(), &vec![b' '; length], NOW)
    };

    assert_eq!(seal(crate::MAX_TEXT + 1).unwrap_err(), SealError::TooLong(TooLong));
    let (request, _) = seal(crate::MAX_TEXT).unwrap();
    let body = serde_json::to_vec(&request).unwrap();
    assert!(body.len() < ai_gateway_api::sealed::MAX_BODY, "{}", body.len());
}

#[test]
fn a_device_proves_that_it_holds_its_key_to_one_gateway_from_one_node_and_now() {
    let key = SigningKey::from_bytes(&[2; 32]);
    let identity = ring().identity();
    let proof = device::prove(&key, identity, "n2", NOW);

    assert_eq!(device::verify(&proof, identity, "n2", NOW + 60_000), Ok(()));
    assert_eq!(device::verify(&proof, identity, "n2", NOW + 60_001), Err(Reason::Stale));
    assert_eq!(device::verify(&proof, identity, "n2", NOW - 30_001), Err(Reason::Early));
    assert_eq!(device::verify(&proof, Fixed([3; 32]), "n2", NOW), Err(Reason::Signature));
    for node in ["n3", "n22", "n", ""] {
        let elsewhere = device::verify(&proof, identity, node, NOW);
        assert_eq!(elsewhere, Err(Reason::Signature), "from {node:?}");
    }
    let other = Fixed(SigningKey::from_bytes(&[4; 32]).verifying_key().to_bytes());
    let stolen = ai_gateway_api::sealed::BindDevice { device_pubkey: other, ..proof };
    assert_eq!(device::verify(&stolen, identity, "n2", NOW), Err(Reason::Signature));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever one byte of the document's JSON becomes, what verifies is what was signed.
    #[test]
    fn a_changed_document_is_refused(position in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut ring = ring();
        let document = ring.document(NOW).unwrap();
        let mut body = serde_json::to_vec(&document).unwrap();
        let position = position.index(body.len());
        body[position] = byte;

        if let Ok(read) = decode_keys(&body)
            && Keys::verify(&read, ring.identity(), 0).is_ok()
        {
            // A key id is derived, not signed: a key under another id is left out.
            let strip = |mut document: KeyDocument| {
                document.current.iter_mut().chain(&mut document.next).for_each(|key| key.key_id = Fixed([0; 8]));
                document
            };
            prop_assert_eq!(strip(read), strip(document));
        }
    }

    #[test]
    fn any_clock_is_compared_without_panic(sent in any::<u64>(), received in any::<u64>(), server in any::<u64>()) {
        let document = document::sign(&SigningKey::from_bytes(&[1; 32]), 1, server, vec![], vec![]);
        let keys = Keys::verify(&document, document.identity, 0).unwrap();

        let _ = keys.check_clock(sent, received);
    }
}
