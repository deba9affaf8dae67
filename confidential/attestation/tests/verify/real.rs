//! Documents that real modules made, and QEMU's.

use std::{fs, path::PathBuf};

use attestation::{Check, Code, Expectations, Nonce, Outcome, Report, report};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ciborium::Value;
use confidential_api::{
    evidence::{EvidenceList, EvidenceType},
    policy::Registers,
};

use crate::bench::{Case, MODEL, NONCE, key_config, piece};

/// A document, and its leaf's time in Unix seconds.
pub(crate) struct RecordedDocument {
    pub(crate) document: Vec<u8>,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
}

fn vector(name: &str) -> Vec<u8> {
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    fs::read(shared.join(name)).unwrap()
}

/// 2022-10-13T08:57:59Z to 11:58:02Z, production mode.
pub(crate) fn production() -> RecordedDocument {
    let document = vector("valid-attestation-doc-bytes");
    RecordedDocument { document, not_before: 1_665_651_479, not_after: 1_665_662_282 }
}

/// 2022-10-12T13:49:51Z to 16:49:54Z, and 2023-09-18T14:37:09Z to 17:37:12Z.
pub(crate) fn debug() -> [RecordedDocument; 2] {
    let text = String::from_utf8(vector("nitro-valid-doc.b64")).unwrap();
    let text: String = text.split_whitespace().collect();
    [
        RecordedDocument {
            document: vector("debug-mode-attestation-doc-bytes"),
            not_before: 1_665_582_591,
            not_after: 1_665_593_394,
        },
        RecordedDocument {
            document: STANDARD.decode(text).unwrap(),
            not_before: 1_695_047_829,
            not_after: 1_695_058_632,
        },
    ]
}

/// The registers that a document has.
fn registers(document: &[u8]) -> Registers {
    let parts: Value = ciborium::de::from_reader(document).unwrap();
    let payload = parts.as_array().unwrap()[2].as_bytes().unwrap();
    let payload: Value = ciborium::de::from_reader(payload.as_slice()).unwrap();
    let named = |(key, _): &&(Value, Value)| key.as_text() == Some("pcrs");
    let (_, pcrs) = payload.as_map().unwrap().iter().find(named).unwrap();
    let register = |(index, value): &(Value, Value)| {
        let index = u8::try_from(index.as_integer().unwrap()).unwrap();
        (index, value.as_bytes().unwrap().clone())
    };
    Registers(pcrs.as_map().unwrap().iter().map(register).filter(|(at, _)| *at < 9).collect())
}

/// A policy that names exactly the registers of this document, at this second, and what becomes of each check.
pub(crate) fn judged(document: &[u8], second: u64) -> Report {
    let mut case = Case::valid();
    case.policy.anchors.clear();
    case.policy.simulated = false;
    case.policy.not_after = u64::MAX;
    case.policy.images.truncate(1);
    case.policy.images[0].pcrs = registers(document);
    case.now = second * 1000;
    let evidence = EvidenceList(vec![
        piece(EvidenceType::NITRO_DOCUMENT, document.to_vec()),
        piece(EvidenceType::NONCE_SET, NONCE.to_vec()),
        piece(EvidenceType::KEY_CONFIG, key_config(1)),
    ]);
    assert!(case.judge(&evidence).is_err(), "fit to seal");
    let nonce = Some(Nonce::from_bytes(NONCE));
    let known = Expectations { model: Some(MODEL), nonce, simulated: Some(false) };
    report(&evidence, &known, &case.signed(), Some(&case.pin), case.now).unwrap()
}

/// What is about AWS and the enclave; not about our question.
const CHECKS: [Check; 8] = [
    Check::Form,
    Check::Algorithm,
    Check::Kind,
    Check::Anchor,
    Check::Signature,
    Check::Measured,
    Check::Image,
    Check::Consent,
];

/// A real document of a production enclave: it is AWS's, only in its time, and not an answer to us.
pub(crate) fn passes_and_is_never_fit(real: &RecordedDocument, nonce: Code) {
    let RecordedDocument { document, not_before, not_after } = real;
    for second in [not_before, not_after] {
        let report = judged(document, *second);
        for check in CHECKS {
            assert_eq!(report.outcome(check), Outcome::Passed, "{check:?} at {second}");
        }
        assert_eq!(report.outcome(Check::Chain), Outcome::Passed);
        assert_eq!(report.outcome(Check::Nonce), Outcome::Failed(nonce));
        assert_eq!(report.outcome(Check::Key), Outcome::Failed(Code::KeyNotBound));
    }
    for (second, code) in [(not_before - 1, Code::NotYetValid), (not_after + 1, Code::LeafExpired)]
    {
        assert_eq!(judged(document, second).outcome(Check::Chain), Outcome::Failed(code));
    }
}

#[test]
#[ignore = "needs: shared"]
fn a_production_document_passes_within_its_time_and_is_never_fit() {
    passes_and_is_never_fit(&production(), Code::NonceOther);
}

#[test]
#[ignore = "needs: shared"]
fn a_production_document_is_of_now_only_when_it_was_made() {
    let RecordedDocument { document, .. } = production();
    // Made at 2022-10-13T08:58:02.136Z.
    assert_eq!(judged(&document, 1_665_651_483).outcome(Check::Age), Outcome::Passed);
    let later = judged(&document, 1_665_651_483 + 300).outcome(Check::Age);
    assert_eq!(later, Outcome::Failed(Code::TooOld));
}

#[test]
#[ignore = "needs: shared"]
fn a_debug_enclaves_document_is_always_refused() {
    for RecordedDocument { document, not_before, not_after } in debug() {
        for second in [not_before, not_after] {
            let report = judged(&document, second);
            assert_eq!(report.outcome(Check::Measured), Outcome::Failed(Code::DebugEnclave));
            for check in [Check::Form, Check::Signature, Check::Chain, Check::Anchor, Check::Image]
            {
                assert_eq!(report.outcome(check), Outcome::Passed, "{check:?}");
            }
        }
    }
}

#[test]
#[ignore = "needs: shared"]
fn what_qemu_makes_is_unsigned() {
    let response: Value =
        ciborium::de::from_reader(vector("qemu-nsm-unsigned-response.cbor").as_slice()).unwrap();
    // { "Attestation": { "document": bytes } }
    let document = response.as_map().unwrap()[0].1.as_map().unwrap()[0].1.clone();
    let document = document.into_bytes().unwrap();
    let report = judged(&document, 1_795_255_873);
    assert_eq!(report.verdict().unwrap_err().code, Code::Unsigned);
    assert_eq!(report.outcome(Check::Kind), Outcome::Failed(Code::WrongKind));
    assert_eq!(report.outcome(Check::Signature), Outcome::NotChecked);
}

#[test]
#[ignore = "needs: shared"]
fn the_root_that_is_compiled_in_is_the_one_that_aws_publishes() {
    let pem = String::from_utf8(vector("aws-nitro-root-g1.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).unwrap();
    assert_eq!(attestation::Fingerprint::of(&der), attestation::AWS_NITRO_ROOT);
}
