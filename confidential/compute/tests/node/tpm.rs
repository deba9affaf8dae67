//! A node whose key is in a TPM: Debian's `swtpm`.

use std::{fs, path::Path, process::Command};

use attestation::{Challenge, Code, EffectivePolicy, Nonce, Pin, PinnedAnchor, VerifiedNode};
use common::wire::{Fixed, Version};
use confidential_api::{
    NodeId,
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    policy::{Anchor, EvidenceKind, Image, Policy, Registers, RekKind},
    quote::TpmQuote,
    signed::Signed,
};
use ed25519_dalek::SigningKey;
use lab::swtpm::extend;
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use testkit::blocking::eventually;

use crate::support::{Node, question, say, signal};

fn piece(list: &EvidenceList, kind: EvidenceType) -> &EvidencePiece {
    list.0.iter().find(|piece| piece.kind == kind).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: swtpm"]
async fn a_question_that_was_sealed_to_a_tpms_key_is_answered_once() {
    let node = Node::start_with_tpm().await;
    let (sealed, key, opener) = node.seal(&question("/v1/chat/completions", "smollm2")).await;
    assert_eq!(key.len(), 120, "of P-256");

    let answer = node.ask(&key, &sealed).await;

    assert_eq!(answer.status, 200);
    let (status, content) = answer.open(opener).await.unwrap();
    assert_eq!((status, content.as_str()), (200, "data: {\"canary\":1}\n\ndata: [DONE]\n\n"));
    let (other, changed, _) = node.seal(&question("/v1/chat/completions", "smollm2")).await;
    let mut changed = changed;
    changed[20] ^= 1;
    for refused in [node.ask(&key, &sealed).await, node.ask(&changed, &other).await] {
        assert_eq!((refused.status, refused.kind.as_deref()), (400, None), "all alike");
    }
    assert_eq!(node.engine.asked.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: swtpm"]
async fn after_a_register_changed_requests_are_refused_and_the_log_says_so_once() {
    let node = Node::start_with_tpm().await;
    let tpm = node.tpm.as_ref().unwrap();
    let (sealed, key, _) = node.seal(&question("/v1/chat/completions", "smollm2")).await;

    extend(tpm.socket(), 8, [1; 32]).unwrap();

    for _ in 0..3 {
        let refused = node.ask(&key, &sealed).await;
        assert_eq!((refused.status, refused.kind.as_deref()), (500, None));
    }
    assert!(node.engine.asked.lock().unwrap().is_empty());
    let log = || fs::read_to_string(node.root.path().join("boot.log")).unwrap();
    eventually("the log", || log().contains("restart the machine"));
    assert_eq!(log().matches("restart the machine").count(), 1, "{}", log());
    // Its evidence shows what the registers hold now, so whoever asks sees why.
    let evidence = node.attest([2; 32]).await;
    let quote = TpmQuote::decode(&piece(&evidence, EvidenceType::TPM_QUOTE).data).unwrap();
    assert_ne!(quote.registers.0[&8], held([8; 32]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: swtpm"]
async fn a_node_whose_tpm_hangs_is_not_well_until_it_answers_again() {
    let node = Node::start_with_tpm().await;
    assert_eq!(node.health().await, 200);
    let (sealed, key, _) = node.seal(&question("/v1/chat/completions", "smollm2")).await;
    let tpm = node.tpm.as_ref().unwrap();
    signal(tpm.id(), Signal::STOP);

    assert_eq!(node.ask(&key, &sealed).await.status, 500);
    assert_eq!(node.health().await, 503);

    // From then on boot is asked for nothing but whether it is well.
    node.stop();
    signal(tpm.id(), Signal::CONT);
    let boot = node.root.path().join("run/maru/confidential-boot/boot.sock");
    let (look, well) = ([8, 0, 0, 0, 0], [6, 0, 0, 0, 0]);
    testkit::eventually("it is well again", async || say(&boot, &look).await == well).await;
}

/// A register that held zeros before this was measured into it.
fn held(measured: [u8; 32]) -> Vec<u8> {
    Sha256::new().chain_update([0; 32]).chain_update(measured).finalize().to_vec()
}

/// A policy that names what the nodes of these tests run, and the node's attestation key.
fn policy(node: &Node) -> EffectivePolicy {
    let anchor = fs::read(node.root.path().join("anchor.json")).unwrap();
    let anchor: Anchor = serde_json::from_slice(&anchor).unwrap();
    let image = Image {
        name: "image".to_owned(),
        kind: EvidenceKind::Tpm,
        models: vec!["smollm2".to_owned()],
        pcrs: Registers([8, 12].map(|register| (register, held([register; 32]))).into()),
        rek: RekKind::P256,
    };
    let policy = Policy {
        version: Version,
        policy_id: "test".to_owned(),
        epoch: 1,
        not_after: u64::MAX,
        simulated: true,
        anchors: vec![anchor.clone()],
        images: vec![image],
    };
    let identity = SigningKey::from_bytes(&[5; 32]);
    let pin = Pin {
        identity: Fixed(identity.verifying_key().to_bytes()),
        anchors: vec![PinnedAnchor { anchor, vendor: false }],
        images: None,
        min_epoch: 0,
    };
    EffectivePolicy::new(pin, Signed::sign(&policy, &identity, None).unwrap(), None, NOW).unwrap()
}

const NOW: u64 = 1_790_000_000_000;

fn verify(
    evidence: &EvidenceList,
    nonce: u8,
    node: NodeId,
    policy: &EffectivePolicy,
) -> Result<VerifiedNode, Code> {
    let nonce = Nonce::from_bytes([nonce; 32]);
    let asked = Challenge { node, model: "smollm2", nonce, simulated: true };
    attestation::verify(evidence, asked, policy, NOW).map_err(|refused| refused.code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: swtpm"]
async fn the_verifier_takes_a_tpms_evidence_until_a_register_changes() {
    let node = Node::start_with_tpm().await;
    let policy = policy(&node);
    let verify = |evidence: &EvidenceList, nonce| verify(evidence, nonce, node.id, &policy);
    let evidence = node.attest([9; 32]).await;

    assert!(verify(&evidence, 9).is_ok(), "{:?}", verify(&evidence, 9));

    assert_eq!(verify(&evidence, 8).unwrap_err(), Code::NonceOther);
    // Pieces that were made for another nonce.
    let mut mixed = node.attest([8; 32]).await;
    mixed.0[1] = evidence.0[1].clone();
    assert_eq!(verify(&mixed, 8).unwrap_err(), Code::NonceOther);
    extend(node.tpm.as_ref().unwrap().socket(), 8, [1; 32]).unwrap();
    let changed = node.attest([9; 32]).await;
    assert_eq!(verify(&changed, 9).unwrap_err(), Code::ImageUnknown);
}

/// `tpm2-tools` have read a TPM's quotes for longer than this program has made them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: swtpm, tpm2-tools"]
async fn tpm2_checkquote_takes_the_quote_for_its_own_nonces_alone() {
    let node = Node::start_with_tpm().await;
    let evidence = node.attest([9; 32]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let quoted = piece(&evidence, EvidenceType::TPM_QUOTE);
    let quote = TpmQuote::decode(&quoted.data).unwrap();
    file("message", &quote.attest);
    file("signature", &quoted.signature);
    // tpm2-tools keep a public area with its length before it.
    let area = &piece(&evidence, EvidenceType::AK_TPMT_PUBLIC).data;
    let length = u16::try_from(area.len()).unwrap().to_be_bytes();
    file("ak", &[&length, area.as_slice()].concat());
    let nonces = &piece(&evidence, EvidenceType::NONCE_SET).data;
    let bound = Sha256::new_with_prefix(b"maru-confidential/1 nonces\0").chain_update(nonces);

    assert!(checks(folder.path(), &bound.clone().finalize()));

    assert!(!checks(folder.path(), &[9; 32]), "another nonce");
    file("signature", &piece(&evidence, EvidenceType::CERTIFY_REK_CREATION).signature);
    assert!(!checks(folder.path(), &bound.finalize()), "the signature of something else");
}

/// Whether `tpm2_checkquote` takes what is in a folder as an answer to this nonce.
fn checks(folder: &Path, nonce: &[u8]) -> bool {
    let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new("tpm2_checkquote");
    command.args(["-u", "ak", "-m", "message", "-s", "signature", "-g", "sha256", "-q", &nonce]);
    command.current_dir(folder).output().expect("tpm2-tools").status.success()
}
