//! The engine with a real model, over its socket. Tests check the protocol and counts, not the text of the model.
//!
//! `MARU_TEST_MODEL` names the model file, for instance SmolLM2-135M-Instruct. On a busy machine everything is slow, so
//! the timeouts are long; the one guarantee about time, a slot free within a second, is measured on small steps.
#![allow(clippy::unwrap_used, clippy::panic, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "a test against a process runs on the real clock")]

mod cache;
mod damage;
mod shape;
mod standby;
mod support;
mod surroundings;
mod vocabulary;

use std::time::{Duration, Instant};

use chat_vocabulary::{ChatRequest, Delta, FinishReason, Message, Options};
use futures_util::{StreamExt as _, TryStreamExt as _, future::join_all};
use llm_backend::{Backend as _, Error, Health};
use serde_json::{Value, json};

use self::support::Engine;

/// A request that says something about everything, repeatably.
fn request(max_tokens: u32) -> ChatRequest {
    let messages = vec![Message::user("Tell me about the sea. 바다에 대해 말해 줘.")];
    let options =
        Options { max_tokens: Some(max_tokens), temperature: Some(0.0), ..Options::default() };
    ChatRequest { messages, options, ..ChatRequest::default() }
}

/// One that goes on and on.
/// Far less than an endless reply takes, or a prompt that fills the context.
const SOON: Duration = Duration::from_secs(10);

fn endless() -> ChatRequest {
    let mut request = request(1_000_000);
    request.options.ignore_eos = true;
    request
}

fn text(deltas: &[Delta]) -> String {
    deltas.iter().map(|delta| delta.content.as_str()).collect()
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_streamed_reply_comes_token_by_token_and_is_counted() {
    let engine = Engine::start(&[]).await;
    let mut asked = request(24);
    asked.options.ignore_eos = true;

    let deltas: Vec<_> = engine.client().chat(asked).await.unwrap().try_collect().await.unwrap();

    let texts = deltas.iter().filter(|delta| !delta.content.is_empty()).count();
    assert!(texts > 8, "{texts} deltas");
    let reasons: Vec<_> = deltas.iter().filter_map(|delta| delta.finish_reason).collect();
    assert_eq!(reasons, [FinishReason::Length]);
    let usage: Vec<_> = deltas.iter().filter_map(|delta| delta.usage).collect();
    assert_eq!(usage.len(), 1);
    assert_eq!(usage[0].completion_tokens, 24);
    assert!(usage[0].prompt_tokens > 10);
    assert!(engine.is_idle().await);
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_reply_at_once_is_the_same_as_a_streamed_one() {
    let engine = Engine::start(&[]).await;
    let deltas: Vec<_> =
        engine.client().chat(request(16)).await.unwrap().try_collect().await.unwrap();

    let (status, whole) = engine.post(&serde_json::to_value(request(16)).unwrap()).await;

    assert_eq!(status, 200);
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["model"], "smollm2");
    assert_eq!(whole["choices"][0]["message"]["role"], "assistant");
    assert_eq!(whole["choices"][0]["message"]["content"], text(&deltas));
    let usage = deltas.iter().find_map(|delta| delta.usage).unwrap();
    assert_eq!(whole["usage"]["completion_tokens"], usage.completion_tokens);
    assert_eq!(whole["usage"]["prompt_tokens"], usage.prompt_tokens);
    assert_eq!(whole["usage"]["total_tokens"], usage.total_tokens());
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_client_that_leaves_frees_its_slot() {
    let engine = Engine::start(&[]).await;
    let client = engine.client();
    let mut stream = client.chat(endless()).await.unwrap();
    for _ in 0..5 {
        stream.next().await.unwrap().unwrap();
    }
    let before = engine.busy_slot().await.unwrap().n_decoded;
    let goes_on = async { while engine.busy_slot().await.unwrap().n_decoded <= before {} };
    let goes_on = tokio::time::timeout(Duration::from_secs(30), goes_on).await;
    assert!(goes_on.is_ok(), "it generates while nobody reads");

    drop(stream);
    let left = Instant::now();

    while !engine.is_idle().await {
        assert!(left.elapsed() < SOON, "still busy");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_client_that_leaves_while_its_prompt_is_read_frees_its_slot_too() {
    let engine = Engine::start(&["--ctx", "8192", "--slots", "1"]).await;
    let client = engine.client();
    let mut long = endless();
    long.messages[0].content = "sea and sky and ".repeat(1800).into();
    let stream = client.chat(long).await.unwrap();
    assert!(engine.busy_slot().await.is_some_and(|slot| slot.n_decoded == 0), "it is reading");

    drop(stream);
    let left = Instant::now();

    while !engine.is_idle().await {
        assert!(left.elapsed() < SOON, "still busy");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
#[ignore = "needs: model"]
async fn two_are_answered_at_the_same_time_and_a_third_waits() {
    let engine = Engine::start(&[]).await;
    let client = engine.client();
    let mut first = client.chat(endless()).await.unwrap();
    let mut second = client.chat(endless()).await.unwrap();
    for _ in 0..10 {
        first.next().await.unwrap().unwrap();
        second.next().await.unwrap().unwrap();
    }
    assert!(client.slots().await.unwrap().iter().all(|slot| slot.is_processing));

    let third = client.chat(request(4));
    tokio::pin!(third);
    // Slots take their steps together: had it one, its first word would be there long before the other's fiftieth.
    let fifty = second.by_ref().take(50).try_collect::<Vec<_>>();
    tokio::select! {
        biased;
        _ = &mut third => panic!("there was a slot"),
        more = fifty => assert_eq!(more.unwrap().len(), 50),
    }
    drop(first);
    let fifty = second.by_ref().take(50).try_collect::<Vec<_>>();
    let third = tokio::select! {
        biased;
        third = &mut third => third.unwrap(),
        _ = fifty => panic!("it waits on although a slot is free"),
    };

    let third: Vec<_> = third.try_collect().await.unwrap();
    assert!(third.iter().any(|delta| delta.usage.is_some()));
    second.next().await.unwrap().unwrap();
}

/// Fails if a prompt is read in few large pieces: each gives the other reply one token.
#[tokio::test]
#[ignore = "needs: model"]
async fn a_reply_goes_on_while_a_long_prompt_is_read() {
    let engine = Engine::start(&["--ctx", "4096"]).await;
    let client = engine.client();
    let mut reply = client.chat(endless()).await.unwrap();
    for _ in 0..20 {
        reply.next().await.unwrap().unwrap();
    }
    let decoded = async || engine.busy_slot().await.unwrap().n_decoded;
    let mut long = request(1);
    long.messages[0].content = "sea and sky and ".repeat(150).into();

    let before = decoded().await;
    let read = async { client.chat(long).await.unwrap().try_collect::<Vec<_>>().await.unwrap() };
    let go_on = async { while reply.next().await.unwrap().is_ok() {} };
    let read = tokio::select! {
        read = read => read,
        () = go_on => panic!("the reply was cut"),
    };
    let tokens = decoded().await - before;

    let prompt = read.iter().find_map(|delta| delta.usage).unwrap().prompt_tokens;
    assert!(prompt > 600 && tokens > prompt / 32, "{tokens} tokens beside a prompt of {prompt}");
}

#[tokio::test]
#[ignore = "needs: model"]
async fn neighbours_do_not_change_a_reply() {
    let engine = Engine::start(&["--slots", "4"]).await;
    let client = engine.client();
    let alone: Vec<_> = client.chat(request(12)).await.unwrap().try_collect().await.unwrap();

    let replies = (0..4).map(|_| async {
        client.chat(request(12)).await.unwrap().try_collect::<Vec<_>>().await.unwrap()
    });

    // Batches of another size round differently, which may show after many tokens; the first words must agree.
    for reply in join_all(replies).await {
        assert_eq!(text(&reply)[..8], text(&alone)[..8]);
        assert_eq!(reply.last().unwrap().usage, alone.last().unwrap().usage);
    }
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_request_to_a_full_queue_is_refused() {
    let engine = Engine::start(&["--slots", "1", "--queue", "0"]).await;
    let client = engine.client();
    let mut busy = client.chat(endless()).await.unwrap();
    busy.next().await.unwrap().unwrap();

    let error = client.chat(request(4)).await.err().unwrap();
    assert!(matches!(error, Error::Busy { .. }) && error.to_string().contains("busy"), "{error}");

    let (status, body) = engine.post(&serde_json::to_value(request(4)).unwrap()).await;
    assert_eq!((status, &body["error"]["type"]), (503, &json!("unavailable_error")));
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_stop_text_ends_the_reply_before_it() {
    let engine = Engine::start(&[]).await;
    let client = engine.client();
    let whole: Vec<_> = client.chat(request(24)).await.unwrap().try_collect().await.unwrap();
    let whole = text(&whole);
    let stop: String = whole.chars().skip(10).take(6).collect();

    let mut asked = request(24);
    asked.options.stop = vec!["\u{1f9ff} never".to_owned(), stop.clone()];
    let stopped: Vec<_> = client.chat(asked).await.unwrap().try_collect().await.unwrap();

    assert_eq!(text(&stopped), whole[..whole.find(&stop).unwrap()]);
    assert!(stopped.iter().any(|delta| delta.finish_reason == Some(FinishReason::Stop)));
}

#[tokio::test]
#[ignore = "needs: model"]
async fn the_context_bounds_prompts_and_replies() {
    let engine = Engine::start(&["--ctx", "128"]).await;
    let mut long = serde_json::to_value(request(4)).unwrap();
    long["messages"][0]["content"] = Value::String("sea ".repeat(200));

    let (status, body) = engine.post(&long).await;
    assert_eq!(status, 400, "{body}");
    assert_eq!(body["error"]["type"], "exceed_context_size_error");
    assert_eq!(body["error"]["n_ctx"], 128);
    assert!(body["error"]["n_prompt_tokens"].as_u64().unwrap() > 200);

    // A reply that would go beyond ends there; one that was told not to end drops what is old.
    let mut asked = request(300);
    asked.options.ignore_eos = true;
    let deltas: Vec<_> = engine.client().chat(asked).await.unwrap().try_collect().await.unwrap();
    assert_eq!(deltas.iter().find_map(|delta| delta.usage).unwrap().completion_tokens, 300);

    let mut asked = serde_json::to_value(request(300)).unwrap();
    asked["messages"][0]["content"] =
        json!("Count from 1 to 1000: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,");
    let (_, whole) = engine.post(&asked).await;
    assert!(whole["usage"]["total_tokens"].as_u64().unwrap() <= 129, "{}", whole["usage"]);
}

#[tokio::test]
#[ignore = "needs: model"]
async fn nobody_can_write_the_end_of_their_message() {
    let engine = Engine::start(&[]).await;
    let count = async |content: &str| {
        let body = json!({ "messages": [{ "role": "user", "content": content }], "max_tokens": 1 });
        engine.post(&body).await.1["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    // As a control token it would be one.
    assert!(count("<|im_end|>").await - count("").await > 3);
}

#[tokio::test]
#[ignore = "needs: model"]
async fn health_models_and_errors_have_the_usual_shapes() {
    let engine = Engine::start(&["--ctx", "256"]).await;
    let client = engine.client();
    assert_eq!(client.health().await.unwrap(), Health::Ready);
    let models = client.models().await.unwrap();
    assert_eq!((models[0].id.as_str(), models[0].context_tokens), ("smollm2", Some(256)));

    for (body, status) in [
        (json!({}), 400),
        (json!({ "messages": [] }), 400),
        (json!({ "messages": [{ "role": "user", "content": "a" }], "n": 2 }), 400),
        (json!({ "messages": [{ "role": "tool", "content": "a" }] }), 400),
        (json!({ "messages": [{ "role": "user", "content": "a".repeat(5 << 20) }] }), 413),
    ] {
        let (got, answer) = engine.post(&body).await;
        assert_eq!(
            (got, answer["error"]["code"].as_u64()),
            (status, Some(u64::from(status))),
            "{answer}"
        );
    }
}

#[tokio::test]
#[ignore = "needs: model"]
async fn stopping_cuts_replies_and_ends_cleanly() {
    let mut engine = Engine::start(&[]).await;
    let mut stream = engine.client().chat(endless()).await.unwrap();
    stream.next().await.unwrap().unwrap();

    let status = engine.terminate().await;

    assert_eq!(status.code(), Some(0));
    let last = stream.collect::<Vec<_>>().await.pop().unwrap();
    assert!(matches!(last, Err(Error::Cut { .. })), "{last:?}");
    assert!(!engine.socket().exists());
}

#[tokio::test]
#[ignore = "needs: model"]
async fn no_log_contains_prompts_or_replies() {
    let mut engine = Engine::start(&["--log", "trace"]).await;
    let mut asked = request(8);
    asked.messages[0].content = "Repeat after me: Xylophonquarz".into();
    let deltas: Vec<_> = engine.client().chat(asked).await.unwrap().try_collect().await.unwrap();
    let (status, _) = engine.post(&json!({ "messages": "Xylophonquarz" })).await;
    assert_eq!(status, 400);

    engine.terminate().await;
    let log = engine.log();

    assert!(log.contains("ready"), "the log was read");
    assert!(!log.contains("Xylophon") && !log.contains("quarz"), "{log}");
    assert!(!log.contains(text(&deltas).trim()), "{log}");
}

#[test]
fn a_file_that_is_no_model_is_refused_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("notes.txt");
    std::fs::write(&file, "not a model").unwrap();
    let missing = directory.path().join("missing.gguf");
    for path in [&file, &missing] {
        let (code, error) = support::fail(&["--model", path.to_str().unwrap()]);
        assert_eq!(code, Some(1));
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs: model"]
async fn conversations_are_as_long_as_the_model_was_trained_for_with_any_type_of_cache() {
    for kind in ["f16", "q8_0", "q4_0"] {
        let engine = Engine::start(&["--cache-type", kind]).await;
        let models = engine.client().models().await.unwrap();
        assert_eq!(models[0].context_tokens, Some(8192));
        let deltas: Vec<_> =
            engine.client().chat(request(8)).await.unwrap().try_collect().await.unwrap();
        assert!(!text(&deltas).is_empty(), "{kind}");
    }
}

#[test]
fn a_model_that_memory_does_not_hold_is_refused_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("large.gguf");
    std::fs::write(&file, model_sample::tiny().bytes()).unwrap();
    // A hole of a TiB: it takes no place on the disk.
    std::fs::File::options().write(true).open(&file).unwrap().set_len(1 << 40).unwrap();
    let (code, error) = support::fail(&["--model", file.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("MiB of memory") && error.contains("choose a smaller model"), "{error}");
}

#[test]
fn a_socket_that_cannot_be_is_refused_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("file"), "").unwrap();
    let (code, error) = support::fail(&[
        "--root",
        directory.path().to_str().unwrap(),
        "--model",
        "m",
        "--socket",
        "file/llm.sock",
    ]);
    assert_eq!(code, Some(1));
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn wrong_usage_is_told_apart() {
    assert_eq!(support::fail(&["--modle", "x"]).0, Some(2));
}
