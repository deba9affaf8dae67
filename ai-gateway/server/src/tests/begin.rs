//! How streamed answers begin while a model reads a long prompt: soon, and so that stock clients read on.

use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc};

use chat_vocabulary::{ChatRequest, Delta, EmbedRequest, Evidence, ModelInfo};
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{self, BoxFuture},
    stream,
};
use llm_backend::{Backend, DeltaStream, Embeddings, Error, Health};
use serde_json::{Value, json};
use testkit::http::Response;
use tokio::sync::Semaphore;

use super::{TestGateway, ada, backend::Script, gateway_with, gateway_without_fallback};
use crate::{
    models::{Models, Node, Provider},
    openclaw::Model,
};

const PATHS: [&str; 2] = ["/v1/chat/completions", "/api/chat"];

/// A gateway that does not wait for a first token before it answers.
fn hasty() -> TestGateway {
    gateway_with(|config| config.limits.headers_seconds = 0)
}

async fn ask(gateway: &TestGateway, path: &str) -> Response {
    let message = json!({"role": "user", "content": "hi"});
    let body = json!({"model": "maru", "stream": true, "messages": [message]});
    let answer = gateway.post(&ada(), path, &body).await;
    assert_eq!(answer.status, 200, "{path}");
    answer
}

/// The first piece of an answer that says nothing yet.
async fn nothing(answer: &mut Response) -> String {
    let piece = answer.piece().await.unwrap().unwrap();
    String::from_utf8(piece.to_vec()).unwrap()
}

#[tokio::test]
async fn an_answer_begins_before_the_first_token_and_the_reply_follows() {
    let gateway = hasty();
    gateway.one.script(Script::Reads);

    let mut answer = ask(&gateway, PATHS[0]).await;
    assert_eq!(nothing(&mut answer).await, ":\n\n", "a comment, which clients leave out");
    gateway.one.until_open(1).await;
    gateway.one.release(1);
    let text = answer.text().await;
    let events = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let events: Vec<_> = events.collect();
    let first: Value = serde_json::from_str(events[0]).unwrap();
    assert_eq!(first["model"], "llamacpp/smollm2");
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    assert!(events[1].contains("Hello") && events.last() == Some(&"[DONE]"), "{text}");

    let mut answer = ask(&gateway, PATHS[1]).await;
    let first: Value = serde_json::from_str(&nothing(&mut answer).await).unwrap();
    assert_eq!((&first["message"]["content"], &first["done"]), (&json!(""), &json!(false)));
    gateway.one.until_open(1).await;
    gateway.one.release(1);
    let text = answer.text().await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["message"]["content"], "Hello");
    let last = lines.last().unwrap();
    assert_eq!((&last["done"], &last["model"]), (&json!(true), &json!("llamacpp/smollm2")));
    assert!(last["prompt_eval_duration"].as_u64() > Some(0), "{last}");
}

#[tokio::test]
async fn an_error_after_the_headers_is_the_last_event_or_line() {
    for path in PATHS {
        let mut gateway = hasty();
        gateway.one.script(Script::Breaks);
        gateway.two.kill().await;
        let mut answer = ask(&gateway, path).await;
        nothing(&mut answer).await;
        gateway.one.until_open(1).await;
        gateway.one.release(1);
        let text = answer.text().await;
        let last = text.trim_end().lines().last().unwrap();
        let error: Value = serde_json::from_str(last.trim_start_matches("data: ")).unwrap();
        assert!(error["error"].to_string().to_lowercase().contains("no model answers"), "{text}");
        assert!(!text.contains("[DONE]") && !text.contains("\"done\":true"), "{text}");
    }
}

#[tokio::test]
async fn leaving_before_the_first_token_stops_the_model() {
    for path in PATHS {
        let gateway = hasty();
        gateway.one.script(Script::Silent);
        let mut answer = ask(&gateway, path).await;
        nothing(&mut answer).await;
        gateway.one.until_open(1).await;
        drop(answer);
        gateway.one.until_open(0).await;
    }
}

/// The time is measured from the slot on: before it, a request that waits too long is answered with a status.
#[tokio::test]
async fn a_request_without_a_slot_gets_a_status_even_if_answers_begin_early() {
    let gateway = gateway_without_fallback(|config| {
        config.limits.headers_seconds = 0;
        config.line.slots = NonZeroU16::MIN;
        config.line.seconds = 1;
    });
    gateway.one.script(Script::Silent);
    let mut under_way = ask(&gateway, PATHS[0]).await;
    nothing(&mut under_way).await;
    gateway.one.until_open(1).await;
    for path in PATHS {
        let message = json!({"role": "user", "content": "hi"});
        let body = json!({"model": "maru", "stream": true, "messages": [message]});
        let late = gateway.post(&ada(), path, &body).await;
        assert_eq!(late.status, 503, "{path}");
        assert!(late.headers.contains_key("retry-after"), "{path}");
    }
}

#[tokio::test]
async fn a_reply_that_is_not_streamed_waits_for_its_status() {
    let mut gateway = hasty();
    gateway.one.kill().await;
    gateway.two.kill().await;
    for path in PATHS {
        let message = json!({"role": "user", "content": "hi"});
        let body = json!({"model": "maru", "stream": false, "messages": [message]});
        assert_eq!(gateway.post(&ada(), path, &body).await.status, 502, "{path}");
    }
}

/// A model whose replies have something behind them; each begins once it may.
#[derive(Debug)]
struct ProvedNode(Arc<Semaphore>);

impl Backend for ProvedNode {
    fn chat(&self, _: ChatRequest) -> BoxFuture<'_, Result<DeltaStream, Error>> {
        async {
            self.0.acquire().await.unwrap().forget();
            let evidence = Evidence {
                class: "SIMULATED".to_owned(),
                image: "\u{c774}\n: image".to_owned(),
                node: "n".to_owned(),
                verified_at: 1,
            };
            let first = Delta { evidence: Some(Arc::new(evidence)), ..Delta::default() };
            let deltas = [first, Delta::text("Hello"), Delta::text(" there")].map(Ok);
            Ok(stream::iter(deltas).boxed())
        }
        .boxed()
    }

    fn embed(&self, _: EmbedRequest) -> BoxFuture<'_, Result<Embeddings, Error>> {
        future::ready(Err(Error::Busy { backend: "b".to_owned(), reason: "embeds nothing" }))
            .boxed()
    }

    fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, Error>> {
        future::ready(Ok(Vec::new())).boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Error>> {
        future::ready(Ok(Health::Ready)).boxed()
    }
}

/// A gateway whose one model is such; each permit lets a reply begin.
async fn with_evidence(mut gateway: TestGateway) -> (TestGateway, Arc<Semaphore>) {
    let begins = Arc::new(Semaphore::new(0));
    let node = Node::new("n", Arc::new(ProvedNode(Arc::clone(&begins))));
    let model = Model { id: "m".to_owned(), ..Model::default() };
    let provider = Provider::new(vec![node], vec![model]);
    let providers = BTreeMap::from([("lab".to_owned(), provider)]);
    gateway
        .restart_with(Models::with_providers(providers, "lab/m".parse().unwrap(), Vec::new()))
        .await;
    (gateway, begins)
}

/// Whether this is what such a model says stood behind it.
fn is_said(evidence: &Value) -> bool {
    evidence["class"] == "SIMULATED" && evidence["image"] == "?\n: image"
}

#[tokio::test]
async fn evidence_is_in_the_stream_if_the_headers_were_sent_before() {
    let (gateway, begins) = with_evidence(hasty()).await;
    let mut answer = ask(&gateway, PATHS[0]).await;
    assert!(!answer.headers.contains_key("maru-evidence"), "nobody knows it yet");
    assert_eq!(nothing(&mut answer).await, ":\n\n");
    begins.add_permits(1);
    let text = answer.text().await;
    let (first, rest) = text.split_once("\n\n").unwrap();
    let said = first.strip_prefix(": maru-evidence: ").expect("a comment, before any text");
    assert!(is_said(&serde_json::from_str(said).unwrap()), "{text}");
    assert!(rest.starts_with("data: ") && !rest.contains("evidence"), "{text}");
    assert!(rest.contains("Hello") && rest.ends_with("[DONE]\n\n"), "{text}");

    let mut answer = ask(&gateway, PATHS[1]).await;
    assert!(!answer.headers.contains_key("maru-evidence"));
    let first: Value = serde_json::from_str(&nothing(&mut answer).await).unwrap();
    assert!(first.get("maru_evidence").is_none(), "{first}");
    begins.add_permits(1);
    let text = answer.text().await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(is_said(&lines[0]["maru_evidence"]), "{text}");
    assert_eq!(lines[0]["message"]["content"], "Hello");
    assert!(lines[1..].iter().all(|line| line.get("maru_evidence").is_none()), "{text}");
}

#[tokio::test]
async fn where_the_headers_say_what_stood_behind_a_reply_the_stream_does_not() {
    let (gateway, begins) = with_evidence(super::gateway()).await;
    begins.add_permits(PATHS.len());
    for path in PATHS {
        let answer = ask(&gateway, path).await;
        let said = answer.headers["maru-evidence"].as_bytes();
        assert!(is_said(&serde_json::from_slice(said).unwrap()), "{path}");
        let text = answer.text().await;
        assert!(text.contains("Hello") && !text.contains("evidence"), "{path}: {text}");
    }
}
