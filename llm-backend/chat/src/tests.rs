//! Tests of the chat vocabulary.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The first bytes of a PNG, as base64.
const PNG: &str = "iVBORw0KGgoAAAAN";

fn request(more: &Value) -> Value {
    let mut body = json!({ "messages": [{ "role": "user", "content": "hi" }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn read(more: &Value) -> Result<ChatRequest, DecodeError> {
    decode(request(more).to_string().as_bytes())
}

fn refusal(more: &Value) -> String {
    read(more).unwrap_err().to_string()
}

fn tool(name: &str) -> Value {
    json!({ "type": "function", "function": { "name": name, "description": "looks it up",
        "parameters": { "type": "object", "properties": { "z": {}, "a": {} } }, "strict": true } })
}

#[test]
fn a_plain_openai_request_decodes() {
    let request = decode(
        br#"{"model":"llamacpp/smollm2","messages":[{"role":"developer","content":"be brief"},
            {"role":"user","content":[{"type":"text","text":"hel"},{"type":"text","text":"lo"}]},
            {"role":"assistant","content":null}],
            "stream":null,"stop":"END","max_completion_tokens":7,"ignore_eos":true,"n":1,"user":"x"}"#,
    )
    .unwrap();

    assert_eq!(request.model.as_deref(), Some("llamacpp/smollm2"));
    assert_eq!(
        request.messages,
        [Message::system("be brief"), Message::user("hello"), Message::assistant("")]
    );
    assert!(!request.stream);
    assert_eq!(request.options.stop, ["END"]);
    assert_eq!(request.options.max_tokens, Some(7));
    assert!(request.options.ignore_eos);
}

/// Each of these is written again as it was read, which is how it reaches an OpenAI-compatible backend.
#[test]
fn a_request_is_passed_on_unchanged() {
    let call = json!({ "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{\"a\": 1}" } });
    let image = json!({ "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{PNG}"), "detail": "low" } });
    let schema = json!({ "name": "s", "strict": true, "schema": { "type": "object" } });
    for more in [
        json!({ "tools": [tool("f"), tool("g")], "tool_choice": "required", "parallel_tool_calls": false }),
        json!({ "tools": [tool("f")], "tool_choice": { "type": "function", "function": { "name": "f" } } }),
        json!({ "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "what?" }, image] },
            { "role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [call] },
            { "role": "tool", "content": "1", "tool_call_id": "c1", "name": "f" },
        ] }),
        json!({ "response_format": { "type": "json_object" } }),
        json!({ "response_format": { "type": "json_schema", "json_schema": schema } }),
        json!({ "reasoning_effort": "high" }),
        json!({ "max_tokens": 5, "temperature": 0.5, "top_p": 0.25, "top_k": 3, "min_p": 0.5, "seed": 1, "stop": ["a", "b"],
            "frequency_penalty": 1.0, "presence_penalty": -1.0, "repeat_penalty": 1.5, "logit_bias": { "7": -100.0 },
            "logprobs": true, "top_logprobs": 2, "ignore_eos": true }),
    ] {
        let mut expected = request(&more);
        expected["stream"] = json!(false);

        assert_eq!(serde_json::to_value(read(&more).unwrap()).unwrap(), expected);
    }
}

#[test]
fn the_order_of_a_schemas_keys_is_kept() {
    let body = r#"{"messages":[],"response_format":{"type":"json_object","schema":{"z":1,"a":2}}}"#;
    let request = decode(body.as_bytes()).unwrap();

    let written = serde_json::to_string(&request).unwrap();
    assert!(written.contains(r#""schema":{"z":1,"a":2}"#), "{written}");
}

#[test]
fn fields_that_change_no_answer_are_ignored() {
    let more = json!({ "user": "x", "metadata": { "a": 1 }, "store": true, "service_tier": "auto", "safety_identifier": "y",
        "prompt_cache_key": "z", "modalities": ["text"], "verbosity": null, "tool_choice": null, "tools": null,
        "stream_options": { "include_usage": true }, "messages": [
            { "role": "assistant", "content": "a", "refusal": null, "audio": null, "annotations": [], "tool_calls": [] }] });
    let request = read(&more).unwrap();

    assert_eq!(request.messages, [Message::assistant("a")]);
    assert!(request.stream_options.unwrap().include_usage);
}

#[test]
fn unknown_fields_that_may_change_the_answer_are_refused_by_name() {
    for (more, name) in [
        (json!({ "web_search_options": {} }), "web_search_options"),
        (json!({ "functions": [] }), "functions"),
        (json!({ "verbosity": "low" }), "verbosity"),
        (json!({ "modalities": ["text", "audio"] }), "modalities"),
        (json!({ "tools": [{ "type": "web_search" }] }), "tools[0].type web_search"),
        (json!({ "tool_choice": { "type": "allowed_tools" } }), "tool_choice.type allowed_tools"),
        (json!({ "response_format": { "type": "grammar" } }), "response_format.type grammar"),
        (
            json!({ "messages": [{ "role": "user", "content": [{ "type": "input_audio" }] }] }),
            "messages[0].content[0].type input_audio",
        ),
    ] {
        let expected = format!(
            "this gateway does not know `{name}`, which may change the answer: leave it out"
        );
        assert_eq!(refusal(&more), expected);
    }
    let long = refusal(&json!({ "x\n`".repeat(100): 1 }));
    assert!(long.len() < 200 && !long.contains('\n'), "{long}");
}

#[test]
fn wrong_fields_are_refused_with_their_path() {
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    let deep: Value = serde_json::from_str(&deep).unwrap();
    for (more, start) in [
        (json!({ "messages": "hi" }), "`messages` must be a list"),
        (json!({ "messages": null }), "`messages` is missing"),
        (json!({ "messages": [{ "content": "x" }] }), "`messages[0].role` is missing"),
        (json!({ "messages": [{ "role": "oracle" }] }), "`messages[0].role` must be system"),
        (json!({ "messages": [1] }), "`messages[0]` must be an object"),
        (
            json!({ "messages": [{ "role": "user", "content": 1 }] }),
            "`messages[0].content` must be",
        ),
        (json!({ "n": 2 }), "`n` must be 1"),
        (json!({ "temperature": "hot" }), "`temperature` must be a number"),
        (json!({ "temperature": 1e300 }), "`temperature` must be a smaller number"),
        (json!({ "max_tokens": -2 }), "`max_tokens` must be a whole number"),
        (json!({ "max_tokens": 100.5 }), "`max_tokens` must be a whole number"),
        (json!({ "max_tokens": 1e300 }), "`max_tokens` must be a whole number"),
        (json!({ "top_k": "3" }), "`top_k` must be a whole number"),
        (json!({ "stop": vec!["x"; 65] }), "`stop` must be"),
        (json!({ "top_logprobs": 21 }), "`top_logprobs` must be at most 20"),
        (json!({ "logit_bias": { "the": 1 } }), "`logit_bias` must have"),
        (json!({ "tools": vec![tool("f"); 257] }), "`tools` must be a list of at most 256"),
        (
            json!({ "tools": [{ "function": { "name": "" } }] }),
            "`tools[0].function.name` must have",
        ),
        (
            json!({ "tools": [{ "function": { "name": "f", "parameters": [] } }] }),
            "`tools[0].function.parameters` must be a JSON Schema object",
        ),
        (
            json!({ "tools": [{ "function": { "name": "f", "parameters": deep } }] }),
            "`tools[0].function.parameters` is nested deeper",
        ),
        (
            json!({ "response_format": { "type": "json_schema" } }),
            "`response_format.json_schema` is missing",
        ),
    ] {
        let refusal = refusal(&more);
        assert!(refusal.starts_with(start), "{refusal}");
    }
    for body in ["", "{", "[]", "{} x"] {
        assert!(decode(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn an_image_is_inside_the_message_or_refused() {
    let image = |url: &str| {
        let part = json!({ "type": "image_url", "image_url": { "url": url } });
        json!({ "messages": [{ "role": "user", "content": [part] }] })
    };
    let request = read(&image(&format!("data:image/jpeg;base64,{PNG}"))).unwrap();
    let found = request.messages[0].content.images().next().unwrap();
    assert_eq!((found.media_type(), found.base64()), ("image/png", PNG), "its bytes decide");
    assert!(request.has_images());

    for (url, reason) in [
        ("https://example.org/a.png", "fetches nothing"),
        ("file:///etc/passwd", "fetches nothing"),
        ("data:image/png,abc", "fetches nothing"),
        ("data:image/png;base64,a b=", "must be base64"),
        ("data:image/png;base64,AAAAAAAAAAAAAAAAAAAA", "must be a PNG"),
    ] {
        let refusal = refusal(&image(url));
        assert!(
            refusal.contains(reason) && refusal.contains("messages[0].content[0]"),
            "{refusal}"
        );
    }
}

#[test]
fn debug_and_errors_show_nothing_that_was_written() {
    let canary = json!({ "stop": [], "messages": [
        { "role": "user", "content": [{ "type": "text", "text": "canary" },
            { "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{PNG}canary00") } }] },
        { "role": "assistant", "reasoning_content": "canary", "tool_calls": [
            { "function": { "name": "f", "arguments": "canary" } }] }],
        "tools": [{ "function": { "name": "f", "description": "canary", "parameters": { "x": "canary" } } }] });
    let request = read(&canary).unwrap();
    let call = ToolCallDelta { arguments: "canary".to_owned(), ..ToolCallDelta::default() };
    let delta =
        Delta { thinking: "canary".to_owned(), tool_calls: vec![call], ..Delta::text("canary") };
    assert!(!format!("{request:?}{delta:?}").contains("canary"));

    for more in [
        json!({ "messages": "canary" }),
        json!({ "messages": [{ "role": "canary" }] }),
        json!({ "temperature": "canary" }),
        json!({ "stop": [{ "canary": 1 }] }),
    ] {
        assert!(!format!("{:?}", read(&more).unwrap_err()).contains("canary"));
    }
}

#[test]
fn options_alone_are_read_as_strictly() {
    let read = |text: &str| serde_json::from_str::<Options>(text);
    let options = read(r#"{"max_tokens":7,"stop":"END","temperature":null}"#).unwrap();
    assert_eq!((options.max_tokens, options.stop), (Some(7), vec!["END".to_owned()]));
    for wrong in
        [r#"{"temperature":1e300}"#, r#"{"mirostat":2}"#, "[]", r#"{"logit_bias":{"a":1}}"#]
    {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_text_to_go_on_from_is_a_chat_of_one_message() {
    let read = |more: Value| {
        let mut body = json!({ "prompt": "Once" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        decode_completion(body.to_string().as_bytes())
    };
    let request = read(
        json!({ "model": "m", "max_tokens": 5, "echo": false, "best_of": 1, "suffix": "", "user": "x" }),
    );
    let request = request.unwrap();
    assert_eq!(request.messages, [Message::user("Once")]);
    assert_eq!((request.options.max_tokens, request.completion), (Some(5), None));
    let gap = read(json!({ "suffix": "end" })).unwrap();
    assert_eq!(gap.completion, Some(Completion::Insert("end".to_owned())));
    for (more, start) in [
        (json!({ "prompt": ["a", "b"] }), "`prompt` must be one string"),
        (json!({ "prompt": [1, 2] }), "`prompt` must be one string"),
        (json!({ "prompt": null }), "`prompt` is missing"),
        (json!({ "echo": true }), "this gateway does not know `echo`"),
        (json!({ "best_of": 2 }), "`best_of` must be 1"),
        (json!({ "logprobs": 1 }), "`logprobs` is supported for chats only"),
        (json!({ "messages": [] }), "this gateway does not know `messages`"),
    ] {
        let refusal = read(more).unwrap_err().to_string();
        assert!(refusal.starts_with(start), "{refusal}");
    }
}

#[test]
fn an_unknown_finish_reason_is_no_error() {
    let reason: FinishReason = serde_json::from_str(r#""recitation""#).unwrap();

    assert_eq!(reason, FinishReason::Other);
}

/// Any JSON that a client may put into a field.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec!["user", "function", "text", "image_url", "json_schema", "none"])
            .prop_map(Value::from),
    ];
    let key = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "role",
            "content",
            "type",
            "text",
            "image_url",
            "url",
            "function",
            "name",
            "arguments",
            "parameters",
            "schema",
            "json_schema",
            "tool_calls",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
        let _ = decode(bytes);
    }

    /// Whatever stands in a field, the body is read or refused; what was read is read again after it was written.
    #[test]
    fn any_field_is_survived(
        name in prop::sample::select(vec![
            "messages", "model", "tools", "tool_choice", "response_format", "stop", "logit_bias", "stream_options", "n",
            "max_tokens", "temperature", "seed", "top_k", "modalities", "reasoning_effort", "n_predict", "other",
        ]),
        value in any_json(),
    ) {
        let more = json!({ name: value });
        if let Ok(request) = read(&more) {
            let written = serde_json::to_vec(&request).unwrap();
            prop_assert_eq!(decode(written).unwrap(), request);
        }
    }

    /// A text is valid base64 to the image exactly if it can be decoded, whatever follows its first bytes.
    #[test]
    fn only_base64_is_an_image(tail in "[A-Za-z0-9+/=-]{0,12}") {
        use base64::Engine as _;
        let text = format!("{PNG}{tail}");
        // Bits that are left over in the last digit are the decoder's affair; no decoder in use here minds them.
        let lenient = base64::engine::GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
        );
        prop_assert_eq!(Image::from_base64(text.clone()).is_ok(), lenient.decode(&text).is_ok());
    }

    #[test]
    fn a_request_survives_the_wire(
        model in any::<Option<String>>(),
        contents in prop::collection::vec(any::<String>(), 0..8),
        max_tokens in any::<Option<u32>>(),
        seed in any::<Option<u32>>(),
        stop in prop::collection::vec(".+", 0..64),
        ignore_eos in any::<bool>(),
        stream in any::<bool>(),
    ) {
        let request = ChatRequest {
            model,
            messages: contents.into_iter().map(Message::user).collect(),
            stream,
            options: Options { max_tokens, seed, stop, ignore_eos, ..Options::default() },
            ..ChatRequest::default()
        };

        prop_assert_eq!(&decode(serde_json::to_vec(&request).unwrap()).unwrap(), &request);
    }
}
