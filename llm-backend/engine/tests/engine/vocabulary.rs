//! Texts that llama.cpp would end the process for, because of the model's vocabulary.

use std::path::Path;

use model_sample::{Gguf, Value, tiny};
use serde_json::json;

use super::{shape::tiny_engine, support::Engine};

/// Vocabularies whose words llama.cpp finds by `std::regex`, and one with code of its own.
const WORDS: [&str; 9] = [
    "gpt-4o",
    "tekken",
    "deepseek-v3",
    "deepseek-llm",
    "falcon",
    "bloom",
    "superbpe",
    "exaone-moe",
    "gpt-2",
];
/// What is repeated: each is a long word to one of them.
const RUNS: [&str; 10] = ["x", " ", "-", "가", "\n", " \n", "7", "a-", "字", "a "];

#[tokio::test]
async fn no_long_run_of_characters_ends_the_engine() {
    for words in WORDS {
        let key = "tokenizer.ggml.pre";
        let engine = tiny_engine(|it| it.with(key, Value::Text(words.to_owned()))).await;
        for run in RUNS {
            let body = json!({ "prompt": run.repeat(20_000), "max_tokens": 1 });
            let (status, answer) = engine.post_to("/v1/completions", &body).await;
            let says = answer["error"]["message"].as_str().unwrap_or_default();
            let is_long = status == 400 && says.contains("exceeds the available context size");
            assert!(is_long, "{words}: {run:?}: {status} {answer}: {}", engine.log());
        }
        let body = json!({ "prompt": "still there?", "max_tokens": 1 });
        assert_eq!(engine.post_to("/v1/completions", &body).await.0, 200, "{words}");
    }
}

/// The tiny model with SentencePiece's kind of vocabulary: a word for each byte but the one that is `missing`.
fn sentences(model: Gguf, missing: Option<u8>) -> Gguf {
    let word = |byte: u8| {
        if missing == Some(byte) { "missing".to_owned() } else { format!("<0x{byte:02X}>") }
    };
    let control = ["<|im_start|>", "<|im_end|>"].map(str::to_owned);
    let words: Vec<String> = (0..=u8::MAX).map(word).chain(control).collect();
    let scores = Value::F32s(vec![0.0; words.len()]);
    model
        .with("tokenizer.ggml.model", Value::Text("llama".to_owned()))
        .with("tokenizer.ggml.tokens", Value::Texts(words))
        .with("tokenizer.ggml.scores", scores)
}

#[tokio::test]
async fn a_vocabulary_without_a_token_for_each_byte_is_refused() {
    let engine = tiny_engine(|it| sentences(it, None)).await;
    let body = json!({ "prompt": "an emoji: 🙂", "max_tokens": 1 });
    assert_eq!(engine.post_to("/v1/completions", &body).await.0, 200, "{}", engine.log());

    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("model.gguf"), sentences(tiny(), Some(0xf0)).bytes()).unwrap();
    let mut engine = Engine::of(root, Path::new("model.gguf"), &["--ctx", "128"]);
    let status = engine.end().await;
    let log = engine.log();
    let says = "its vocabulary has no token for some characters; choose another model";
    assert!(log.contains(says) && log.lines().count() == 1, "{status}: {log}");
    assert_eq!(status.code(), Some(1));
}
