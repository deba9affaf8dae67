//! Cases of `../shared/cases/cases.json` that are about reading a request.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

use std::path::Path;

use ai_gateway_api::{
    chat::{self, ChatRequest, DecodeError, Message},
    ollama::{self, TextRequest},
};
use serde_json::{Value, json};

/// The requests of a case.
fn requests(id: &str) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases/cases.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let request = cases.into_iter().find(|case| case["id"] == id).unwrap()["request"].take();
    match request.as_array() {
        Some(requests) => requests.clone(),
        None => vec![request],
    }
}

/// As the surface reads it that the path names.
fn read(request: &Value) -> Result<ChatRequest, DecodeError> {
    let body = request["body"].to_string();
    match request["path"].as_str().unwrap() {
        "/api/chat" => match ollama::decode_chat(body.as_bytes())? {
            TextRequest::Ask(request) => Ok(*request),
            idle @ (TextRequest::Load(_) | TextRequest::Unload(_)) => panic!("{idle:?}"),
        },
        _ => chat::decode(body.as_bytes()),
    }
}

#[test]
#[ignore = "needs: shared"]
fn whole_numbers_may_be_written_as_floats_and_minus_one_is_no_limit() {
    let limits: Vec<_> = requests("whole-numbers-as-floats-and-minus-one")
        .iter()
        .map(|request| read(request).unwrap().options.max_tokens)
        .collect();

    assert_eq!(limits, [Some(100), None, Some(64)]);
}

#[test]
#[ignore = "needs: shared"]
fn what_sdks_send_back_is_left_out() {
    for request in requests("what-sdks-send-back") {
        let read = read(&request).unwrap();
        assert_eq!(read.messages.last(), Some(&Message::user("hi")));
    }
}

#[test]
#[ignore = "needs: shared"]
fn empty_texts_end_no_reply() {
    for request in requests("empty-stop") {
        assert_eq!(read(&request).unwrap().options.stop, ["END"]);
    }
}

#[test]
fn every_whole_number_may_be_written_as_a_float() {
    let fields =
        ["max_tokens", "max_completion_tokens", "n_predict", "top_k", "seed", "top_logprobs"];
    for field in fields {
        for written in ["7", "7.0", "7e0", "0.7e1"] {
            let body = format!(r#"{{"messages":[],"{field}":{written}}}"#);
            let read = chat::decode(body.as_bytes()).unwrap();
            let read = serde_json::to_value(&read.options).unwrap();
            let name = if field.starts_with("max_") || field == "n_predict" {
                "max_tokens"
            } else {
                field
            };
            assert_eq!(read[name], 7, "{body}");
        }
        let body = format!(r#"{{"messages":[],"{field}":7.5}}"#);
        assert!(chat::decode(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn a_list_of_empty_texts_is_as_if_it_were_not_named() {
    for stop in [json!(""), json!([""]), json!(["", ""]), json!([]), json!(null)] {
        let body = json!({ "messages": [], "stop": stop }).to_string();
        assert!(chat::decode(body.as_bytes()).unwrap().options.stop.is_empty());
    }
}

/// What a client keeps on a message, a part, a call or an image.
#[test]
fn notes_on_messages_parts_and_calls_are_left_out() {
    let call = json!({ "id": "c", "type": "function", "note": 1,
        "function": { "name": "f", "arguments": "{}", "parsed_arguments": {} } });
    let messages = json!([
        { "role": "user", "content": [{ "type": "text", "text": "hi", "note": {} }], "note": [1] },
        { "role": "assistant", "content": null, "tool_calls": [call], "audio": null, "parsed": {} },
    ]);
    let body = json!({ "messages": messages }).to_string();

    let read = chat::decode(body.as_bytes()).unwrap();

    assert_eq!(read.messages[0], Message::user("hi"));
    assert_eq!(read.messages[1].tool_calls[0].name, "f");
    let refused = json!({ "messages": messages, "note": 1 }).to_string();
    assert!(chat::decode(refused.as_bytes()).is_err(), "of the request itself none is left out");
}
