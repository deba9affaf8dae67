//! What a request says about how tokens are chosen, as llama-server means it. The gateway's own client asks.

use std::collections::BTreeMap;

use chat_vocabulary::{ChatRequest, FinishReason, Message, Options};
use futures_util::TryStreamExt as _;
use llm_backend::Backend as _;
use serde_json::json;

use super::{support::Engine, text};

/// Some token of the model that is a whole word.
const TOKEN: u32 = 5000;

async fn answer(engine: &Engine, content: &str, options: Options) -> (String, FinishReason) {
    let messages = vec![Message::user(content)];
    let request = ChatRequest { messages, options, ..ChatRequest::default() };
    let deltas: Vec<_> = engine.client().chat(request).await.unwrap().try_collect().await.unwrap();
    let reason = deltas.iter().find_map(|delta| delta.finish_reason).unwrap();
    (text(&deltas), reason)
}

fn options(max_tokens: u32) -> Options {
    Options { max_tokens: Some(max_tokens), ..Options::default() }
}

/// Always the likeliest token.
fn greedy(max_tokens: u32) -> Options {
    Options { temperature: Some(0.0), ..options(max_tokens) }
}

fn bias(bias: f32, options: Options) -> Options {
    Options { logit_bias: BTreeMap::from([(TOKEN.to_string(), bias)]), ..options }
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_seed_gives_the_same_reply_twice_and_another_seed_another() {
    let engine = Engine::start(&[]).await;
    let asked = |seed| {
        let hot = Options { temperature: Some(1.5), seed: Some(seed), ..options(24) };
        answer(&engine, "Tell me about the sea.", hot)
    };
    let (first, again, other) = (asked(7).await, asked(7).await, asked(8).await);
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[tokio::test]
#[ignore = "needs: model"]
async fn one_candidate_is_the_likeliest_however_hot() {
    let engine = Engine::start(&[]).await;
    let ask = |options| answer(&engine, "Tell me about the sea.", options);
    let likeliest = ask(greedy(16)).await;
    let hot = || Options { temperature: Some(5.0), seed: Some(1), ..options(16) };
    // All of the vocabulary, so hot: nobody would guess it.
    let all = Options { top_k: Some(0), top_p: Some(1.0), min_p: Some(0.0), ..hot() };
    assert_ne!(ask(all.clone()).await, likeliest);
    assert_eq!(ask(Options { top_k: Some(1), ..all.clone() }).await, likeliest);
    assert_eq!(ask(Options { min_p: Some(1.0), ..all.clone() }).await, likeliest);
    assert_eq!(ask(Options { top_p: Some(0.0), ..all }).await, likeliest);
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_bias_chooses_a_token_or_keeps_it_out() {
    let engine = Engine::start(&[]).await;
    let (word, _) = answer(&engine, "Hello", bias(100.0, greedy(1))).await;
    assert!(!word.is_empty());

    let (forced, reason) = answer(&engine, "Hello", bias(100.0, greedy(6))).await;
    assert_eq!((forced, reason), (word.repeat(6), FinishReason::Length));

    let again = format!("Repeat after me, again and again:{}", word.repeat(8));
    let (without, _) = answer(&engine, &again, bias(-100.0, greedy(24))).await;
    assert!(!without.contains(&word), "{without}");

    let beyond =
        json!({ "messages": [{ "role": "user", "content": "a" }], "logit_bias": { "9999999": 1 } });
    let (status, body) = engine.post(&beyond).await;
    let message = body["error"]["message"].as_str().unwrap();
    assert!(status == 400 && message.starts_with("logit_bias names token 9999999"), "{body}");
}

/// llama-server counts the prompt, too.
#[tokio::test]
#[ignore = "needs: model"]
async fn a_repeat_penalty_counts_the_reply_and_the_end_of_the_prompt() {
    let engine = Engine::start(&[]).await;
    let penal = |tokens| Options { repeat_penalty: Some(10.0), ..bias(40.0, greedy(tokens)) };
    let (word, _) = answer(&engine, "Hello", bias(40.0, greedy(1))).await;

    assert_eq!(answer(&engine, "Hello", penal(1)).await.0, word);
    assert!(!answer(&engine, "Hello", penal(2)).await.0.ends_with(&word));
    let (after, _) = answer(&engine, &word.repeat(8), penal(1)).await;
    assert_ne!(after, word);
}

#[tokio::test]
#[ignore = "needs: model"]
async fn the_first_of_several_stop_texts_ends_the_reply_also_across_tokens() {
    let engine = Engine::start(&[]).await;
    let (word, _) = answer(&engine, "Hello", bias(100.0, greedy(1))).await;
    // From the middle of a word to the middle of the next.
    let (left, right) = word.split_at(word.char_indices().nth(1).unwrap().0);
    let across = format!("{right}{left}");
    let stop = vec!["\u{1f9ff}".to_owned(), format!("{word}{across}{right}"), across];
    let (stopped, reason) =
        answer(&engine, "Hello", Options { stop, ..bias(100.0, greedy(9)) }).await;
    assert_eq!((stopped.as_str(), reason), (left, FinishReason::Stop));
}
