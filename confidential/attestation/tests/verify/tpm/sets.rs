//! Sets of a TPM's pieces, and policies that they are judged by.

use attestation::{Code, MAX_EVIDENCE, MAX_TPM_PIECE};
use confidential_api::evidence::{EvidenceList, EvidenceType};
use ed25519_dalek::SigningKey;

use super::bench::{AK, CREATION, KEYS, NONCES, QUOTE, REK, TpmCase, claims, image, set, try_all};
use crate::bench::{Case, NONCE, NOW, key_config, piece};

/// The set of another node: same image, same question, its own keys.
fn of_another_node() -> EvidenceList {
    claims(1, &NONCE).sign(&KEYS[1]).unwrap()
}

#[test]
fn pieces_in_another_order_are_the_same_set() {
    let mut case = TpmCase::valid();
    set(&mut case, |evidence| evidence.0.reverse());
    case.verdict().unwrap();
}

#[test]
fn sets_that_are_not_whole_are_refused() {
    for (at, code) in [
        (AK, Code::PieceMissing),
        (CREATION, Code::PieceMissing),
        (QUOTE, Code::PieceMissing),
        (REK, Code::PieceMissing),
        (NONCES, Code::NonceAbsent),
    ] {
        let mut case = TpmCase::valid();
        set(&mut case, move |it| drop(it.0.remove(at)));
        assert_eq!(case.verdict().unwrap_err(), code, "without piece {at}");
        let mut case = TpmCase::valid();
        set(&mut case, move |it| it.0.push(it.0[at].clone()));
        assert_eq!(case.verdict().unwrap_err(), Code::PieceDoubled, "piece {at} twice");
    }
}

#[test]
fn pieces_under_another_label_are_refused() {
    // The pairs of pieces that are exchanged.
    for (one, other, code) in [
        (AK, REK, Code::Algorithm),
        (AK, CREATION, Code::Malformed),
        (QUOTE, CREATION, Code::Malformed),
        (QUOTE, REK, Code::Malformed),
        (NONCES, REK, Code::PieceForeign),
    ] {
        let mut case = TpmCase::valid();
        set(&mut case, move |it| {
            let kind = it.0[one].kind;
            it.0[one].kind = it.0[other].kind;
            it.0[other].kind = kind;
        });
        assert_eq!(case.verdict().unwrap_err(), code, "{one} and {other} exchanged");
    }
    try_all(&[
        ("the attestation key as nothing that is known", Code::PieceForeign, |case| {
            set(case, |it| it.0[AK].kind = EvidenceType(0));
        }),
        ("the quote as an enclave's document", Code::PieceForeign, |case| {
            set(case, |it| it.0[QUOTE].kind = EvidenceType::NITRO_DOCUMENT);
        }),
        ("the node's key as a second attestation key", Code::PieceDoubled, |case| {
            set(case, |it| it.0[REK].kind = EvidenceType::AK_TPMT_PUBLIC);
        }),
        ("an enclave's key beside the set", Code::PieceForeign, |case| {
            set(case, |it| it.0.push(piece(EvidenceType::KEY_CONFIG, key_config(1))));
        }),
        ("an enclave's document beside the set", Code::PieceForeign, |case| {
            set(case, |it| it.0.insert(0, Case::valid().evidence().0[0].clone()));
        }),
        ("an enclave's set beside the quote", Code::PieceForeign, |case| {
            set(case, |it| {
                let quote = it.0[QUOTE].clone();
                *it = Case::valid().evidence();
                it.0.push(quote);
            });
        }),
        ("a signature beside the nonces", Code::PieceForeign, |case| {
            set(case, |it| it.0[NONCES].signature.push(1));
        }),
    ]);
}

#[test]
fn pieces_of_another_node_are_refused() {
    let mut other = TpmCase::valid();
    other.claims.ak = KEYS[1].public();
    other.anchor_ak();
    other.by.verdict_on(&of_another_node()).unwrap();
    for (at, code) in [
        (AK, Code::UnknownRoot),
        (CREATION, Code::Signature),
        (QUOTE, Code::Signature),
        (REK, Code::KeyNotBound),
    ] {
        let mut case = TpmCase::valid();
        set(&mut case, move |it| it.0[at] = of_another_node().0[at].clone());
        assert_eq!(case.verdict().unwrap_err(), code, "its piece {at}");
    }
}

#[test]
fn pieces_of_another_node_that_is_known_are_refused() {
    for (at, code) in [(AK, Code::Signature), (CREATION, Code::Signature), (QUOTE, Code::Signature)]
    {
        let mut case = TpmCase::valid();
        let mut known = super::bench::anchor(&KEYS[1].public());
        known.name = "the other one".to_owned();
        case.by.policy.anchors.push(known.clone());
        let pinned = attestation::PinnedAnchor { anchor: known, vendor: false };
        case.by.pin.anchors.push(pinned);
        set(&mut case, move |it| it.0[at] = of_another_node().0[at].clone());
        assert_eq!(case.verdict().unwrap_err(), code, "its piece {at}");
    }
}

#[test]
fn sets_that_are_too_large_are_refused() {
    for at in [AK, CREATION, QUOTE, REK] {
        let mut case = TpmCase::valid();
        set(&mut case, move |it| it.0[at].data.resize(MAX_TPM_PIECE + 1, 0));
        assert_eq!(case.verdict().unwrap_err(), Code::Oversize, "piece {at}");
        let mut case = TpmCase::valid();
        set(&mut case, move |it| it.0[at].signature.resize(MAX_TPM_PIECE + 1, 0));
        assert_eq!(case.verdict().unwrap_err(), Code::Oversize, "signature {at}");
    }
    try_all(&[("by nonces", Code::Oversize, |case| {
        set(case, |it| it.0[NONCES].data.resize(MAX_EVIDENCE, 0));
    })]);
}

#[test]
fn policies_are_refused() {
    try_all(&[
        ("expired", Code::PolicyExpired, |case| case.by.policy.not_after = NOW),
        ("rolled back", Code::PolicyRolledBack, |case| {
            let mut newer = TpmCase::valid().by;
            newer.policy.epoch += 1;
            case.by.seen = Some(newer.effective().unwrap().seen());
        }),
        ("older than the pin wants", Code::PolicyRolledBack, |case| case.by.pin.min_epoch = 4),
        ("signed by somebody else", Code::PolicySignature, |case| {
            case.by.signer = SigningKey::from_bytes(&[6; 32]);
        }),
        ("an image that is not pinned", Code::PolicyWiderThanPin, |case| {
            case.by.pin.images = Some(vec![image("second", 40)]);
        }),
        ("an image with a register less than pinned", Code::PolicyWiderThanPin, |case| {
            case.by.pin.images = Some(vec![image("first", 10)]);
            case.by.policy.images[0].pcrs.0.remove(&4);
        }),
        ("an image that is pinned alone", Code::ImageUnknown, |case| {
            case.by.pin.images = Some(vec![image("first", 10)]);
            case.by.policy.images.remove(0);
        }),
    ]);
}
