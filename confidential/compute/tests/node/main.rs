//! A node as it runs: its real processes beside a stand-in of the security module and an engine that is scripted.
//!
//! Fails if: a request that was sealed to the node is not answered under its seal, or is answered twice; a changed one is
//! told apart from one played again; evidence lacks the nonce; a worker outlives its request or its caller; the router is
//! not told that the node lives and leaves; a path that no worker answers reaches the engine.
#![allow(clippy::disallowed_methods, reason = "a test of processes waits on the real clock")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "nothing to do but fail")]

mod faults;
mod support;
mod tpm;

use std::{fs, time::Duration};

use confidential_api::{
    evidence::{EvidenceList, EvidenceType},
    names::media,
    node::NodeStatus,
};
use sha2::{Digest as _, Sha256};
use support::{Node, NodeResponse, question};
use testkit::blocking::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_question_is_answered_once_by_a_process_that_is_gone_afterwards() {
    let node = Node::start().await;
    let (sealed, key, opener) = node.seal(&question("/v1/chat/completions", "smollm2")).await;

    let answer = node.ask(&key, &sealed).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.kind.as_deref(), Some(media::CHUNKED_RESPONSE));
    let (status, content) = answer.open(opener).await.unwrap();
    assert_eq!((status, content.as_str()), (200, "data: {\"canary\":1}\n\ndata: [DONE]\n\n"));
    assert!(node.engine.asked.lock().unwrap()[0].contains("\"smollm2\""));
    // The one that waits for the next request is left.
    eventually("the worker's end", || node.workers().len() <= 1);

    let again = node.ask(&key, &sealed).await;
    let (other, changed, _) = node.seal(&question("/v1/chat/completions", "smollm2")).await;
    let mut changed = changed;
    changed[20] ^= 1;
    let changed = node.ask(&changed, &other).await;
    let mut cut = sealed.clone();
    cut.pop();
    for refused in [again, changed, node.ask(&[1; 1175], &cut).await] {
        assert_eq!((refused.status, refused.kind.as_deref()), (400, None), "all alike");
        assert!(refused.whole().await.is_empty());
    }
    assert_eq!(node.engine.asked.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_chat_completion_is_refused_under_the_seal() {
    let node = Node::start().await;
    for (question, status) in [
        (question("/v1/models", "smollm2"), 404),
        (question("/slots", "smollm2"), 404),
        (question("/v1/chat/completions", "other"), 404),
    ] {
        let (sealed, key, opener) = node.seal(&question).await;
        let answer = node.ask(&key, &sealed).await;
        assert_eq!(answer.status, 200, "outside of the seal nothing is told");
        assert_eq!(answer.open(opener).await.unwrap().0, status);
    }
    assert!(node.engine.asked.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_takes_its_worker_and_the_engines_work_with_it() {
    let node = Node::start().await;
    node.engine.hold(true);
    let (sealed, key, _) = node.seal(&question("/v1/chat/completions", "smollm2")).await;
    let answer = node.ask(&key, &sealed).await;
    eventually("the engine's work", || node.engine.under_way() == 1);

    drop(answer);

    eventually("the end of the engine's work", || node.engine.under_way() == 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_holds_the_callers_nonce_and_binds_the_key() {
    let node = Node::start().await;
    let nonce = [9; 32];
    let evidence = node.attest(nonce).await;
    let piece = |list: &EvidenceList, kind| {
        let found: Vec<_> = list.0.iter().filter(|piece| piece.kind == kind).collect();
        assert_eq!(found.len(), 1);
        found[0].data.clone()
    };
    assert!(piece(&evidence, EvidenceType::NONCE_SET).chunks(32).any(|it| it == nonce));
    let key = piece(&evidence, EvidenceType::KEY_CONFIG);
    assert_eq!(key.len(), 6 + 1216);
    let document = piece(&evidence, EvidenceType::NITRO_DOCUMENT);
    let bound = Sha256::digest(&key);
    assert!(document.windows(32).any(|it| it == bound.as_slice()), "the document names the key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_router_is_told_that_the_node_lives_and_that_it_leaves() {
    let mut node = Node::start().await;
    let alive = node.events.recv().await.unwrap();
    let NodeStatus::Alive(info) = &alive.what else { panic!("{alive:?}") };
    assert_eq!(info.tags, ["model=smollm2"]);
    assert_eq!(info.evidence.0.len(), 3);
    assert_eq!(alive.node, node.id);

    node.stop();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(60), node.events.recv()).await;
        let event = event.expect("it says that it leaves").unwrap();
        assert!(event.index > alive.index);
        if event.what == NodeStatus::Shutdown {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_or_another_word_gets_nothing_from_boot() {
    let node = Node::start().await;
    let socket = node.root.path().join("run/maru/confidential-boot/boot.sock");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o660);
    for (kind, payload) in [(1, vec![0; 31]), (3, vec![1]), (3, vec![7; 4000]), (200, vec![])] {
        let NodeResponse { .. } = node.ask(&[0; 10], &[]).await;
        let mut bytes: Vec<u8> = vec![kind];
        bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend(payload);
        let said = support::say(&socket, &bytes).await;
        assert!(said.is_empty() || said[0] == 7, "{said:?}");
    }
}
