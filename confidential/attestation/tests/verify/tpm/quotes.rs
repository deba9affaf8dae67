//! What is signed: freshness, registers, and the times between resets.

use attestation::{Class, Code, MAX_NONCES, bound_nonce};
use attester::tpm::{self, Attest};
use confidential_envelope::{Kem, inner::Candidate as _};

use super::bench::{CREATION, KEYS, NONCES, QUOTE, TpmCase, image, point, registers, set, try_all};
use crate::bench::{NONCE, NOW, node};

/// `TPM_ST_ATTEST_CERTIFY`, whose body looks like a creation's.
const ATTEST_CERTIFY: u16 = 0x8017;
/// `TPM_ALG_SHA1` and `TPM_ALG_SHA384`.
const OTHER_BANKS: [u16; 2] = [0x0004, 0x000c];

/// Makes the quote of these banks, with the digest of the registers.
fn quote(case: &mut TpmCase, banks: &[(u16, Vec<u8>)]) {
    let digest = tpm::digest(&case.claims.registers);
    case.claims.quote = Attest::quote(&bound_nonce(&NONCE), banks, &digest);
}

fn select(case: &TpmCase) -> Vec<u8> {
    tpm::select(&case.claims.registers)
}

#[test]
fn valid_evidence_is_fit_and_says_what_stood_behind_it() {
    let case = TpmCase::valid();
    let (ak, policy) = (case.claims.ak.name(), case.by.policy.policy_id.clone());

    let fit = case.verdict().unwrap();

    let summary = fit.summary();
    assert_eq!((summary.class, summary.image.as_str()), (Class::Simulated, "first"));
    assert_eq!((summary.attested_at, summary.verified_at), (None, NOW));
    assert_eq!((&summary.module, &summary.policy_id), (&hex::encode(&ak), &policy));
    assert_eq!(summary.anchor, hex::encode(&ak[2..]));
    let json = serde_json::to_value(summary).unwrap();
    assert_eq!((&json["class"], json.get("attested_at")), (&"SIMULATED".into(), None));
    let key = fit.rek().public();
    assert_eq!((fit.id(), key.kem()), (node(), Kem::P256));
    assert_eq!(key.to_bytes(), [&[4][..], &point(0)].concat());
    assert!(fit.serves("smollm2") && !fit.serves("other"));
}

#[test]
fn several_clients_share_a_quote() {
    let mut case = TpmCase::valid();
    case.claims = super::bench::claims(0, &[[1; 32], [2; 32], NONCE].concat());
    case.verdict().unwrap();
}

#[test]
fn a_node_may_quote_more_registers_than_its_image_lists() {
    let mut case = TpmCase::valid();
    case.claims.registers.insert(0, vec![9; 32]);
    case.claims.registers.insert(23, vec![0; 32]);
    case.quote_again();
    assert_eq!(case.verdict().unwrap().summary().image, "first");
}

#[test]
fn a_quote_that_was_recorded_before_is_refused() {
    let evidence = TpmCase::valid().evidence();
    let mut later = TpmCase::valid().by;
    later.asked = [9; 32];
    assert_eq!(later.verdict_on(&evidence).unwrap_err(), Code::NonceOther);
}

#[test]
fn nonces_are_refused() {
    try_all(&[
        ("absent in the quote", Code::NonceAbsent, |case| case.claims.quote.extra_data.clear()),
        ("absent in the creation", Code::NonceAbsent, |case| {
            case.claims.creation.extra_data.clear();
        }),
        ("nobody asked", Code::NonceAbsent, |case| {
            set(case, |it| drop(it.0.remove(NONCES)));
        }),
        ("an empty set", Code::NonceAbsent, |case| {
            case.claims = super::bench::claims(0, &[]);
        }),
        ("somebody else's", Code::NonceOther, |case| {
            case.claims = super::bench::claims(0, &[8; 32]);
        }),
        ("ours beside a quote for somebody else", Code::NonceOther, |case| {
            case.claims.quote.extra_data = bound_nonce(&[8; 32]).to_vec();
        }),
        ("ours beside a creation for somebody else", Code::NonceOther, |case| {
            case.claims.creation.extra_data = bound_nonce(&[8; 32]).to_vec();
        }),
        ("the nonce itself", Code::NonceOther, |case| {
            case.claims.quote.extra_data = NONCE.to_vec();
        }),
        ("half a nonce behind ours", Code::NonceOther, |case| {
            case.claims = super::bench::claims(0, &[&NONCE[..], &[1; 16]].concat());
        }),
        ("too many", Code::NonceOther, |case| {
            case.claims = super::bench::claims(0, &[NONCE; MAX_NONCES + 1].concat());
        }),
    ]);
}

#[test]
fn what_no_tpm_made_or_is_something_else_is_refused() {
    try_all(&[
        ("a quote without the magic number", Code::NotGenerated, |case| {
            case.claims.quote.magic ^= 1;
        }),
        ("a creation without it", Code::NotGenerated, |case| case.claims.creation.magic = 0),
        ("a quote as the creation", Code::AttestType, |case| {
            case.claims.creation = case.claims.quote.clone();
        }),
        ("a creation as the quote", Code::AttestType, |case| {
            case.claims.quote = case.claims.creation.clone();
        }),
        ("both exchanged", Code::AttestType, |case| {
            std::mem::swap(&mut case.claims.quote, &mut case.claims.creation);
        }),
        ("a certification, which says nothing of how a key was made", Code::AttestType, |case| {
            case.claims.creation.kind = ATTEST_CERTIFY;
        }),
        ("a quote with a creation's body", Code::Malformed, |case| {
            case.claims.quote.attested.clone_from(&case.claims.creation.attested);
        }),
        ("a type that there is not", Code::Malformed, |case| case.claims.quote.kind = 0x8000),
    ]);
}

#[test]
fn pieces_of_different_times_between_resets_are_refused() {
    try_all(&[
        ("reset between them", Code::CountsDiffer, |case| case.claims.quote.resets += 1),
        ("reset after the quote", Code::CountsDiffer, |case| case.claims.creation.resets += 1),
        ("restarted or resumed between them", Code::CountsDiffer, |case| {
            case.claims.quote.restarts += 1;
        }),
    ]);
}

#[test]
fn registers_that_were_not_quoted_are_refused() {
    try_all(&[
        ("one more", Code::RegistersOther, |case| {
            case.claims.registers.insert(7, vec![7; 32]);
        }),
        ("one less", Code::RegistersOther, |case| drop(case.claims.registers.remove(&4))),
        ("one under another index", Code::RegistersOther, |case| {
            let value = case.claims.registers.remove(&4).unwrap();
            case.claims.registers.insert(5, value);
        }),
        ("two exchanged", Code::RegistersOther, |case| {
            let [eight, twelve] = [8, 12].map(|at| case.claims.registers[&at].clone());
            case.claims.registers.extend([(8, twelve), (12, eight)]);
        }),
        ("one with another value", Code::RegistersOther, |case| {
            case.claims.registers.get_mut(&12).unwrap()[31] ^= 1;
        }),
        ("one that no TPM has", Code::RegistersOther, |case| {
            case.claims.registers.insert(24, vec![7; 32]);
            case.quote_again();
        }),
        ("another digest", Code::RegistersOther, |case| {
            let banks = [(tpm::SHA256, select(case))];
            case.claims.quote = Attest::quote(&bound_nonce(&NONCE), &banks, &[1; 32]);
        }),
        ("none quoted", Code::RegistersOther, |case| quote(case, &[])),
        ("SHA-1's bank", Code::RegistersOther, |case| {
            quote(case, &[(OTHER_BANKS[0], select(case))]);
        }),
        ("SHA-384's bank", Code::RegistersOther, |case| {
            quote(case, &[(OTHER_BANKS[1], select(case))]);
        }),
        ("two banks", Code::RegistersOther, |case| {
            let select = select(case);
            quote(case, &[(tpm::SHA256, select.clone()), (OTHER_BANKS[0], select)]);
        }),
        ("a selection of four bytes", Code::RegistersOther, |case| {
            let select = [select(case), vec![0]].concat();
            quote(case, &[(tpm::SHA256, select)]);
        }),
        ("a selection of two bytes", Code::RegistersOther, |case| {
            let mut select = select(case);
            select.pop();
            quote(case, &[(tpm::SHA256, select)]);
        }),
    ]);
}

#[test]
fn registers_of_no_image_are_refused() {
    try_all(&[
        ("one byte of one changed", Code::ImageUnknown, |case| {
            case.claims.registers.get_mut(&4).unwrap()[31] ^= 1;
            case.quote_again();
        }),
        ("one is not there", Code::ImageUnknown, |case| {
            case.claims.registers.remove(&4);
            case.quote_again();
        }),
        ("of two images", Code::ImageMixed, |case| {
            case.claims.registers.insert(12, vec![52; 32]);
            case.quote_again();
        }),
        ("an image without the model's register", Code::ImageUnknown, |case| {
            case.by.policy.images = vec![image("first", 10)];
            case.by.policy.images[0].pcrs.0.remove(&12);
            case.claims.registers.insert(12, vec![77; 32]);
            case.quote_again();
        }),
        ("an enclave's image with these registers", Code::ImageUnknown, |case| {
            let image = crate::bench::image("enclave", 10);
            case.by.policy.images = vec![image];
        }),
        ("of an image without this model", Code::ModelNotServed, |case| case.by.model = "other"),
    ]);
}

#[test]
fn registers_that_nothing_was_measured_into_are_refused() {
    for (what, value) in [("zero", [0; 32]), ("all ones", [0xff; 32])] {
        for index in [8, 12] {
            let mut case = TpmCase::valid();
            case.claims.registers.insert(index, value.to_vec());
            case.by.policy.images[0].pcrs.0.insert(index, value.to_vec());
            case.quote_again();
            assert_eq!(case.verdict().unwrap_err(), Code::NotMeasured, "{index} is {what}");
        }
    }
    try_all(&[
        ("the program's is not there", Code::NotMeasured, |case| {
            case.claims.registers.remove(&8);
            case.quote_again();
        }),
        ("the model's is not there", Code::NotMeasured, |case| {
            case.claims.registers.remove(&12);
            case.quote_again();
        }),
    ]);
    let mut case = TpmCase::valid();
    case.claims.registers = registers(10);
    case.claims.registers.insert(4, vec![0; 32]);
    case.by.policy.images[0].pcrs.0.insert(4, vec![0; 32]);
    case.quote_again();
    case.verdict().unwrap();
}

#[test]
fn signatures_are_refused() {
    try_all(&[
        ("both by another key", Code::Signature, |case| case.key = &KEYS[1]),
        ("the quote by another key", Code::Signature, |case| {
            let signature = KEYS[1].sign(&case.claims.quote.write()).unwrap();
            set(case, |it| it.0[QUOTE].signature = signature);
        }),
        ("the creation by another key", Code::Signature, |case| {
            let signature = KEYS[1].sign(&case.claims.creation.write()).unwrap();
            set(case, |it| it.0[CREATION].signature = signature);
        }),
        ("exchanged", Code::Signature, |case| {
            set(case, |it| {
                let [quote, creation] = [QUOTE, CREATION].map(|at| it.0[at].signature.clone());
                it.0[QUOTE].signature = creation;
                it.0[CREATION].signature = quote;
            });
        }),
        ("of zeros", Code::Signature, |case| {
            set(case, |it| it.0[QUOTE].signature[6..].fill(0));
        }),
        ("a byte shorter", Code::Signature, |case| {
            set(case, |it| {
                it.0[QUOTE].signature.pop();
                it.0[QUOTE].signature[4..6].copy_from_slice(&[0, 255]);
            });
        }),
        ("no bytes", Code::Signature, |case| {
            set(case, |it| {
                it.0[QUOTE].signature.truncate(6);
                it.0[QUOTE].signature[4..].fill(0);
            });
        }),
        ("a quote that nobody signed", Code::Unsigned, |case| {
            set(case, |it| it.0[QUOTE].signature = tpm::words(&[tpm::NULL]));
        }),
        ("a creation that nobody signed", Code::Unsigned, |case| {
            set(case, |it| it.0[CREATION].signature = tpm::words(&[tpm::NULL]));
        }),
        ("said to be RSAPSS", Code::Algorithm, |case| {
            set(case, |it| it.0[QUOTE].signature[1] = 0x16);
        }),
        ("said to be over SHA-384", Code::Algorithm, |case| {
            set(case, |it| it.0[CREATION].signature[3] = 0x0c);
        }),
    ]);
}

/// Any program that runs on the machine can extend registers 8 and 12.
#[test]
fn a_vendors_tpm_without_what_booted_is_refused() {
    let vendors = |change: fn(&mut TpmCase)| {
        let mut case = TpmCase::valid();
        case.boots();
        case.of_a_vendor();
        change(&mut case);
        case.quote_again();
        case.verdict().map(|fit| fit.summary().class)
    };
    let of_code_alone = |case: &mut TpmCase| {
        case.by.policy.images[0].pcrs.0.retain(|index, _| [8, 12].contains(index));
    };
    assert_eq!(vendors(|_| {}), Ok(Class::Tpm));
    for (what, change) in [
        ("an image of program and model alone", of_code_alone as fn(&mut TpmCase)),
        ("an image without the boot loader", |case| {
            case.by.policy.images[0].pcrs.0.remove(&4);
        }),
        ("an image without Secure Boot's keys", |case| {
            case.by.policy.images[0].pcrs.0.remove(&7);
        }),
        ("a quote without Secure Boot's keys", |case| {
            case.claims.registers.remove(&7);
            case.by.policy.images[0].pcrs.0.remove(&7);
        }),
        ("no boot loader was measured", |case| {
            case.claims.registers.insert(4, vec![0; 32]);
            case.by.policy.images[0].pcrs.0.insert(4, vec![0; 32]);
        }),
        ("Secure Boot's keys are as they begin", |case| {
            case.claims.registers.insert(7, vec![0xff; 32]);
            case.by.policy.images[0].pcrs.0.insert(7, vec![0xff; 32]);
        }),
    ] {
        assert_eq!(vendors(change), Err(Code::BootNotMeasured), "{what}");
    }
    let said = vendors(|case| {
        let whole = case.by.policy.images[0].clone();
        case.by.policy.images[0].pcrs.0.remove(&4);
        case.by
            .policy
            .images
            .push(confidential_api::policy::Image { name: "whole".to_owned(), ..whole });
    });
    assert_eq!(said, Ok(Class::Tpm), "another image is whole");

    // In a lab, where it says nothing anyway.
    let mut case = TpmCase::valid();
    of_code_alone(&mut case);
    case.verdict().unwrap();
}
