//! What a software TPM said, as tpm2-tools recorded it. It was not asked as a client asks, so it is never fit.

use std::{collections::BTreeMap, fs, path::PathBuf};

use attestation::{Check, Code, Outcome, Report, report};
use attester::tpm::{Public, sized};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use confidential_api::{
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    policy::Registers,
    quote::TpmQuote,
};
use sha2::{Digest as _, Sha256};

use super::bench::{CREATION, KEYS, QUOTE, TpmCase};

fn vector(name: &str) -> Vec<u8> {
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    fs::read(shared.join(name)).unwrap()
}

/// The attestation key: its modulus is recorded, the other fields are what its command made them.
fn ak() -> Public {
    let pem = String::from_utf8(vector("swtpm-ak.pub.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).unwrap();
    let modulus = der.strip_suffix(&[2, 3, 1, 0, 1]).unwrap();
    let modulus = &modulus[modulus.len() - 256..];
    Public { unique: sized(modulus), ..KEYS[0].public() }
}

/// The registers as `tpm2_quote` writes them: behind 132 bytes of selections a number of lists, each with its number of
/// digests and room for eight, each with its length and room for 64 bytes; numbers are little-endian.
fn registers() -> BTreeMap<u8, Vec<u8>> {
    let file = vector("swtpm-quote.pcrs");
    let lists = file[136..].chunks(4 + 8 * 66);
    let digests = lists.flat_map(|list| list[4..].chunks(66).take(list[0].into()));
    let values = digests.map(|digest| digest[2..2 + usize::from(digest[0])].to_vec());
    [0, 1, 2, 3, 4, 5, 7, 8, 12].into_iter().zip(values).collect()
}

/// The set that these recordings make.
fn recorded() -> (Public, EvidenceList) {
    let ak = ak();
    let rek = vector("swtpm-rek.pub")[2..].to_vec();
    let name = [&[0, 0x0b][..], &Sha256::digest(&rek)].concat();
    let quote = TpmQuote { attest: vector("swtpm-quote.msg"), registers: Registers(registers()) };
    // RSASSA with SHA-256; tpm2-tools left that out of this one.
    let creation = [&[0, 0x14, 0, 0x0b][..], &sized(&vector("swtpm-rek.sig"))].concat();
    let piece = |kind, data, signature| EvidencePiece { kind, data, signature };
    let evidence = EvidenceList(vec![
        piece(EvidenceType::AK_TPMT_PUBLIC, ak.write(), ak.name()),
        piece(EvidenceType::CERTIFY_REK_CREATION, sized(&vector("swtpm-rek.attest")), creation),
        piece(EvidenceType::TPM_QUOTE, quote.encode(), vector("swtpm-quote.sig")),
        piece(EvidenceType::TPMT_PUBLIC, rek, name),
    ]);
    (ak, evidence)
}

fn judged(ak: Public, evidence: &EvidenceList) -> Report {
    let mut case = TpmCase::valid();
    case.claims.ak = ak;
    case.anchor_ak();
    assert!(case.by.judge(evidence).is_err(), "fit to seal");
    let (signed, pin) = (case.by.signed(), &case.by.pin);
    report(evidence, &Default::default(), &signed, Some(pin), case.by.now).unwrap()
}

#[test]
#[ignore = "needs: shared"]
fn what_a_software_tpm_said_passes_but_for_what_nobody_asked() {
    let (ak, evidence) = recorded();

    let report = judged(ak, &evidence);

    for check in [
        Check::Set,
        Check::Form,
        Check::Algorithm,
        Check::Kind,
        Check::Anchor,
        Check::AttestationKey,
        Check::Signature,
        Check::Boot,
        Check::Registers,
        Check::Key,
    ] {
        assert_eq!(report.outcome(check), Outcome::Passed, "{check:?}");
    }
    assert_eq!(report.outcome(Check::Nonce), Outcome::Failed(Code::NonceAbsent));
    assert_eq!(report.outcome(Check::Measured), Outcome::Failed(Code::NotMeasured));
    // It was made without `adminWithPolicy`.
    assert_eq!(report.outcome(Check::KeyAttributes), Outcome::Failed(Code::RekAttributes));
    assert_eq!(report.verdict().unwrap_err().code, Code::NonceAbsent);
}

#[test]
#[ignore = "needs: shared"]
fn a_changed_recording_is_refused() {
    let (ak, evidence) = recorded();
    for at in [QUOTE, CREATION] {
        let mut changed = evidence.clone();
        // The firmware's version, which nothing else checks.
        let place =
            changed.0[at].data.windows(8).position(|it| it == b"\x20\x19\x10\x23\0\x16\x36\x36");
        changed.0[at].data[place.unwrap()] ^= 1;
        let report = judged(ak.clone(), &changed);
        assert_eq!(report.outcome(Check::Signature), Outcome::Failed(Code::Signature), "{at}");
        assert_eq!(report.outcome(Check::Form), Outcome::Passed, "{at}");
    }
}
