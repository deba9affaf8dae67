//! What a request says about how tokens are chosen, as llama-server means it, and about a reply's JSON. The gateway's
//! own client asks.

use std::{collections::BTreeMap, path::Path, time::Duration};

use chat_vocabulary::{ChatRequest, Completion, FinishReason, Message, Options, ResponseFormat};
use futures_util::TryStreamExt as _;
use llm_backend::Backend as _;
use serde_json::{Value, json};

use super::{support::Engine, text};

/// Some token of the model that is a whole word.
const TOKEN: u32 = 5000;

async fn answer(engine: &Engine, content: &str, options: Options) -> (String, FinishReason) {
    shaped(engine, content, options, None).await
}

async fn shaped(
    engine: &Engine,
    content: &str,
    options: Options,
    response_format: Option<ResponseFormat>,
) -> (String, FinishReason) {
    let messages = vec![Message::user(content)];
    let request = ChatRequest { messages, options, response_format, ..ChatRequest::default() };
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

/// Numbers, not words: what the engine keeps of a reply to feed it on.
#[tokio::test]
#[ignore = "needs: root, model"]
async fn a_freed_slots_tokens_are_zeroed() {
    let engine = Engine::start(&["--cache-seconds", "0"]).await;
    let mut request = ChatRequest {
        messages: vec![Message::user("Hello")],
        options: bias(100.0, greedy(1_000_000)),
        ..ChatRequest::default()
    };
    request.options.ignore_eos = true;
    let mut stream = engine.client().chat(request).await.unwrap();
    // More than the slot has room for at first.
    for _ in 0..300 {
        stream.try_next().await.unwrap().unwrap();
    }
    assert!(engine.runs_in_memory(TOKEN, 40) > 0, "it is there while it is generated");

    drop(stream);
    while !engine.is_idle().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    assert_eq!(engine.runs_in_memory(TOKEN, 40), 0);
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

fn schema(schema: &Value) -> Option<ResponseFormat> {
    Some(ResponseFormat::schema(schema.to_string().parse().unwrap()))
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_reply_follows_its_schema_whatever_is_likely() {
    let engine = Engine::start(&[]).await;
    let wanted = schema(&json!({
        "type": "object",
        "properties": {
            "colour": { "enum": ["빨강", "\"blue\"", "a\\b\nc"] },
            "count": { "anyOf": [{ "type": "integer" }, { "const": "many" }] },
            "flags": { "$ref": "#/$defs/flags" },
            "maybe": { "type": ["boolean", "null"] },
        },
        "required": ["colour", "count", "flags"],
        "additionalProperties": false,
        "$defs": { "flags": {
            "type": "object",
            "properties": { "x": { "type": "boolean" }, "y": { "type": "null" } },
            "required": ["x", "y"],
        } },
    }));
    // So hot that hardly a token is one that the grammar allows.
    for seed in 0..3 {
        let hot = Options { temperature: Some(3.0), seed: Some(seed), ..options(400) };
        let content = "Write a poem about the sea, no JSON.";
        let (text, reason) = shaped(&engine, content, hot, wanted.clone()).await;
        assert_eq!(reason, FinishReason::Stop, "{text}");
        let reply: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let fields = reply.as_object().unwrap();
        assert!(
            ["빨강", "\"blue\"", "a\\b\nc"].map(Value::from).contains(&reply["colour"]),
            "{text}"
        );
        assert!(reply["count"].is_i64() || reply["count"] == "many", "{text}");
        assert!(reply["flags"]["x"].is_boolean() && reply["flags"]["y"].is_null(), "{text}");
        assert_eq!(reply["flags"].as_object().unwrap().len(), 2);
        let maybe = fields.get("maybe");
        assert!(maybe.is_none_or(|it| it.is_boolean() || it.is_null()), "{text}");
        assert_eq!(fields.len(), 3 + usize::from(maybe.is_some()), "{text}");
    }
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_json_object_is_one_and_a_bias_does_not_break_it() {
    let engine = Engine::start(&[]).await;
    let any = Some(ResponseFormat::JsonObject);
    // The token is a word, which no object begins with.
    let (text, _) = shaped(&engine, "Hello", bias(100.0, greedy(8)), any).await;
    assert!(text.starts_with('{'), "{text}");
    let one = schema(&json!({ "const": "한 \u{1f30a}" }));
    let (text, reason) = shaped(&engine, "Hello", bias(100.0, greedy(40)), one).await;
    assert_eq!((text.as_str(), reason), ("\"한 \u{1f30a}\"", FinishReason::Stop));
}

/// As hot as above: what a reply has too much or too little of comes soon.
#[tokio::test]
#[ignore = "needs: model"]
async fn what_a_schema_counts_is_counted_by_the_engine() {
    let engine = Engine::start(&[]).await;
    let wanted = schema(&json!({
        "type": "object",
        "properties": {
            "age": { "type": "integer", "minimum": -12, "exclusiveMaximum": 130 },
            "day": { "type": "string", "format": "date-time" },
            "name": { "type": "string", "minLength": 3, "maxLength": 7 },
            "pair": { "prefixItems": [{ "type": "boolean" }, { "enum": [1, 2] }] },
            "score": { "type": "number", "exclusiveMinimum": 0, "maximum": 1 },
            "tags": { "type": "array", "items": { "oneOf": [{ "type": "boolean" }, { "type": "null" }] }, "minItems": 2, "maxItems": 4 },
        },
        "required": ["age", "day", "name", "pair", "score", "tags"],
    }));
    for seed in 0..3 {
        let hot = Options { temperature: Some(3.0), seed: Some(seed), ..options(400) };
        let (text, reason) = shaped(&engine, "Hello", hot, wanted.clone()).await;
        assert_eq!(reason, FinishReason::Stop, "{text}");
        let reply: Value = serde_json::from_str(&text).unwrap();
        assert!((-12..130).contains(&reply["age"].as_i64().unwrap()), "{text}");
        assert!(reply["day"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{text}");
        assert!((3..=7).contains(&reply["name"].as_str().unwrap().chars().count()), "{text}");
        let pair = reply["pair"].as_array().unwrap();
        assert!(pair.len() == 2 && pair[0].is_boolean() && pair[1].is_u64(), "{text}");
        let score = reply["score"].as_f64().unwrap();
        assert!(score > 0.0 && score <= 1.0, "{text}");
        assert!((2..=4).contains(&reply["tags"].as_array().unwrap().len()), "{text}");
    }
}

pub(super) async fn tiny_engine(
    change: impl FnOnce(model_sample::Gguf) -> model_sample::Gguf,
) -> Engine {
    let root = tempfile::tempdir().unwrap();
    let bytes = change(model_sample::tiny()).bytes();
    std::fs::write(root.path().join("model.gguf"), bytes).unwrap();
    let engine = Engine::of(root, Path::new("model.gguf"), &["--ctx", "256"]);
    while !engine.is_ready().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    engine
}

/// The gateway's own client asks so if a program gives Ollama a raw prompt.
#[tokio::test]
#[ignore = "needs: model"]
async fn a_raw_prompt_is_continued_without_a_template() {
    let engine = Engine::start(&[]).await;
    let prompt = "<|im_start|>user\nTell me about the sea.<|im_end|>\n<|im_start|>assistant\n";
    let body = json!({ "prompt": prompt, "max_tokens": 9, "temperature": 0, "model": "m" });

    let (status, whole) = engine.post_to("/v1/completions", &body).await;
    let request = ChatRequest {
        completion: Some(Completion::Raw),
        messages: vec![Message::user(prompt)],
        options: greedy(9),
        ..ChatRequest::default()
    };
    let deltas: Vec<_> = engine.client().chat(request).await.unwrap().try_collect().await.unwrap();

    assert_eq!((status, &whole["object"]), (200, &json!("text_completion")));
    assert!(whole["id"].as_str().unwrap().starts_with("cmpl-"), "{whole}");
    let choice = &whole["choices"][0];
    assert_eq!(
        (&choice["text"], &choice["finish_reason"]),
        (&json!(text(&deltas)), &json!("length"))
    );
    assert!(deltas.iter().any(|delta| delta.finish_reason == Some(FinishReason::Length)));
    // Its control tokens are tokens, and there is no template around it.
    let usage = deltas.iter().find_map(|delta| delta.usage).unwrap();
    assert!(usage.prompt_tokens < 20 && usage.completion_tokens == 9, "{usage:?}");
    let mut echoed = body;
    echoed["echo"] = json!(true);
    let (status, answer) = engine.post_to("/v1/completions", &echoed).await;
    let says = "this engine does not know `echo`: leave it out";
    assert_eq!((status, &answer["error"]["message"]), (400, &json!(says)));
}

/// The tiny model never writes `</think>`.
#[tokio::test]
async fn thoughts_arrive_as_thoughts() {
    let template = "{{ messages[0].content }}<|im_end|><think>\n";
    let key = "tokenizer.chat_template";
    let engine =
        tiny_engine(|it| it.with(key, model_sample::Value::Text(template.to_owned()))).await;
    let options = Options { seed: Some(1), ignore_eos: true, ..options(9) };
    let messages = vec![Message::user("a")];
    let request = ChatRequest { messages, options, ..ChatRequest::default() };

    let (_, whole) = engine.post(&serde_json::to_value(&request).unwrap()).await;
    let deltas: Vec<_> = engine.client().chat(request).await.unwrap().try_collect().await.unwrap();

    let whole = &whole["choices"][0]["message"];
    let thinking: String = deltas.iter().map(|delta| delta.thinking.as_str()).collect();
    assert!(!thinking.is_empty() && text(&deltas).is_empty(), "{deltas:?}");
    assert_eq!((&whole["reasoning_content"], &whole["content"]), (&json!(thinking), &json!("")));
    let mut shaped = json!({ "messages": [{ "role": "user", "content": "a" }], "max_tokens": 9 });
    shaped["response_format"] = json!({ "type": "json_object", "schema": { "const": 7 } });
    let (_, answer) = engine.post(&shaped).await;
    assert_eq!(answer["choices"][0]["message"], json!({ "role": "assistant", "content": "7" }));
}

/// The tiny model's vocabulary is bytes; this one has no byte of the reply.
#[tokio::test]
async fn a_format_that_the_model_has_no_token_for_is_one_clear_error() {
    let key = "tokenizer.ggml.tokens";
    let entry = model_sample::tiny().entries.into_iter().find(|(name, _)| name == key);
    let Some((_, model_sample::Value::Texts(mut words))) = entry else { panic!("no words") };
    words[usize::from(b'q')] = "none".to_owned();
    let words = model_sample::Value::Texts(words);
    let engine = tiny_engine(|it| it.with(key, words)).await;
    let mut body = json!({ "messages": [{ "role": "user", "content": "a" }],
        "response_format": { "type": "json_object", "schema": { "const": "q" } } });
    let (status, answer) = engine.post(&body).await;
    let says = "the model has no token with which the reply could follow response_format; ";
    assert!(answer["error"]["message"].as_str().unwrap().starts_with(says), "{answer}");
    assert_eq!(status, 500, "{answer}");
    body["response_format"]["schema"]["const"] = json!("p");
    let (status, answer) = engine.post(&body).await;
    assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("\"p\"")));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
}

/// What is within the bounds is a grammar to llama.cpp, too.
#[tokio::test]
#[ignore = "needs: model"]
async fn the_largest_schemas_are_answered() {
    let engine = Engine::start(&[]).await;
    let names = |n: usize| (0..n).map(|n| format!("n{n}")).collect::<Vec<_>>();
    let fields =
        |n: usize| -> Value { names(n).into_iter().map(|name| (name, json!(true))).collect() };
    let deep = (0..31).fold(json!({}), |inner, _| json!({ "items": inner }));
    for wanted in [
        json!({ "enum": names(256) }),
        json!({ "properties": fields(255) }),
        json!({ "properties": fields(1900), "required": names(1900) }),
        json!({ "anyOf": vec![json!({}); 32] }),
        json!({ "type": "string", "minLength": 2000 }),
        json!({ "items": { "type": "string", "maxLength": 2000 }, "maxItems": 2000 }),
        json!({ "type": "array", "minItems": 2000, "maxItems": 2000 }),
        json!({ "anyOf": vec![json!({ "type": "string", "minLength": 1, "maxLength": 2000 }); 9] }),
        deep,
    ] {
        let (text, _) = shaped(&engine, "Hello", greedy(4), schema(&wanted)).await;
        assert!(!text.is_empty());
    }
}

#[tokio::test]
#[ignore = "needs: model"]
async fn what_the_engine_lacks_is_refused_by_name() {
    let engine = Engine::start(&[]).await;
    let image = json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgoAAAAN" } });
    let tool = json!({ "type": "function", "function": { "name": "f" } });
    let pattern = json!({ "properties": { "a": { "type": "string", "pattern": "b" } } });
    let format =
        json!({ "type": "json_schema", "json_schema": { "name": "n", "schema": pattern } });
    for (field, value, message) in [
        (
            "messages",
            json!([{ "role": "user", "content": [image] }]),
            "smollm2 does not support vision",
        ),
        ("tools", json!([tool]), "smollm2 does not support tools"),
        (
            "response_format",
            format,
            "response_format: `schema.properties.a.pattern` is not supported",
        ),
    ] {
        let mut body = json!({ "messages": [{ "role": "user", "content": "a" }] });
        body[field] = value;
        let (status, answer) = engine.post(&body).await;
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(status == 400 && said.starts_with(message), "{said}");
    }
}
