use serde_json::{Value, json};

use super::*;

const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";

fn read(more: &Value) -> ChatRequest {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    chat_vocabulary::decode(body.to_string().as_bytes()).unwrap()
}

fn sent(more: &Value, num_ctx: Option<u32>) -> Value {
    serde_json::to_value(body(&read(more), num_ctx).map_err(|_| "refused").unwrap()).unwrap()
}

fn refusal(more: &Value) -> String {
    body(&read(more), None).map(|_| ()).unwrap_err()
}

#[test]
fn a_plain_question_says_no_more_than_it_must() {
    let expected = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true,
        "truncate": false, "shift": false, "options": {}});
    assert_eq!(sent(&json!({}), None), expected);
}

#[test]
fn options_go_by_ollamas_names_and_the_context_is_the_settings_own() {
    let options = json!({"max_tokens": 9, "temperature": 0.5, "top_p": 0.25, "top_k": 4, "min_p": 0.125, "seed": 3,
        "stop": ["x"], "frequency_penalty": 1.5, "presence_penalty": 0.75, "repeat_penalty": 1.25});
    let body = sent(&options, Some(8192));
    let expected = json!({"num_ctx": 8192, "num_predict": 9, "temperature": 0.5, "top_p": 0.25, "top_k": 4,
        "min_p": 0.125, "seed": 3, "stop": ["x"], "frequency_penalty": 1.5, "presence_penalty": 0.75,
        "repeat_penalty": 1.25});
    assert_eq!(body["options"], expected);
    let body = sent(&json!({"logprobs": true, "top_logprobs": 2}), None);
    assert_eq!((&body["logprobs"], &body["top_logprobs"]), (&json!(true), &json!(2)));
}

#[test]
fn tools_calls_and_results_are_ollamas() {
    let tool =
        json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"b\":1,\"a\":\"서울\"}"}});
    let bare =
        json!({"id": "call_2", "type": "function", "function": {"name": "g", "arguments": ""}});
    let body = sent(
        &json!({"tools": [tool], "tool_choice": "auto", "parallel_tool_calls": false, "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [call, bare]},
            {"role": "tool", "tool_call_id": "call_2", "content": "2"},
            {"role": "tool", "tool_call_id": "call_1", "name": "own", "content": "1"},
            {"role": "tool", "tool_call_id": "call_9", "content": "?"},
        ]}),
        None,
    );
    assert_eq!(body["tools"], json!([tool]));
    let calls = json!([{"id": "call_1", "function": {"name": "f", "arguments": {"b": 1, "a": "서울"}}},
        {"id": "call_2", "function": {"name": "g", "arguments": {}}}]);
    assert_eq!(
        body["messages"][1],
        json!({"role": "assistant", "content": "", "thinking": "hm", "tool_calls": calls})
    );
    let result = |at: usize| body["messages"][at]["tool_name"].clone();
    assert_eq!([result(2), result(3), result(4)], [json!("g"), json!("own"), Value::Null]);
    assert_eq!(body["messages"][2]["tool_call_id"], "call_2");
    assert!(sent(&json!({"tools": [tool], "tool_choice": "none"}), None).get("tools").is_none());
}

#[test]
fn images_are_bare_base64_beside_the_text() {
    let url = format!("data:image/png;base64,{PNG}");
    let parts = json!([{"type": "text", "text": "what "}, {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "is it?"}]);
    let body = sent(&json!({"messages": [{"role": "user", "content": parts}]}), None);
    assert_eq!(
        body["messages"],
        json!([{"role": "user", "content": "what is it?", "images": [PNG]}])
    );
}

#[test]
fn format_and_thinking_are_translated() {
    let format = |format: Value| sent(&json!({"response_format": format}), None)["format"].clone();
    assert_eq!(format(json!({"type": "text"})), Value::Null);
    assert_eq!(format(json!({"type": "json_object"})), "json");
    let schema = json!({"type": "object", "properties": {"z": {}, "a": {}}});
    let named = json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema}});
    assert_eq!(format(named), schema);
    let think = |effort: &str| sent(&json!({"reasoning_effort": effort}), None)["think"].clone();
    let words = ["none", "minimal", "low", "medium", "high", "xhigh"].map(think);
    let expected =
        [json!(false), json!("low"), json!("low"), json!("medium"), json!("high"), json!("max")];
    assert_eq!(words, expected);
}

#[test]
fn features_that_ollama_lacks_are_refused_by_name() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    for (more, name) in [
        (json!({"tools": tools, "tool_choice": "required"}), "tool_choice"),
        (
            json!({"tools": tools, "tool_choice": {"type": "function", "function": {"name": "f"}}}),
            "tool_choice",
        ),
        (json!({"logit_bias": {"5": 1}}), "logit_bias"),
        (json!({"ignore_eos": true}), "ignore_eos"),
    ] {
        let refusal = refusal(&more);
        assert!(refusal.starts_with(&format!("m does not support {name}")), "{refusal}");
    }
    for arguments in ["[]", "no JSON", "7"] {
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}});
        let messages = json!([{"role": "assistant", "content": "", "tool_calls": [call]}]);
        assert!(refusal(&json!({"messages": messages})).contains("must be a JSON object"));
    }
}
