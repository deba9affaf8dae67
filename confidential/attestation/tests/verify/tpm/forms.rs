//! One form of each piece, and every byte of it counts.

use attestation::{Code, MAX_TPM_PIECE};
use attester::tpm;
use confidential_api::{evidence::EvidenceList, policy::Registers, quote::TpmQuote};
use proptest::prelude::*;

use super::bench::{AK, CREATION, NONCES, QUOTE, REK, TpmCase, set, try_all};

/// Data and signature of each piece, in turn.
fn parts(evidence: &mut EvidenceList) -> Vec<&mut Vec<u8>> {
    evidence.0.iter_mut().flat_map(|piece| [&mut piece.data, &mut piece.signature]).collect()
}

/// The quote's piece, with more behind what is signed.
fn longer_quote(case: &mut TpmCase) -> Vec<u8> {
    let mut attest = case.claims.quote.write();
    attest.push(0);
    TpmQuote { attest, registers: Registers(case.claims.registers.clone()) }.encode()
}

#[test]
fn a_flipped_bit_in_any_byte_is_refused() {
    let mut case = TpmCase::valid();
    let evidence = case.evidence();
    case.by.verdict_on(&evidence).unwrap();
    for part in 0..2 * evidence.0.len() {
        let len = parts(&mut evidence.clone())[part].len();
        for at in 0..len {
            let mut evidence = evidence.clone();
            parts(&mut evidence)[part][at] ^= 1 << (at % 8);
            assert!(case.by.judge(&evidence).is_err(), "byte {at} of {len}, part {part}");
        }
    }
}

#[test]
fn what_was_cut_at_any_byte_is_refused() {
    let mut case = TpmCase::valid();
    let evidence = case.evidence();
    for part in 0..2 * evidence.0.len() {
        let len = parts(&mut evidence.clone())[part].len();
        for at in 0..len {
            let mut evidence = evidence.clone();
            parts(&mut evidence)[part].truncate(at);
            assert!(case.by.judge(&evidence).is_err(), "cut to {at} of {len}, part {part}");
        }
    }
}

#[test]
fn more_behind_a_structure_is_refused() {
    for (at, data, signature) in [
        (AK, Code::Malformed, Code::KeyName),
        (CREATION, Code::Malformed, Code::Malformed),
        (QUOTE, Code::Malformed, Code::Malformed),
        (REK, Code::Malformed, Code::KeyName),
        (NONCES, Code::NonceOther, Code::PieceForeign),
    ] {
        let mut case = TpmCase::valid();
        set(&mut case, move |it| it.0[at].data.push(0));
        assert_eq!(case.verdict().unwrap_err(), data, "data {at}");
        let mut case = TpmCase::valid();
        set(&mut case, move |it| it.0[at].signature.push(0));
        assert_eq!(case.verdict().unwrap_err(), signature, "signature {at}");
    }
    try_all(&[
        ("a quote with more behind it, signed", Code::Malformed, |case| {
            let longer = longer_quote(case);
            let signed = [case.claims.quote.write(), vec![0]].concat();
            let signature = case.key.sign(&signed).unwrap();
            set(case, |it| (it.0[QUOTE].data, it.0[QUOTE].signature) = (longer, signature));
        }),
        ("a creation with more behind it, signed", Code::Malformed, |case| {
            let signed = [case.claims.creation.write(), vec![0]].concat();
            let signature = case.key.sign(&signed).unwrap();
            let sized = tpm::sized(&signed);
            set(case, |it| (it.0[CREATION].data, it.0[CREATION].signature) = (sized, signature));
        }),
        ("a key with more behind it, certified", Code::Malformed, |case| {
            case.claims.rek.unique.push(0);
            case.certify_again();
        }),
        ("an attestation key with more behind it, pinned", Code::Malformed, |case| {
            case.claims.ak.unique.push(0);
            case.anchor_ak();
        }),
    ]);
}

#[test]
fn other_forms_are_refused() {
    try_all(&[
        ("a creation without its length", Code::Malformed, |case| {
            set(case, |it| drop(it.0[CREATION].data.drain(..2)));
        }),
        ("a creation whose length is another", Code::Malformed, |case| {
            set(case, |it| it.0[CREATION].data[1] ^= 1);
        }),
        ("a quote with its length", Code::NotGenerated, |case| {
            let attest = tpm::sized(&case.claims.quote.write());
            let registers = Registers(case.claims.registers.clone());
            let quote = TpmQuote { attest, registers }.encode();
            set(case, |it| it.0[QUOTE].data = quote);
        }),
        ("a key with its length", Code::Malformed, |case| {
            let sized = tpm::sized(&case.claims.rek.write());
            set(case, |it| it.0[REK].data = sized);
        }),
        ("a quote without registers", Code::Malformed, |case| {
            set(case, |it| {
                let quote = &mut it.0[QUOTE].data;
                // Field 1 has a length of two bytes; the registers follow it.
                let end = 3 + usize::from(quote[1] & 0x7f) + usize::from(quote[2]) * 128;
                quote.truncate(end);
            });
        }),
        ("a register of 48 bytes", Code::Malformed, |case| {
            case.claims.registers.insert(4, vec![1; 48]);
        }),
        ("a longer list of pieces of nothing", Code::Malformed, |case| {
            set(case, |it| it.0[QUOTE].data = vec![0; MAX_TPM_PIECE]);
        }),
    ]);
}

proptest! {
    /// Whatever a piece becomes, the set is refused; nothing panics, and report and verdict agree.
    #[test]
    fn any_other_bytes_are_refused(
        part in 0..10_usize,
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        at in any::<prop::sample::Index>(),
    ) {
        let mut case = TpmCase::valid();
        let genuine = case.evidence();
        let mut replaced = genuine.clone();
        parts(&mut replaced)[part].clone_from(&bytes);
        let mut overwritten = genuine.clone();
        let place = &mut parts(&mut overwritten)[part];
        let at = at.index(place.len() + 1);
        place.splice(at.., bytes);
        for evidence in [replaced, overwritten] {
            prop_assert!(evidence == genuine || case.by.verdict_on(&evidence).is_err());
        }
    }
}
