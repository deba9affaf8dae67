//! Sets of pieces.

use attestation::{Code, MAX_EVIDENCE};
use confidential_api::evidence::{EvidenceList, EvidenceType};

use crate::bench::{Case, key_config, piece, sha256, try_all};

fn set(case: &mut Case, edit: impl FnOnce(&mut EvidenceList) + 'static) {
    case.set = Some(Box::new(edit));
}

/// The set of another node: same image, same question, its own key.
fn of_another_node() -> EvidenceList {
    let mut other = Case::valid();
    other.key_config = key_config(2);
    other.claims.user_data = Some(sha256(&other.key_config));
    let evidence = other.evidence();
    other.verdict_on(&evidence).unwrap();
    evidence
}

#[test]
fn pieces_in_another_order_are_the_same_set() {
    let mut case = Case::valid();
    set(&mut case, |evidence| evidence.0.reverse());
    case.verdict().unwrap();
}

#[test]
fn sets_that_are_not_whole_are_refused() {
    try_all(&[
        ("nothing", Code::PieceMissing, |case| set(case, |evidence| evidence.0.clear())),
        ("no document", Code::PieceMissing, |case| set(case, |it| drop(it.0.remove(0)))),
        ("no nonces", Code::NonceAbsent, |case| set(case, |it| drop(it.0.remove(1)))),
        ("no key", Code::PieceMissing, |case| set(case, |it| drop(it.0.remove(2)))),
        ("two documents", Code::PieceDoubled, |case| set(case, |it| it.0.push(it.0[0].clone()))),
        ("two sets of nonces", Code::PieceDoubled, |case| {
            set(case, |it| it.0.push(it.0[1].clone()))
        }),
        ("two keys", Code::PieceDoubled, |case| set(case, |it| it.0.push(it.0[2].clone()))),
        ("two keys, one of another node", Code::PieceDoubled, |case| {
            set(case, |it| it.0.push(of_another_node().0[2].clone()));
        }),
    ]);
}

#[test]
fn pieces_under_another_label_are_refused() {
    try_all(&[
        ("document and key exchanged", Code::Malformed, |case| {
            set(case, |it| {
                it.0[0].kind = EvidenceType::KEY_CONFIG;
                it.0[2].kind = EvidenceType::NITRO_DOCUMENT;
            });
        }),
        ("nonces and key exchanged", Code::NonceOther, |case| {
            set(case, |it| {
                it.0[1].kind = EvidenceType::KEY_CONFIG;
                it.0[2].kind = EvidenceType::NONCE_SET;
            });
        }),
        ("the document as a TPM's quote", Code::PieceForeign, |case| {
            set(case, |it| it.0[0].kind = EvidenceType::TPM_QUOTE);
        }),
        ("the document as nothing that is known", Code::PieceForeign, |case| {
            set(case, |it| it.0[0].kind = EvidenceType(0));
        }),
        ("a TPM's key beside the set", Code::PieceForeign, |case| {
            set(case, |it| it.0.push(piece(EvidenceType::TPMT_PUBLIC, vec![1])));
        }),
        ("a signature beside a piece", Code::PieceForeign, |case| {
            set(case, |it| it.0[2].signature.push(1));
        }),
    ]);
}

#[test]
fn pieces_of_another_node_are_refused() {
    try_all(&[
        ("its document", Code::KeyNotBound, |case| {
            set(case, |it| it.0[0] = of_another_node().0[0].clone());
        }),
        ("its key", Code::KeyNotBound, |case| {
            set(case, |it| it.0[2] = of_another_node().0[2].clone());
        }),
        ("nonces that it was asked with", Code::NonceOther, |case| {
            set(case, |it| it.0[1].data = vec![8; 32]);
        }),
    ]);
}

#[test]
fn sets_that_are_too_large_are_refused() {
    try_all(&[
        ("by a key", Code::Oversize, |case| set(case, |it| it.0[2].data.resize(MAX_EVIDENCE, 0))),
        ("by a signature", Code::Oversize, |case| {
            set(case, |it| it.0[0].signature.resize(MAX_EVIDENCE, 0));
        }),
    ]);
}
