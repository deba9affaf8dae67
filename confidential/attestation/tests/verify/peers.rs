//! What others' crates say of the same documents: `nitro-peers` in `interop/`.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::SystemTime,
};

use attestation::{Check, Code, Outcome, report};
use attester::Lifetime;
use confidential_api::{
    evidence::{EvidenceList, EvidenceType},
    policy::EvidenceKind,
};

use crate::{
    bench::{Case, LAB, MODULE, NOW, piece},
    real::{RecordedDocument, debug, judged, passes_and_is_never_fit, production},
};

/// Runs the peer with this on its standard input.
fn peer(args: &[&str], input: &[u8]) -> Output {
    let stock = std::env::var("MARU_STOCK_CLIENT").expect("`cargo xtask test` sets it");
    let mut child = Command::new(PathBuf::from(stock).with_file_name("nitro-peers"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that does not read hangs up.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Whether chain and signature are right at this second, as this verifier sees it.
fn ours(document: &[u8], second: u64) -> bool {
    let report = judged(document, second);
    let passed = |check| report.outcome(check) == Outcome::Passed;
    passed(Check::Form) && passed(Check::Chain) && passed(Check::Signature)
}

fn nitro_attest(document: &[u8], second: u64) -> bool {
    peer(&["nitro-attest", &(second * 1000).to_string()], document).status.success()
}

/// The one that `nitro_attest` carries: 2025-01-06T16:07:02Z to 19:07:05Z, production mode.
fn carried() -> RecordedDocument {
    let document = peer(&["document"], b"").stdout;
    RecordedDocument { document, not_before: 1_736_179_622, not_after: 1_736_190_425 }
}

#[test]
#[ignore = "needs: shared, stock"]
fn the_fourth_real_document_passes_within_its_time_and_is_never_fit() {
    passes_and_is_never_fit(&carried(), Code::NonceAbsent);
}

#[test]
#[ignore = "needs: shared, stock"]
fn nitro_attest_agrees_on_the_real_documents() {
    for RecordedDocument { document, not_before, not_after } in
        debug().into_iter().chain([production(), carried()])
    {
        for second in [not_before - 1, not_before, not_after, not_after + 1] {
            let ours = ours(&document, second);
            assert_eq!(ours, (not_before..=not_after).contains(&second));
            assert_eq!(nitro_attest(&document, second), ours, "at {second}");
        }
        let mut changed = document.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(!ours(&changed, not_before) && !nitro_attest(&changed, not_before));
    }
}

#[test]
#[ignore = "needs: stock"]
fn nsm_nitro_enclave_utils_takes_what_our_stand_in_signs() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root.der");
    fs::write(&root, LAB.authority.certificate()).unwrap();
    let root = root.to_str().unwrap();
    let document = Case::valid().document();
    let taken = |document: &[u8], at: u64| {
        peer(&["nsm-utils", root, &at.to_string()], document).status.success()
    };
    assert!(taken(&document, NOW));
    assert!(!taken(&document, NOW + 24 * 60 * 60 * 1000), "its leaf has expired");
    let mut changed = document;
    *changed.last_mut().unwrap() ^= 1;
    assert!(!taken(&changed, NOW));
}

/// Its module has a name that no enclave has, and its documents no key and no nonce: all else passes.
#[test]
#[ignore = "needs: stock"]
#[allow(clippy::disallowed_methods, reason = "nsm-nitro-enclave-utils reads the clock itself")]
fn what_nsm_nitro_enclave_utils_signs_passes_but_for_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let chain = LAB.authority.chain(MODULE, Lifetime::of_a_leaf(now.as_secs())).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let files = [
        file("key", &chain.key_pkcs8),
        file("leaf", &chain.certificate),
        file("root", &chain.bundle[0]),
        file("intermediate", &chain.bundle[1]),
    ];
    let args: Vec<&str> = ["sign"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let signed = peer(&args, b"");
    assert!(signed.status.success(), "{signed:?}");

    let mut case = Case::valid();
    case.policy.not_after = u64::MAX;
    case.policy.images.truncate(1);
    assert_eq!(case.policy.images[0].kind, EvidenceKind::Nitro);
    case.policy.images[0].pcrs.0 = [0, 1, 2].map(|index| (index, vec![1; 48])).into();
    case.now = u64::try_from(now.as_millis()).unwrap();
    let evidence = EvidenceList(vec![piece(EvidenceType::NITRO_DOCUMENT, signed.stdout)]);
    let report =
        report(&evidence, &Default::default(), &case.signed(), Some(&case.pin), case.now).unwrap();
    for check in [
        Check::Form,
        Check::Algorithm,
        Check::Anchor,
        Check::Chain,
        Check::Signature,
        Check::Age,
        Check::Measured,
        Check::Image,
    ] {
        assert_eq!(report.outcome(check), Outcome::Passed, "{check:?}");
    }
    assert_eq!(report.outcome(Check::Kind), Outcome::Failed(Code::WrongKind));
}
