//! OpenPCC's own programs and packages, v0.0.80, with ours: `interop/openpcc` builds them, `cargo xtask interop openpcc`
//! runs these tests. Each is in a network of its own, since stock programs have fixed ports.
//!
//! Fails if: a question does not get through the stock relay to our gateway, or its answer does not come back piece by
//! piece; the stock client does not take our key, our evidence or our node's answer; our node does not get on with the stock
//! router; a stock node, which knows no nonce, is taken for one that proved itself, or is refused for anything else although
//! policy and home name its attestation key and registers.
#![allow(clippy::disallowed_methods, reason = "programs of others run on the real clock")]

mod engine;
mod ours;
mod peer;

use std::iter;

use attestation::{Challenge, Check, Code, EffectivePolicy, Expectations, Nonce, Outcome};
use chat_vocabulary::{ChatRequest, Message};
use confidential_api::{
    NodeId,
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    signed::Signed,
};
use futures_util::TryStreamExt as _;
use llm_backend::{Backend as _, Error, Health};
use serde_json::{Value, json};

use self::{
    engine::{Engine, PIECES},
    ours::{MODEL, Node, NodeMeasurement, TestChain},
    peer::Peer,
};
use super::world::TestDeployment;

/// What the stock relay is called.
const RELAY: &str = "http://localhost:3100";
/// 2026-09-21T14:13:20Z. A TPM's evidence says no time.
const NOW: u64 = 1_790_000_000_000;
/// What the stock node answers as.
const STOCK_MODEL: &str = "test-model";

/// Runs a test in a network of its own.
fn alone<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    let machine = lab::Machine::new("openpcc").unwrap();
    machine.in_network(|| {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(2).enable_all().build().unwrap().block_on(test());
    });
}

fn request(model: &str) -> ChatRequest {
    let messages = vec![Message::user("canary")];
    ChatRequest { model: Some(model.to_owned()), messages, ..ChatRequest::default() }
}

/// Relay by OpenPCC, everything else is ours; the node is an enclave's, with a key of X-Wing.
#[test]
#[ignore = "needs: root, openpcc"]
fn our_client_asks_through_the_stock_relay() {
    alone(async || {
        let _relay = Peer::relay();
        let measured = NodeMeasurement::enclave();
        let ours = TestChain::start(&measured).await;
        let engine = Engine::default();
        let _node = Node::start(&ours, &measured, &engine).await;
        let client = ours.client(llm_backend::Settings::new(RELAY));
        assert_eq!(client.health().await.unwrap(), Health::Ready);

        ours.manifests(MODEL).await;
        engine.say_next();
        let mut reply = client.chat(request(MODEL)).await.unwrap();
        for piece in PIECES {
            let delta = reply.try_next().await.unwrap().expect("a piece");
            assert_eq!(delta.content, piece, "each piece comes before the next one is made");
            engine.say_next();
        }
        let rest: Vec<_> = reply.try_collect().await.unwrap();
        assert!(rest.iter().all(|delta| delta.content.is_empty()));
        assert!(engine.asked()[0].contains("canary"));
    });
}

/// What the stock client sends.
fn question() -> Value {
    let messages = json!([{ "role": "user", "content": "canary" }]);
    let body = json!({ "model": MODEL, "stream": true, "messages": messages });
    json!({ "path": "/v1/chat/completions", "body": body })
}

/// The stock client, which trusts this TPM's attestation key.
fn stock_client(key: &str, trusted: &NodeMeasurement, more: &[&str]) -> Peer {
    let ak = hex::encode(&trusted.anchor.key.as_ref().unwrap().0);
    let words = [format!("-key={key}"), format!("-ak={ak}"), format!("-model={MODEL}")];
    let relay = format!("-relay={RELAY}");
    let words: Vec<_> =
        ["chat", &relay].into_iter().chain(words.iter().map(String::as_str)).collect();
    Peer::ours(&[&words[..], more].concat()).0
}

/// The stock client asks, and each piece of the reply comes before the next one is made.
fn streams(client: &mut Peer, engine: &Engine) {
    client.tell(&question());
    engine.say_next();
    let status = client.until("status");
    assert_eq!(status["status"], 200, "{status}");
    for piece in PIECES {
        let said = client.until("piece");
        assert!(said["text"].as_str().unwrap().contains(piece), "{piece}: {said}");
        engine.say_next();
    }
    let last = client.until("piece");
    assert!(last["text"].as_str().unwrap().contains("[DONE]"), "{last}");
    client.until("end");
    assert!(engine.asked().last().unwrap().contains("canary"));
}

/// The stock client asks, and the reply comes, in whatever pieces. `false` if it could not pay: its wallet makes many
/// payments at once through the stock relay, and is closed for good as soon as one of them is cut.
fn answers(client: &mut Peer, engine: &Engine) -> bool {
    client.tell(&question());
    (0..=PIECES.len()).for_each(|_| engine.say_next());
    let begun =
        iter::repeat_with(|| client.next()).find(|event| event["event"] != "verified").unwrap();
    if begun["error"].as_str().is_some_and(|error| error.contains("wallet is closed")) {
        return false;
    }
    assert_eq!(begun["status"], 200, "{begun}");
    let mut said = String::new();
    loop {
        match client.next() {
            event if event["event"] == "piece" => said += event["text"].as_str().unwrap(),
            event => break assert_eq!(event["event"], "end", "after {said}: {event}"),
        }
    }
    assert!(PIECES.iter().all(|piece| said.contains(piece)) && said.contains("[DONE]"), "{said}");
    assert!(engine.asked().last().unwrap().contains("canary"));
    true
}

/// Client and relay by OpenPCC, with its verifiers for our TPM's evidence; gateway, with a key of X-Wing, router and node
/// are ours.
#[test]
#[ignore = "needs: root, openpcc, swtpm"]
fn the_stock_client_asks_our_chain_through_the_stock_relay() {
    alone(async || {
        let _relay = Peer::relay();
        let measured = NodeMeasurement::machine();
        let ours = TestChain::start(&measured).await;
        let engine = Engine::default();
        let _node = Node::start(&ours, &measured, &engine).await;
        ours.manifests(MODEL).await;

        let key = hex::encode(ours.key.encode());
        let mut client = stock_client(&key, &measured, &[]);
        for _ in 0..3 {
            streams(&mut client, &engine);
        }

        // The same evidence under another attestation key is not taken.
        let other = NodeMeasurement::machine();
        let mut client = stock_client(&key, &other, &[]);
        client.tell(&question());
        let refused = client.next();
        assert_eq!(refused["event"], "refused", "{refused}");
        assert_eq!(engine.asked().len(), 3);
    });
}

/// Everything is OpenPCC's but the node, in front of which TLS begins: its router has none. Its gateway seals nothing before a
/// chunk is full, so the reply comes whole.
#[test]
#[ignore = "needs: root, openpcc, swtpm"]
fn our_node_answers_behind_the_stock_router() {
    alone(async || {
        let _relay = Peer::relay();
        let _bank = Peer::server("mem-bank", 3500);
        let _nonces = Peer::server("mem-credithole", 3501);
        let _router = Peer::server("mem-router", 3600);
        let _auth = Peer::server("mem-auth", 3000);
        let (_gateway, ready) = Peer::ours(&["gateway"]);
        let measured = NodeMeasurement::machine();
        // Its authority certifies the node; nothing else of it is asked.
        let world = TestDeployment::new();
        let at = lab::free_port().unwrap();
        let (_tls, proxy) = Peer::ours(&[
            "proxy",
            "-listen=127.0.0.1:0",
            &format!("-to=https://{at}"),
            &format!("-ca={}", world.file("ca.crt").display()),
            &format!("-certificate={}", world.file("router.crt").display()),
            &format!("-certificate-key={}", world.file("router.key").display()),
        ]);
        let url = format!("http://{}", proxy["address"].as_str().unwrap());
        let engine = Engine::default();
        let _node = Node::start_at(&world, &measured, &engine, at, &url, "http://127.0.0.1:3600");

        let paid = ["-paid=http://localhost:3000"];
        let key = ready["key"].as_str().unwrap();
        let three = || {
            let mut client = stock_client(key, &measured, &paid);
            (0..3).all(|_| answers(&mut client, &engine))
        };
        assert!((0..4).any(|_| three()), "none of four wallets could pay");
    });
}

/// Where policy and home name a stock node's attestation key and registers, and its fake piece is left out, everything that
/// its TPM signed is right, and it is refused because nothing in it answers a nonce.
fn is_trusted_but_for_its_nonce(world: &TestDeployment, node: NodeId, shown: &EvidenceList) {
    let [ak, creation, quote, rek, _fake] = &shown.0[..] else { panic!("{shown:?}") };
    // The stock node hides what it is behind type 0.
    let ak = EvidencePiece { kind: EvidenceType::AK_TPMT_PUBLIC, ..ak.clone() };
    let stock = NodeMeasurement::stock(&ak, quote, STOCK_MODEL);
    let (signed, pin) = (Signed::parse(stock.signed(world).as_bytes()).unwrap(), stock.pin(world));
    let nonce = [7; Nonce::LEN];
    let set = EvidencePiece {
        kind: EvidenceType::NONCE_SET,
        data: nonce.to_vec(),
        signature: Vec::new(),
    };
    let pieces = vec![ak, creation.clone(), quote.clone(), rek.clone()];
    // Nonces that somebody puts beside it change nothing: the quote is for none.
    let beside = EvidenceList([&pieces[..], &[set]].concat());
    for evidence in [EvidenceList(pieces), beside] {
        let known = Expectations {
            model: Some(STOCK_MODEL),
            nonce: Some(Nonce::from_bytes(nonce)),
            simulated: Some(true),
        };
        let report = attestation::report(&evidence, &known, &signed, Some(&pin), NOW).unwrap();
        for check in [
            Check::PolicySignature,
            Check::Set,
            Check::Form,
            Check::Algorithm,
            Check::Kind,
            Check::Anchor,
            Check::AttestationKey,
            Check::Signature,
            Check::Boot,
            Check::Registers,
            Check::Image,
            Check::Key,
            Check::Consent,
        ] {
            assert_eq!(report.outcome(check), Outcome::Passed, "{check:?}");
        }
        assert_eq!(report.outcome(Check::Nonce), Outcome::Failed(Code::NonceAbsent));

        let policy = EffectivePolicy::new(pin.clone(), signed.clone(), None, NOW).unwrap();
        let nonce = Nonce::from_bytes(nonce);
        let asked = Challenge { node, model: STOCK_MODEL, nonce, simulated: true };
        let refused = attestation::verify(&evidence, asked, &policy, NOW).unwrap_err();
        assert_eq!(refused.code, Code::NonceAbsent);
    }
}

/// Its evidence is a TPM's as well, but it answers no nonce: whose evidence it is, and of when, nobody can tell.
#[test]
#[ignore = "needs: root, openpcc"]
fn a_stock_node_is_refused_because_it_knows_no_nonce() {
    alone(async || {
        let mut measured = NodeMeasurement::enclave();
        measured.model = STOCK_MODEL;
        let ours = TestChain::start(&measured).await;
        let reached = lab::free_port().unwrap();
        let (teller, _) = Peer::ours(&[
            "tell",
            &format!("-listen={reached}"),
            &format!("-router=https://{}", ours.router),
            &format!("-ca={}", ours.world.file("ca.crt").display()),
            &format!("-certificate={}", ours.world.file("node.crt").display()),
            &format!("-certificate-key={}", ours.world.file("node.key").display()),
        ]);
        let _node = Peer::server("mem-compute", 3700);
        assert_eq!(teller.until("told")["status"], 200);
        let manifest = &ours.manifests(STOCK_MODEL).await[0];
        let shown = &manifest.evidence;
        let kinds: Vec<_> = shown.0.iter().map(|piece| piece.kind).collect();
        let fake = EvidenceType(0);
        let expected = [fake, EvidenceType(1), EvidenceType(11), EvidenceType(3), fake];
        assert_eq!(kinds, expected, "what is of type 0 is its attestation key, and random bytes");
        is_trusted_but_for_its_nonce(&ours.world, manifest.id, shown);

        let relay = ours.world.relay(ours.gateway).await;
        let mut over = llm_backend::Settings::new(format!("https://{relay}"));
        over.tls.ca = Some(ours.world.file("ca.crt"));
        let refused = ours.client(over).chat(request(STOCK_MODEL)).await.err().unwrap();
        let Error::Untrusted { code, .. } = refused else { panic!("{refused:?}") };
        assert_eq!(code, "nonce-absent");
    });
}
