//! The trip of `chat.md`: an approved laptop asks, the model at home answers, token by token.
//!
//! Fails if a reply is held back until it is whole, if a client that leaves goes unnoticed, or if
//! one of the two suites or the two plain interfaces is broken. Blind to what the model says.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "an end-to-end test runs on the real clock")]

use std::{
    thread,
    time::{Duration, Instant},
};

use lab::{Scene, http};

#[test]
#[ignore = "needs: root, podman, model"]
fn a_reply_is_printed_while_the_model_still_speaks_and_stops_when_its_reader_leaves() {
    let mut scene = Scene::start().unwrap();
    let device = scene.member("laptop", "alice").unwrap();
    let laptop = &device.seat;
    assert_eq!(scene.busy_slots("inference").unwrap(), 0);

    // The client goes: so does the generation.
    let chat = laptop.long_chat().unwrap();
    assert_eq!(
        scene.busy_slots("inference").unwrap(),
        1,
        "the first delta is printed before the reply is whole"
    );
    chat.signal_kill();
    let left = Instant::now();
    while scene.busy_slots("inference").unwrap() > 0 {
        assert!(left.elapsed() < Duration::from_secs(1), "the slot is still busy a second later");
        thread::sleep(Duration::from_millis(20));
    }

    // The client stays: so does the generation, which therefore had not ended by itself above.
    let _chat = laptop.long_chat().unwrap();
    thread::sleep(Duration::from_secs(20));
    assert_eq!(
        scene.busy_slots("inference").unwrap(),
        1,
        "the control run ended by itself: the test proves nothing"
    );
}

#[test]
#[ignore = "needs: root, podman, model"]
fn every_way_to_ask_is_answered() {
    let mut scene = Scene::start().unwrap();
    let device = scene.member("laptop", "alice").unwrap();
    let laptop = &device.seat;

    for suite in ["x-wing", "x25519"] {
        let said = laptop
            .ok(&["chat", "--suite", suite, "--max-tokens", "12", "--ask", "Hello!"])
            .unwrap();
        assert!(!said.trim().is_empty(), "{suite}");
    }

    let host = "chat.maru.internal:18789";
    let models =
        http::request(laptop.dial(18789).unwrap(), "GET", "/v1/models", host, &[], None).unwrap();
    assert_eq!(models.status, 200);
    assert!(models.json().unwrap()["data"].as_array().is_some_and(|models| !models.is_empty()));

    let ask = |stream: bool| {
        let body = serde_json::json!({
            "model": "default", "stream": stream, "max_tokens": 5, "ignore_eos": true,
            "messages": [{ "role": "user", "content": "Hello!" }],
        });
        let body = body.to_string();
        http::request(
            laptop.dial(18789).unwrap(),
            "POST",
            "/v1/chat/completions",
            host,
            &[],
            Some(&body),
        )
        .unwrap()
    };
    let whole = ask(false);
    assert_eq!(whole.status, 200);
    let whole = whole.json().unwrap();
    assert_eq!(whole["usage"]["completion_tokens"], 5, "{whole}");
    let streamed = ask(true).body().unwrap();
    assert!(streamed.lines().filter(|line| line.starts_with("data: {")).count() > 1, "{streamed}");
    assert!(streamed.trim_end().ends_with("data: [DONE]"), "{streamed}");

    let named = laptop.machine.sh("getent -s dns hosts chat.maru.internal || true").unwrap();
    let address = laptop.status().unwrap()["gateway"]["addresses"].clone();
    assert!(
        address.as_array().unwrap().iter().any(|a| named.starts_with(a.as_str().unwrap())),
        "chat.maru.internal is {named:?}, should be one of {address}"
    );
}
