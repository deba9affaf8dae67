//! The client of the confidential chain against a deployment that errs in one way at a time.
//!
//! Fails if: a prompt is sealed where a check of the configuration, the keys, the policy or the evidence fails; a
//! refusal has another code than its check's; an answer of a node that was not offered, without its seals, or cut is
//! taken for a reply; something older than what was seen is taken; a question goes out again after its first token;
//! whoever leaves is still worked for.
#![allow(clippy::disallowed_methods, reason = "documents are made for the present time")]

mod chain;
mod faults;

use std::sync::Arc;

use chain::{Deployment, MODEL, Script};
use chat_vocabulary::{ChatRequest, Delta, Message};
use confidential_api::{
    certificate::Use,
    config::{Features, KeySource},
};
use futures_util::TryStreamExt as _;
use llm_backend::{
    Backend as _, Error, Health,
    confidential::{Confidential, InMemoryStore, SeenStore as _, Settings},
};

fn request() -> ChatRequest {
    let messages = vec![Message::user("canary")];
    ChatRequest { model: Some(MODEL.to_owned()), messages, ..ChatRequest::default() }
}

async fn talk(client: &Confidential) -> Result<Vec<Delta>, Error> {
    client.chat(request()).await?.try_collect().await
}

fn code(error: &Error) -> &'static str {
    let Error::Untrusted { code, .. } = error else { panic!("{error:?}") };
    code
}

#[tokio::test]
async fn a_reply_comes_from_a_node_that_proved_itself_and_says_so() {
    let deployment = Deployment::start().await;
    let client = deployment.client();
    assert_eq!(client.health().await.unwrap(), Health::Ready);

    for asked in 1..=2 {
        let reply = talk(&client).await.unwrap();
        let text: String = reply.iter().map(|delta| delta.content.as_str()).collect();
        assert_eq!(text, "hi");
        let evidence = reply[0].evidence.as_ref().expect("the first step says it");
        assert_eq!(
            (evidence.class.as_str(), evidence.image.as_str()),
            ("SIMULATED", "maru-compute test")
        );
        assert!(reply[1..].iter().all(|delta| delta.evidence.is_none()));
        let seen = deployment.seen();
        assert_eq!((seen.questions, seen.attested, seen.fetched), (asked, 1, 1), "a proof holds");
        assert!(seen.heard[0].contains("canary") && seen.heard[0].contains("\"stream\":true"));
    }
}

#[tokio::test]
async fn each_question_has_a_secret_of_its_own_also_where_it_was_prepared() {
    let deployment = Deployment::start().await;
    let client = deployment.client();
    for _ in 0..3 {
        let both = tokio::join!(talk(&client), talk(&client));
        assert!(both.0.is_ok() && both.1.is_ok());
    }
    let mut keys = deployment.seen().sealed_keys;
    assert_eq!(keys.len(), 6);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 6, "a node answers a repeated one no more");
}

/// One thing is changed; nothing is sealed, and the code is the check's.
#[tokio::test]
async fn where_a_check_fails_no_prompt_is_sealed() {
    type Row = (&'static str, fn(&mut Script));
    let rows: [Row; 11] = [
        ("downgraded", |it| it.features = Features { ohttp: false, real_attestation: true }),
        ("downgraded", |it| it.features = Features { ohttp: true, real_attestation: false }),
        ("config-signature", |it| it.signer = 9),
        ("config-certificate", |it| it.certified_for = Use::Bundle),
        ("shared-seeds", |it| it.key_source = KeySource::Seeds),
        ("nonce-absent", |it| it.no_attest = true),
        ("nonce-other", |it| it.other_nonce = true),
        ("image-unknown", |it| it.registers = 50),
        ("key-not-bound", |it| it.other_key = true),
        ("simulated-not-in-policy", |it| it.policy_simulated = false),
        ("reply-unsealed", |it| it.unsealed = Some("outer")),
    ];
    for (expected, change) in rows {
        let deployment = Deployment::start().await;
        deployment.change(change);
        let error = talk(&deployment.client()).await.unwrap_err();
        assert_eq!(code(&error), expected);
        assert!(matches!(error, Error::Untrusted { sent: false, .. }), "{error:?}");
        assert!(error.may_try_another() && !error.is_backend_fault() && !error.may_be_poison());
        assert_eq!(deployment.seen().questions, 0, "{expected}: nothing was sealed");
    }
}

/// As the router says it: a node that left between the list and the question for its evidence is not one that was
/// refused.
#[tokio::test]
async fn a_node_that_left_is_away_and_not_refused() {
    let deployment = Deployment::start().await;
    deployment.change(|script| script.gone = true);
    let client = deployment.client();
    let error = talk(&client).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error:?}");
    assert_eq!(deployment.seen().questions, 0);

    deployment.change(|script| script.gone = false);
    let later = deployment.client();
    assert!(talk(&later).await.is_ok());
}

#[tokio::test]
async fn evidence_that_this_home_does_not_accept_is_refused() {
    let deployment = Deployment::start().await;
    let refused = async |settings: Settings| {
        let error = talk(&Confidential::new(settings).unwrap()).await.unwrap_err();
        code(&error)
    };
    let usual = || deployment.settings();

    assert_eq!(refused(Settings { simulated: false, ..usual() }).await, "simulated-not-allowed");
    let mut other = usual();
    other.pin.identity.0[0] ^= 1;
    assert_eq!(refused(other).await, "config-signature");
    let mut narrow = usual();
    narrow.pin.anchors.clear();
    assert_eq!(refused(narrow).await, "policy-wider-than-pin");
    let mut later = usual();
    later.pin.min_epoch = 6;
    assert_eq!(refused(later).await, "policy-rolled-back");
    assert_eq!(deployment.seen().questions, 0);

    deployment.change(|script| script.key_source = KeySource::Seeds);
    let consent = Settings { shared_seeds: true, ..usual() };
    assert!(talk(&Confidential::new(consent).unwrap()).await.is_ok(), "with the home's consent");
}

#[tokio::test]
async fn nothing_older_than_what_was_seen_is_taken_also_by_another_process() {
    let deployment = Deployment::start().await;
    let memory = Arc::new(InMemoryStore::default());
    talk(&deployment.client_with(memory.clone())).await.unwrap();
    let seen = memory.seen();
    assert_eq!(seen.config.unwrap().epoch, 5);

    type Row = (&'static str, fn(&mut Script));
    let rows: [Row; 3] = [
        ("config-rolled-back", |it| it.epoch = 4),
        ("bundle-rolled-back", |it| (it.epoch, it.bundle_epoch) = (6, 4)),
        ("policy-rolled-back", |it| (it.epoch, it.bundle_epoch, it.policy_epoch) = (6, 6, 4)),
    ];
    for (expected, change) in rows {
        deployment.change(|script| *script = Script::default());
        deployment.change(change);
        let error = talk(&deployment.client_with(memory.clone())).await.unwrap_err();
        assert_eq!(code(&error), expected);
        assert_eq!(memory.seen(), seen, "what was refused is not remembered");
    }
}

#[tokio::test]
async fn a_key_that_the_gateway_lost_is_fetched_once_more() {
    let deployment = Deployment::start().await;
    deployment.change(|script| script.key_problems = 1);
    let fetched = |script: Script| script.fetched;
    assert!(talk(&deployment.client()).await.is_ok());
    assert_eq!((fetched(deployment.seen()), deployment.seen().questions), (2, 1));

    let lost = Deployment::start().await;
    lost.change(|script| script.key_problems = u32::MAX);
    assert!(talk(&lost.client()).await.is_err());
    assert_eq!((fetched(lost.seen()), lost.seen().questions), (2, 0), "once more, and not again");
}

#[tokio::test]
async fn an_answer_that_is_not_a_candidates_own_is_no_reply() {
    for (expected, change) in [
        ("node-not-offered", (|it| it.not_offered = true) as fn(&mut Script)),
        ("reply-unsealed", |it| it.unsealed = Some("inner")),
    ] {
        let deployment = Deployment::start().await;
        deployment.change(change);
        let error = talk(&deployment.client()).await.unwrap_err();
        assert_eq!(code(&error), expected);
        assert!(matches!(error, Error::Untrusted { sent: true, .. }), "{error:?}");
        assert_eq!(deployment.seen().questions, 1, "and it is not asked again");
    }
}

#[tokio::test]
async fn a_reply_without_the_end_of_its_seal_is_cut() {
    let deployment = Deployment::start().await;
    let client = deployment.client();
    for (at, cut) in (1..).zip([1, 16, 17, 18, 40, 300]) {
        deployment.change(|script| script.cut = cut);
        let error = talk(&client).await;
        let cut_off = matches!(error, Err(Error::Cut { .. } | Error::Untrusted { .. }));
        assert!(cut_off, "{cut}: {error:?}");
        assert_eq!(deployment.seen().questions, at, "{cut}: it is not asked again");
    }
    deployment.change(|script| script.cut = 0);
    assert!(talk(&client).await.is_ok(), "the control");
}

#[tokio::test]
async fn nodes_that_do_not_open_what_was_sealed_are_verified_anew_once() {
    let deployment = Deployment::start().await;
    let client = deployment.client();
    deployment.change(|script| script.refuses = 1);
    assert!(talk(&client).await.is_ok());
    let seen = deployment.seen();
    assert_eq!((seen.questions, seen.attested), (2, 2));

    deployment.change(|script| script.refuses = u32::MAX);
    assert!(matches!(talk(&client).await, Err(Error::Unreachable { .. })));
    assert_eq!(deployment.seen().questions, 4, "twice, and no more");
}

#[tokio::test]
async fn a_sealed_refusal_of_a_worker_is_reported_like_any_other() {
    let deployment = Deployment::start().await;
    let client = deployment.client();
    for status in [400, 404, 503, 502] {
        deployment.change(|script| script.status = status);
        match (status, talk(&client).await.unwrap_err()) {
            (400 | 404, Error::Refused { status: said, message, .. }) => {
                assert_eq!((said, message.as_str()), (status, "no"));
            }
            (503, Error::Busy { .. }) | (502, Error::Unreachable { .. }) => {}
            (status, other) => panic!("{status}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_relay_that_is_away_is_passed_over() {
    let deployment = Deployment::start().await;
    let mut settings = deployment.settings();
    // Bound, so nobody else gets the port, and never listened on.
    let away = tokio::net::TcpSocket::new_v4().unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", away.local_addr().unwrap());
    settings.relays.insert(0, llm_backend::Settings::new(url));
    assert!(talk(&Confidential::new(settings).unwrap()).await.is_ok());

    let none = Settings { relays: Vec::new(), ..deployment.settings() };
    assert!(matches!(Confidential::new(none), Err(Error::Address { .. })));
}
