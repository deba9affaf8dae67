//! `maru confidential verify`, on documents that a test root signs.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use attester::{
    Authority, Claims, Lifetime,
    tpm::{self, AttestationKey},
};
use common::wire::{Bytes, Version};
use confidential_api::{
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    policy::{Anchor, EvidenceKind, Image, Policy, Registers, RekKind},
    signed::Signed,
};
use ed25519_dalek::SigningKey;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// 2026-09-21T14:13:20Z.
const NOW: u64 = 1_790_000_000_000;
const AT: &str = "2026-09-21T14:13:20Z";
const NONCE: [u8; 32] = [7; 32];
const MODULE: &str = "i-0123456789abcdef0-enc0123456789abcdef";
/// P-256's base point: `x || y`.
const POINT: &str = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

/// Files `evidence`, `document`, `policy.json` and `pin.json`.
fn write(folder: &Path) {
    let authority = Authority::generate().unwrap();
    let chain = authority.chain(MODULE, Lifetime::of_a_leaf(NOW / 1000)).unwrap();
    let key_config = [&[0x64, 0x7a, 0, 1, 0, 1][..], &[1; 1216]].concat();
    let registers: BTreeMap<u8, Vec<u8>> = [0, 1, 2].map(|index| (index, vec![1; 48])).into();
    let claims = Claims {
        module_id: MODULE.to_owned(),
        timestamp: NOW,
        pcrs: registers.iter().map(|(at, value)| (u16::from(*at), value.clone())).collect(),
        certificate: chain.certificate.clone(),
        cabundle: chain.bundle.clone(),
        public_key: None,
        user_data: Some(Sha256::digest(&key_config).to_vec()),
        nonce: Some(attestation::bound_nonce(&NONCE).to_vec()),
    };
    let document = claims.sign(&chain.key).unwrap();
    let piece = |kind, data| EvidencePiece { kind, data, signature: Vec::new() };
    let evidence = EvidenceList(vec![
        piece(EvidenceType::NITRO_DOCUMENT, document.clone()),
        piece(EvidenceType::NONCE_SET, NONCE.to_vec()),
        piece(EvidenceType::KEY_CONFIG, key_config),
    ]);
    let certificate = Some(Bytes(authority.certificate().to_vec()));
    let kind = EvidenceKind::Nitro;
    let anchor = Anchor { name: "lab".to_owned(), kind, certificate, key: None };
    fs::write(folder.join("evidence"), evidence.encode()).unwrap();
    fs::write(folder.join("document"), document).unwrap();
    write_policy(folder, &anchor, registers, RekKind::XWing);
}

/// Files `evidence`, of a TPM, `policy.json` and `pin.json`.
fn write_tpm(folder: &Path) {
    let key = AttestationKey::generate().unwrap();
    let registers: BTreeMap<u8, Vec<u8>> = [8, 12].map(|index| (index, vec![1; 32])).into();
    let point = hex::decode(POINT).unwrap().try_into().unwrap();
    let bound = attestation::bound_nonce(&NONCE);
    let claims = tpm::Claims::new(key.public(), &point, registers.clone(), &NONCE, &bound);
    let ak = Some(Bytes(claims.ak.write()));
    let kind = EvidenceKind::Tpm;
    let anchor = Anchor { name: "lab".to_owned(), kind, certificate: None, key: ak };
    fs::write(folder.join("evidence"), claims.sign(&key).unwrap().encode()).unwrap();
    write_policy(folder, &anchor, registers, RekKind::P256);
}

/// Files `policy.json` and `pin.json`, which take one image.
fn write_policy(folder: &Path, anchor: &Anchor, registers: BTreeMap<u8, Vec<u8>>, rek: RekKind) {
    let policy = Policy {
        version: Version,
        policy_id: "2026-09".to_owned(),
        epoch: 1,
        not_after: NOW + 1_000_000,
        simulated: true,
        anchors: vec![anchor.clone()],
        images: vec![Image {
            name: "image".to_owned(),
            kind: anchor.kind,
            models: vec!["smollm2".to_owned()],
            pcrs: Registers(registers),
            rek,
        }],
    };
    let identity = SigningKey::from_bytes(&[5; 32]);
    let signed = Signed::sign(&policy, &identity, None).unwrap();
    let public = Bytes(identity.verifying_key().to_bytes().to_vec());
    let pin = serde_json::json!({ "identity": public, "anchors": [anchor] });
    fs::write(folder.join("policy.json"), signed.to_json()).unwrap();
    fs::write(folder.join("pin.json"), pin.to_string()).unwrap();
}

fn verify(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru"));
    command.current_dir(folder).args(["--root", ".", "confidential", "verify"]);
    command.args(["--policy", "policy.json", "-o", "json"]).args(args).output().unwrap()
}

/// What became of one check, and the code if it failed.
fn outcome(output: &Output, check: &str) -> (String, String) {
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let row = rows.iter().find(|row| row["check"] == check).unwrap();
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    (text("outcome"), text("code"))
}

/// What is said to people in the end.
fn last_line(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru"));
    command.current_dir(folder).args(["--root", ".", "confidential", "verify"]);
    let output = command.args(["--policy", "policy.json"]).args(args).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    said.lines().last().unwrap_or_default().to_owned()
}

fn is(outcome: &str, code: &str) -> (String, String) {
    (outcome.to_owned(), code.to_owned())
}

#[test]
fn each_check_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    let nonce = hex::encode(NONCE);
    let all = ["--pin", "pin.json", "--nonce", &nonce, "--model", "smollm2", "--simulated"];

    let output = verify(folder, &[&all[..], &["--at", AT, "evidence"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for check in ["policy-signature", "chain", "signature", "image", "nonce", "key", "consent"] {
        assert_eq!(outcome(&output, check), is("passed", ""), "{check}");
    }
    assert_eq!(
        last_line(folder, &[&all[..], &["--at", AT, "evidence"]].concat()),
        "every check passed"
    );

    let later = verify(folder, &[&all[..], &["--at", "2026-09-21T17:13:21Z", "evidence"]].concat());
    assert_eq!(later.status.code(), Some(1));
    assert_eq!(outcome(&later, "chain"), is("failed", "leaf-expired"));
    assert_eq!(outcome(&later, "signature"), is("passed", ""));
}

#[test]
fn each_check_of_a_tpm_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_tpm(folder);
    let nonce = hex::encode(NONCE);
    let all = ["--pin", "pin.json", "--model", "smollm2", "--simulated", "--at", AT, "evidence"];

    let output = verify(folder, &[&all[..], &["--nonce", &nonce]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for check in
        ["anchor", "attestation-key", "signature", "nonce", "registers", "key-policy", "key-kind"]
    {
        assert_eq!(outcome(&output, check), is("passed", ""), "{check}");
    }
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(rows.iter().all(|row| row["check"] != "chain" && row["check"] != "age"), "{rows:?}");

    let output = verify(folder, &[&all[..], &["--nonce", &hex::encode([8; 32])]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(outcome(&output, "nonce"), is("failed", "nonce-other"));
    assert_eq!(outcome(&output, "signature"), is("passed", ""));
    let output = verify(folder, &all);
    assert_eq!((output.status.code(), outcome(&output, "nonce")), (Some(0), is("not checked", "")));
}

#[test]
fn what_is_not_known_is_not_checked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);

    let output = verify(folder, &["--at", AT, "--simulated", "evidence"]);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for check in ["policy-signature", "policy-epoch", "model", "nonce"] {
        assert_eq!(outcome(&output, check), is("not checked", ""), "{check}");
    }
    assert_eq!(outcome(&output, "key"), is("passed", ""));
    let said = last_line(folder, &["--at", AT, "--simulated", "evidence"]);
    let named = "not everything was checked, so this proves nothing yet: policy-signature, policy-epoch, model, nonce";
    assert!(said.ends_with(named), "{said}");
    let output = verify(folder, &["--at", AT, "document"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(outcome(&output, "set"), is("failed", "piece-missing"));
    assert_eq!(outcome(&output, "nonce"), is("failed", "nonce-absent"));
    assert_eq!(outcome(&output, "consent"), is("failed", "simulated-not-allowed"));
    assert_eq!(outcome(&output, "signature"), is("passed", ""));
}

#[test]
fn a_file_that_is_something_else_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder);
    for (args, said) in [
        (&["policy.json"][..], "policy.json is neither evidence of a node nor a Nitro document"),
        (&["missing"], "cannot read missing"),
        (&["evidence", "--pin", "policy.json"], "policy.json is no pin"),
        (&["evidence", "--nonce", "07"], "64 hexadecimal digits"),
        (&["evidence", "--at", "yesterday"], "invalid value 'yesterday'"),
    ] {
        let output = verify(folder, args);
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said), "{text}");
    }
}
