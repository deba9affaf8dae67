//! Servers that hang, and documents of another time.

use std::{sync::Arc, time::Duration};

use futures_util::{TryStreamExt as _, future::join_all};
use llm_backend::{
    Backend as _, Error, Timeouts,
    confidential::{Confidential, InMemoryStore, SeenStore as _, Settings},
};
use testkit::eventually;
use tokio::{
    io::AsyncWriteExt as _,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    chain::{Deployment, Old, Script, SecondRelay},
    code, request, talk,
};

/// Timeout of the tests: if it expires, something waits forever.
const EVER: Duration = Duration::from_secs(30);
/// After so long a configuration is fetched anew here.
const FRESH: Duration = Duration::from_millis(200);

/// Waits until the deployment has seen this.
async fn until(deployment: &Deployment, what: &str, seen: impl Fn(&Script) -> bool) {
    let check = async || {
        let found = deployment.seen();
        if seen(&found) { Ok(()) } else { Err(found) }
    };
    eventually(what, check).await;
}

#[tokio::test]
async fn a_question_does_not_wait_for_a_configuration_while_there_is_one() {
    let deployment = Deployment::start().await;
    let mut settings = deployment.settings();
    // So long that no fetch is given up here.
    settings.timeouts.health = EVER;
    let client = Confidential::refreshed_after(FRESH, settings).unwrap();
    talk(&client).await.unwrap();
    deployment.change(|script| script.auth_hangs = true);
    // On a slow machine it may have been fetched anew just before.
    let held = async {
        while deployment.seen().hanging == 0 {
            talk(&client).await.unwrap();
        }
    };
    timeout(EVER, held).await.expect("it is fetched anew");
    let before = deployment.seen().fetched;

    for _ in 0..3 {
        talk(&client).await.unwrap();
        // Whoever waited for auth would have its reply once it has given up.
        assert_eq!(deployment.seen().hanging, 1, "auth still holds the request");
    }
    assert_eq!(deployment.seen().fetched, before, "it is fetched once at a time");
}

#[tokio::test]
async fn without_a_configuration_all_wait_for_one_fetch_which_ends() {
    let deployment = Deployment::start().await;
    deployment.change(|script| script.auth_hangs = true);
    let mut settings = deployment.settings();
    settings.timeouts.health = Duration::from_secs(1);
    let client = Confidential::new(settings).unwrap();
    let all = tokio::spawn({
        let client = client.clone();
        async move { join_all((0..5).map(|_| talk(&client))).await }
    });
    let all = timeout(EVER, all).await.expect("nobody waits for ever").unwrap();
    for outcome in all {
        assert!(matches!(outcome, Err(Error::Unreachable { .. })), "{outcome:?}");
    }
    assert_eq!(deployment.seen().fetched, 1);
    deployment.change(|script| script.auth_hangs = false);
    assert!(talk(&client).await.is_ok(), "the next one asks again");
}

#[tokio::test]
async fn an_answer_of_which_nothing_but_the_head_comes_is_given_up() {
    for stops in ["gateway", "node"] {
        let deployment = Deployment::start().await;
        deployment.change(|script| script.stops = Some(stops));
        let first = Duration::from_secs(4);
        let timeouts = Timeouts { first, ..Timeouts::default() };
        let client = Confidential::new(Settings { timeouts, ..deployment.settings() }).unwrap();
        let outcome = timeout(EVER, talk(&client)).await.expect("it is given up");
        let error = outcome.unwrap_err();
        assert!(error.may_try_another() && error.is_backend_fault(), "{stops}: {error:?}");
        assert_eq!(deployment.seen().questions, 1, "{stops}: it had been sent");
    }
}

/// Nobody goes on working for whoever has left: relay, gateway, router and node end with the connection
/// (`confidential_server`, `maru-compute` have the tests of their parts).
#[tokio::test]
async fn leaving_ends_the_exchange_before_a_reply_and_amid_one() {
    let deployment = Deployment::start().await;
    let client = deployment.client();
    deployment.change(|script| script.stops = Some("node"));
    let asked = tokio::spawn({
        let client = client.clone();
        async move { talk(&client).await }
    });
    until(&deployment, "the question is there", |seen| seen.hanging == 1).await;
    asked.abort();
    until(&deployment, "it is given up", |seen| seen.hanging == 0).await;

    deployment.change(|script| script.stops = Some("reply"));
    let mut reply = client.chat(request()).await.unwrap();
    assert_eq!(reply.try_next().await.unwrap().unwrap().content, "hi");
    until(&deployment, "the reply goes on", |seen| seen.hanging == 1).await;
    drop(reply);
    until(&deployment, "it is given up", |seen| seen.hanging == 0).await;
}

#[tokio::test]
async fn a_proof_ends_with_the_policy_that_it_was_made_under() {
    let deployment = Deployment::start().await;
    let memory = Arc::new(InMemoryStore::default());
    let settings = Settings { memory: memory.clone(), ..deployment.settings() };
    let client = Confidential::refreshed_after(FRESH, settings).unwrap();
    talk(&client).await.unwrap();
    deployment.change(|script| {
        (script.epoch, script.policy_epoch, script.policy_registers) = (6, 6, 50);
    });
    // The new policy is fetched beside a question.
    let refused = async {
        loop {
            if let Err(error) = talk(&client).await {
                return error;
            }
        }
    };
    let error = timeout(EVER, refused).await.expect("the new policy is taken");
    assert_eq!((code(&error), memory.seen().policy.unwrap().epoch), ("image-unknown", 6));

    let questions = deployment.seen().questions;
    assert_eq!(code(&talk(&client).await.unwrap_err()), "image-unknown");
    assert_eq!(deployment.seen().questions, questions, "nothing was sealed to it any more");
}

/// The gateway has other keys; with them comes a policy that no longer takes the nodes that were sealed to.
#[tokio::test]
async fn a_request_sealed_under_the_old_policy_is_not_sent_with_new_keys() {
    let deployment = Deployment::start().await;
    let client = deployment.client();
    talk(&client).await.unwrap();
    deployment.change(|script| (script.epoch, script.policy_epoch) = (6, 6));
    deployment.change(|script| (script.policy_registers, script.key_problems) = (50, 1));

    let error = talk(&client).await.unwrap_err();
    assert_eq!(code(&error), "image-unknown");
    assert!(matches!(error, Error::Untrusted { sent: true, .. }), "to the relay: {error:?}");
    assert_eq!(deployment.seen().questions, 1);
}

/// The nodes get the question and do not open it; when they are looked at again, they prove nothing.
#[tokio::test]
async fn a_sent_request_is_reported_as_sent_even_if_a_later_verification_fails() {
    let deployment = Deployment::start().await;
    let client = deployment.client();
    talk(&client).await.unwrap();
    deployment.change(|script| (script.refuses, script.registers) = (1, 50));

    let error = talk(&client).await.unwrap_err();
    assert_eq!(code(&error), "image-unknown");
    assert!(matches!(error, Error::Untrusted { sent: true, .. }), "{error:?}");
    assert_eq!(deployment.seen().questions, 2);

    // The next question is not sent at all.
    let error = talk(&client).await.unwrap_err();
    assert!(matches!(error, Error::Untrusted { sent: false, .. }), "{error:?}");
    assert_eq!(deployment.seen().questions, 2);
}

/// All of a deployment starts anew: its gateway has other keys, and its nodes, too.
#[tokio::test]
async fn a_deployment_that_started_anew_answers_the_first_question() {
    let deployment = Deployment::start().await;
    let client = deployment.client();
    talk(&client).await.unwrap();
    deployment.change(|script| script.key_problems = 1);
    deployment.exchange_key();

    talk(&client).await.unwrap();
    let seen = deployment.seen();
    assert_eq!((seen.questions, seen.attested, seen.fetched), (3, 2, 2));
}

#[tokio::test]
async fn a_secret_prepared_for_a_nodes_old_key_is_not_used() {
    let deployment = Deployment::start().await;
    let verified_for = Duration::from_secs(1);
    let client = Confidential::new(Settings { verified_for, ..deployment.settings() }).unwrap();
    talk(&client).await.unwrap();
    // What is prepared and the proof are there, then the proof is over.
    sleep(verified_for).await;
    deployment.exchange_key();
    talk(&client).await.unwrap();
    assert_eq!(deployment.seen().questions, 2, "it opens at once");
}

/// A verified node is busy when others are verified, one of which is refused or verified.
#[tokio::test]
async fn a_nodes_verification_stays_valid_if_others_fail() {
    for (second, candidates) in [(SecondRelay::Refused, 1), (SecondRelay::Proves, 2)] {
        let deployment = Deployment::start().await;
        let verified_for = Duration::from_secs(12);
        let client = Confidential::new(Settings { verified_for, ..deployment.settings() }).unwrap();
        talk(&client).await.unwrap();
        let proved = Instant::now();
        deployment.change(|script| (script.attest_is_full, script.second) = (true, Some(second)));
        let before = deployment.seen().attested;
        sleep_until(proved + verified_for * 55 / 100).await;
        talk(&client).await.unwrap();
        until(&deployment, "both are asked", |seen| seen.attested == before + 2).await;
        sleep(Duration::from_millis(500)).await;

        shows(&deployment, &client, candidates).await;
        assert_eq!(deployment.seen().attested, before + 2, "{second:?}");
    }
}

/// A refused node gets no more requests, although its earlier verification would still be valid.
#[tokio::test]
async fn a_node_that_is_refused_is_sealed_to_no_more() {
    let deployment = Deployment::start().await;
    deployment.change(|script| script.second = Some(SecondRelay::Proves));
    let verified_for = Duration::from_secs(12);
    let client = Confidential::new(Settings { verified_for, ..deployment.settings() }).unwrap();
    talk(&client).await.unwrap();
    let proved = Instant::now();
    assert_eq!(deployment.seen().candidates.len(), 2);
    deployment.change(|script| script.second = Some(SecondRelay::Refused));
    let before = deployment.seen().attested;
    sleep_until(proved + verified_for * 55 / 100).await;
    talk(&client).await.unwrap();
    until(&deployment, "both are asked", |seen| seen.attested == before + 2).await;
    shows(&deployment, &client, 1).await;
}

/// Asks until a question goes to so many nodes: what was asked of them is taken in a moment after they answered.
async fn shows(deployment: &Deployment, client: &Confidential, candidates: usize) {
    let is_taken_in = async || {
        talk(client).await.expect("the proof still holds");
        deployment.seen().candidates.len() == candidates
    };
    eventually("it is taken in", is_taken_in).await;
}

#[tokio::test]
async fn a_node_that_hangs_is_not_waited_for_until_the_proof_of_another_is_over() {
    let deployment = Deployment::start().await;
    deployment.change(|script| script.second = Some(SecondRelay::Hangs));
    let verified_for = Duration::from_secs(1);
    let client = Confidential::new(Settings { verified_for, ..deployment.settings() }).unwrap();
    assert!(timeout(EVER, talk(&client)).await.expect("it ends").is_ok());
}

#[tokio::test]
async fn the_relay_that_is_asked_first_has_time_however_many_there_are() {
    let deployment = Deployment::start().await;
    let mut settings = deployment.settings();
    settings.relays = vec![settings.relays[0].clone(); 8];
    settings.timeouts.health = Duration::from_secs(4);
    // More than an eighth of it.
    deployment.change(|script| script.slow = Duration::from_secs(1));
    assert!(Confidential::new(settings).unwrap().health().await.is_ok());
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_after_a_pause_and_not_with_each_question() {
    let deployment = Deployment::start().await;
    let verified_for = Duration::from_secs(6);
    let client = Confidential::new(Settings { verified_for, ..deployment.settings() }).unwrap();
    talk(&client).await.unwrap();
    let proved = Instant::now();
    deployment.change(|script| script.attest_is_full = true);
    sleep_until(proved + verified_for * 60 / 100).await;
    let before = deployment.seen().attested;

    // In a quarter of the time that a proof holds there are two pauses.
    let mut questions = 0;
    while proved.elapsed() < verified_for * 85 / 100 && questions < 50 {
        talk(&client).await.expect("the proof still holds");
        questions += 1;
    }
    until(&deployment, "it is renewed", |seen| seen.attested > before).await;
    let asked = deployment.seen().attested - before;
    assert!(asked <= 4, "{asked} renewals for {questions} questions");
}

#[tokio::test]
async fn a_relay_that_hangs_is_passed_over_and_the_other_is_asked_first_from_then_on() {
    let deployment = Deployment::start().await;
    let hangs = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = deployment.settings();
    settings.timeouts.health = Duration::from_secs(2);
    let url = format!("http://{}", hangs.local_addr().unwrap());
    settings.relays.insert(0, llm_backend::Settings::new(url));
    let client = Confidential::new(settings).unwrap();
    assert!(timeout(EVER, talk(&client)).await.expect("it ends").is_ok());

    drop(hangs.accept().await.unwrap());
    for _ in 0..3 {
        talk(&client).await.unwrap();
    }
    let again = timeout(Duration::from_millis(50), hangs.accept()).await;
    assert!(again.is_err(), "it is not asked while the other answers");
}

#[tokio::test]
async fn a_relay_that_does_not_end_its_refusal_is_passed_over() {
    let deployment = Deployment::start().await;
    let liar = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = deployment.settings();
    settings.timeouts.health = Duration::from_secs(2);
    let url = format!("http://{}", liar.local_addr().unwrap());
    settings.relays.insert(0, llm_backend::Settings::new(url));
    let refuses = tokio::spawn(async move {
        let (mut connection, _) = liar.accept().await.unwrap();
        let begins = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n\
            content-length: 9000\r\n\r\n{";
        connection.write_all(begins.as_bytes()).await.unwrap();
        (liar, connection)
    });
    let client = Confidential::new(settings).unwrap();
    timeout(EVER, talk(&client)).await.expect("it ends").expect("the other is asked");
    let _held = refuses.await.expect("it was asked");
}

/// A home whose clock is a day off, ahead or behind, takes everything for expired or not valid yet; whoever reads the
/// refusal shall think of the clock.
#[tokio::test]
async fn a_clock_that_is_a_day_off_is_named() {
    let day = |change: fn(&mut Old, i64), hours| {
        let mut old = Old::default();
        change(&mut old, hours);
        old
    };
    let rows = [
        ("certificate-time", day(|old, hours| old.certificate = hours, 24)),
        ("certificate-time", day(|old, hours| old.certificate = hours, -24)),
        ("policy-expired", day(|old, hours| old.policy = hours, 24)),
        ("leaf-expired", day(|old, hours| old.leaf = hours, 24)),
        ("not-yet-valid", day(|old, hours| old.leaf = hours, -24)),
    ];
    for (expected, old) in rows {
        let deployment = Deployment::start().await;
        deployment.change(|script| script.old = old);
        let error = talk(&deployment.client()).await.unwrap_err();
        assert_eq!(code(&error), expected, "{old:?}");
        assert!(error.to_string().contains("clock"), "{error}");
        assert_eq!(deployment.seen().questions, 0);
    }
}
