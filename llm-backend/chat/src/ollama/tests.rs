use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{ChatRequest, Completion, Content, Effort, Message, ResponseFormat, Role};

const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";

fn with(mut body: Value, more: &Value) -> Vec<u8> {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string().into_bytes()
}

fn chat_body(more: &Value) -> Vec<u8> {
    with(json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}), more)
}

fn chat(more: &Value) -> ChatRequest {
    match decode_chat(chat_body(more)).unwrap() {
        TextRequest::Ask(request) => *request,
        idle @ (TextRequest::Load(_) | TextRequest::Unload(_)) => panic!("{idle:?}"),
    }
}

fn generation(body: &[u8]) -> Result<ChatRequest, DecodeError> {
    match decode_generate(body)? {
        TextRequest::Ask(request) => Ok(*request),
        idle @ (TextRequest::Load(_) | TextRequest::Unload(_)) => panic!("{idle:?}"),
    }
}

fn refusal(more: &Value) -> String {
    decode_chat(chat_body(more)).unwrap_err().to_string()
}

#[test]
fn a_plain_chat_is_streamed() {
    let request = chat(&json!({}));
    assert!(request.stream);
    assert_eq!(request.model.as_deref(), Some("m"));
    assert_eq!(request.messages, [Message::user("hi")]);
    assert!(!chat(&json!({"stream": false})).stream);
}

#[test]
fn options_shape_and_thinking_are_translated() {
    let request = chat(
        &json!({"format": "json", "think": "high", "keep_alive": "5m", "truncate": true,
        "options": {"num_predict": 7, "temperature": 0.5, "top_k": 3, "top_p": 0.5, "min_p": 0.25, "seed": 1,
            "stop": ["a"], "repeat_penalty": 1.5, "presence_penalty": 0.5, "frequency_penalty": 0.25,
            "num_ctx": 131_072, "num_gpu": 1, "mirostat": null}}),
    );
    let options = &request.options;
    assert_eq!((options.max_tokens, options.top_k, options.seed), (Some(7), Some(3), Some(1)));
    assert_eq!(
        (options.temperature, options.top_p, options.min_p),
        (Some(0.5), Some(0.5), Some(0.25))
    );
    let penalties = (options.repeat_penalty, options.presence_penalty, options.frequency_penalty);
    assert_eq!(penalties, (Some(1.5), Some(0.5), Some(0.25)));
    assert_eq!(options.stop, ["a"]);
    assert_eq!(request.response_format, Some(ResponseFormat::JsonObject));
    assert_eq!(request.reasoning_effort, Some(Effort::High));

    let request = chat(
        &json!({"format": {"type": "object"}, "think": false, "options": {"num_predict": -1, "seed": -1}}),
    );
    assert!(
        matches!(request.response_format, Some(ResponseFormat::JsonSchema { schema, .. }) if schema.as_str() == r#"{"type":"object"}"#)
    );
    assert_eq!(request.reasoning_effort, Some(Effort::None));
    assert_eq!((request.options.max_tokens, request.options.seed), (None, None));
    assert_eq!(chat(&json!({"format": "", "think": null})).response_format, None);
}

#[test]
fn calls_without_ids_are_paired_with_their_results() {
    let call = |name: &str| json!({"function": {"name": name, "arguments": {"z": 1, "a": 2}}});
    let request = chat(&json!({"messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "", "tool_calls": [call("f"), call("g"), call("f")]},
        {"role": "tool", "tool_name": "g", "content": "1"},
        {"role": "tool", "content": "2"},
        {"role": "tool", "tool_name": "f", "content": "3"},
        {"role": "tool", "tool_name": "unknown", "content": "4"},
    ]}));
    let made = &request.messages[1].tool_calls;
    assert_eq!(made[0].arguments, r#"{"a":2,"z":1}"#);
    let ids: Vec<_> = request.messages[2..].iter().map(|it| it.tool_call_id.as_deref()).collect();
    let expected = [&made[1], &made[0], &made[2]].map(|call| Some(call.id.as_str()));
    assert_eq!(ids, [expected.as_slice(), &[None]].concat());
    assert_eq!(request.messages[3].name.as_deref(), Some("f"));

    let own = json!({"messages": [
        {"role": "assistant", "tool_calls": [{"id": "x", "function": {"index": 0, "name": "f", "arguments": {}}}]},
        {"role": "tool", "tool_call_id": "x", "content": "1"}]});
    assert_eq!(chat(&own).messages[1].tool_call_id.as_deref(), Some("x"));
}

#[test]
fn images_stand_beside_the_text() {
    let request =
        chat(&json!({"messages": [{"role": "user", "content": "what?", "images": [PNG]}]}));
    assert_eq!(request.messages[0].content.text(), "what?");
    assert_eq!(request.messages[0].content.images().next().unwrap().media_type(), "image/png");
    let other = refusal(
        &json!({"messages": [{"role": "user", "content": "", "images": ["AAAAAAAAAAAAAAAAAAAA"]}]}),
    );
    assert!(other.contains("`messages[0].images[0]` must be a PNG"), "{other}");
}

#[test]
fn no_question_loads_and_unloads() {
    let load = |more: &Value| decode_chat(with(json!({"model": "m"}), more)).unwrap();
    assert_eq!(load(&json!({})), TextRequest::Load("m".to_owned()));
    assert_eq!(
        load(&json!({"messages": [], "keep_alive": "1h"})),
        TextRequest::Load("m".to_owned())
    );
    assert_eq!(load(&json!({"keep_alive": -1})), TextRequest::Load("m".to_owned()));
    for zero in [json!(0), json!("0"), json!("0s"), json!(0.0)] {
        assert_eq!(load(&json!({"keep_alive": zero})), TextRequest::Unload("m".to_owned()));
    }
    let idle = decode_generate(br#"{"model":"m","keep_alive":0}"#).unwrap();
    assert_eq!(idle, TextRequest::Unload("m".to_owned()));
}

#[test]
fn a_generation_is_a_chat_of_one_question() {
    let body = json!({"model": "m", "prompt": "hi", "system": "Be brief.", "template": "", "context": [], "suffix": "",
        "images": [PNG], "stream": false});
    let request = generation(&with(body, &json!({}))).unwrap();
    assert_eq!(request.completion, None);
    assert_eq!(request.messages[0], Message::system("Be brief."));
    assert_eq!(request.messages[1].role, Role::User);
    assert!(matches!(&request.messages[1].content, Content::Parts(parts) if parts.len() == 2));
}

#[test]
fn a_text_is_continued_raw_or_up_to_a_suffix() {
    let read = |more: &Value| generation(&with(json!({"model": "m", "prompt": "a"}), more));
    assert_eq!(read(&json!({"raw": true})).unwrap().completion, Some(Completion::Raw));
    let gap = read(&json!({"suffix": "b", "raw": false})).unwrap();
    assert_eq!(
        (gap.completion.clone(), gap.prompt()),
        (Some(Completion::Insert("b".to_owned())), "a".into())
    );
    assert!(!format!("{:?}", Completion::Insert("secret".to_owned())).contains("secret"));
    let before = read(&json!({"prompt": "", "suffix": "b"})).unwrap();
    assert_eq!(before.prompt(), "", "a gap at the beginning");
    for (more, start) in [
        (json!({"raw": true, "suffix": "b"}), "`suffix` must not be combined with a raw prompt"),
        (json!({"raw": true, "system": "b"}), "`system` must not be combined with a raw prompt"),
        (json!({"suffix": "b", "system": "b"}), "`system` must not be combined with a suffix"),
        (json!({"suffix": "b", "images": [PNG]}), "`images` must not be combined with a suffix"),
    ] {
        let refusal = read(&more).unwrap_err().to_string();
        assert!(refusal.starts_with(start), "{refusal}");
    }
}

#[test]
fn unknown_fields_of_ollama_are_refused_by_name() {
    for (more, name) in [
        (json!({"speed": 1}), "speed"),
        (json!({"options": {"mirostat": 1}}), "options.mirostat"),
        (json!({"options": {"repeat_last_n": 8}}), "options.repeat_last_n"),
    ] {
        let said = refusal(&more);
        assert!(said.starts_with(&format!("this gateway does not know `{name}`")), "{said}");
    }
    for body in [
        r#"{"model":"m","prompt":"x","template":"t"}"#,
        r#"{"model":"m","prompt":"x","context":[1]}"#,
    ] {
        assert!(decode_generate(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn wrong_fields_are_refused_with_their_path() {
    for (more, start) in [
        (json!({"model": null}), "`model` is missing"),
        (json!({"messages": "hi"}), "`messages` must be a list"),
        (json!({"messages": [{"role": "oracle"}]}), "`messages[0].role` must be system"),
        (json!({"format": "yaml"}), "`format` must be"),
        (json!({"think": "hard"}), "`think` must be"),
        (json!({"top_logprobs": 21}), "`top_logprobs` must be at most 20"),
        (json!({"options": {"temperature": "hot"}}), "`options.temperature` must be a number"),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]}),
            "`messages[0].tool_calls[0].function.arguments` must be an object",
        ),
    ] {
        let said = refusal(&more);
        assert!(said.starts_with(start), "{said}");
    }
}

#[test]
fn texts_to_embed_are_one_or_many() {
    let read = |body: &str| decode_embed(body.as_bytes()).map(|it| (it.input.len(), it.dimensions));
    assert_eq!(
        read(r#"{"model":"m","input":"a","dimensions":8,"truncate":true}"#).unwrap(),
        (1, Some(8))
    );
    assert_eq!(
        read(r#"{"model":"m","input":["a","b"],"options":{"num_ctx":1}}"#).unwrap(),
        (2, None)
    );
    assert_eq!(read(r#"{"model":"m"}"#).unwrap(), (0, None));
    assert_eq!(read(r#"{"model":"m","input":""}"#).unwrap(), (0, None), "an Ollama makes none");
    assert_eq!(read(r#"{"model":"m","input":["","a"]}"#).unwrap(), (2, None));
    assert!(read(r#"{"model":"m","input":[1]}"#).is_err());
    assert!(read(&json!({"model": "m", "input": vec!["a"; 2049]}).to_string()).is_err());
    assert_eq!(decode_embeddings(br#"{"model":"m","prompt":"a"}"#).unwrap().input, ["a"]);
    assert!(decode_embeddings(br#"{"model":"m","prompt":""}"#).unwrap().input.is_empty());
    assert_eq!(decode_show(br#"{"name":"m","verbose":true}"#).unwrap(), "m");
    // As the command `ollama` sends it.
    let sent =
        br#"{"model":"","system":"","template":"","verbose":false,"options":null,"name":"m"}"#;
    assert_eq!(decode_show(sent).unwrap(), "m");
    assert!(decode_show(br#"{"options":{}}"#).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = (decode_chat(bytes.as_slice()), decode_generate(bytes.as_slice()), decode_embed(bytes.as_slice()), decode_show(bytes));
    }

    /// Whatever stands in a field, it is taken or refused, and no text of it is in the refusal.
    #[test]
    fn any_value_of_any_field_is_survived(
        field in prop::sample::select(vec!["model", "messages", "tools", "format", "think", "options", "stream", "images", "keep_alive", "prompt", "input"]),
        value in prop_oneof![
            Just(json!(null)), Just(json!(-1)), Just(json!(1e300)), Just(json!([])), Just(json!({})),
            Just(json!("canary")), Just(json!([["canary"]])), Just(json!([{"canary": {"function": 1}}])),
        ],
    ) {
        let more = json!({ field: value });
        let body = chat_body(&more);
        for error in [decode_chat(body.as_slice()).err(), decode_generate(body.as_slice()).err(), decode_embed(body).err()].into_iter().flatten() {
            let quoted = error.to_string().replace("`canary`", "").replace(".canary`", "");
            prop_assert!(!quoted.contains("canary"), "{quoted}");
        }
    }
}

#[test]
fn models_of_the_cloud_are_known_by_name() {
    for name in ["gpt-oss:120b-cloud", "minimax-m2:cloud", "Kimi-K2:1T-Cloud", "a-cloud"] {
        assert!(is_cloud(name), "{name}");
    }
    for name in ["llama3.2", "cloud", "cloudy:7b", "cloud:7b", "gpt-oss:20b"] {
        assert!(!is_cloud(name), "{name}");
    }
}
