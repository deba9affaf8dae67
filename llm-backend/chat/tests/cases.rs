//! Cases of `../shared/cases/cases.json` that are about reading a request.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

use std::path::Path;

use chat_vocabulary::{
    ChatRequest, DecodeError, EmbeddingRequest, Message, decode, decode_completion,
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
    let body = request["raw"].as_str().map_or_else(|| request["body"].to_string(), str::to_owned);
    match request["path"].as_str().unwrap() {
        "/api/chat" => match ollama::decode_chat(body)? {
            TextRequest::Ask(request) => Ok(*request),
            idle @ (TextRequest::Load(_) | TextRequest::Unload(_)) => panic!("{idle:?}"),
        },
        _ => decode(body),
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
fn fields_that_sdks_send_back_are_ignored() {
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
#[ignore = "needs: shared"]
fn half_an_emoji_is_the_replacement_character() {
    for request in requests("lone-surrogate") {
        let read = read(&request).unwrap();
        assert_eq!(read.messages, [Message::user("cut \u{fffd}\u{2026}")]);
    }
}

/// Half a character, as an escape.
const HALF: &str = r"\ud83d";

/// Half a character in each text: `json` has `~` where it stands.
fn halved(json: &str) -> String {
    json.replace('~', HALF)
}

#[test]
fn half_a_character_in_any_text_of_a_chat_is_replaced() {
    let body = halved(
        r#"{"model":"m~","stop":["~"],"user":"~","tools":[{"type":"function","function":
            {"name":"f~","description":"~","parameters":{"~":{"enum":["~"]}}}}],"messages":[
            {"role":"system","content":"~","note~":"~"},
            {"role":"user","name":"~","content":[{"type":"text","text":"~"}]},
            {"role":"assistant","reasoning_content":"~","tool_calls":[{"id":"~","type":"function",
                "function":{"name":"f~","arguments":"{\"a~\":\"~\",\"b\":\"\~ \\\\ud83d\"}"}}]},
            {"role":"tool","tool_call_id":"~","content":"~"}]}"#,
    );

    let read = decode(body).unwrap();

    let sent = serde_json::to_string(&read).unwrap();
    assert!(!sent.to_lowercase().replace(r"\\\\ud83d", "").contains(r"\ud8"), "{sent}");
    assert_eq!(read.model.as_deref(), Some("m\u{fffd}"));
    assert_eq!(read.options.stop, ["\u{fffd}"]);
    assert_eq!(read.messages[0], Message::system("\u{fffd}"));
    let call = &read.messages[2].tool_calls[0];
    // What was escaped once is read as this character; what the arguments escape themselves is read by the model
    // server.
    assert_eq!(call.arguments, "{\"a\u{fffd}\":\"\u{fffd}\",\"b\":\"\\ufffd \\\\ud83d\"}");
    assert_eq!(read.messages[3].tool_call_id, call.id.clone().into());
}

#[test]
fn half_a_character_is_replaced_on_every_surface() {
    let prompt = || halved(r#"{"model":"m","prompt":"~"}"#);
    let input = || halved(r#"{"model":"m","input":["~"]}"#);
    let read = decode_completion(prompt()).unwrap();
    assert_eq!(read.messages, [Message::user("\u{fffd}")]);
    assert_eq!(EmbeddingRequest::decode(input()).unwrap().input, ["\u{fffd}"]);

    let call =
        r#"{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"~":"~"}}}]}"#;
    let chat = halved(&format!(r#"{{"model":"m","messages":[{call}]}}"#));
    let TextRequest::Ask(read) = ollama::decode_chat(chat).unwrap() else { panic!("idle") };
    assert_eq!(read.messages[0].tool_calls[0].arguments, r#"{"\ufffd":"\ufffd"}"#);
    let TextRequest::Ask(read) = ollama::decode_generate(prompt()).unwrap() else { panic!("idle") };
    assert_eq!(read.messages, [Message::user("\u{fffd}")]);
    assert_eq!(ollama::decode_embed(input()).unwrap().input, ["\u{fffd}"]);
    assert_eq!(ollama::decode_embeddings(prompt()).unwrap().input, ["\u{fffd}"]);
    assert_eq!(ollama::decode_show(halved(r#"{"model":"~"}"#)).unwrap(), "\u{fffd}");
}

#[test]
fn every_whole_number_may_be_written_as_a_float() {
    let fields =
        ["max_tokens", "max_completion_tokens", "n_predict", "top_k", "seed", "top_logprobs"];
    for field in fields {
        for written in ["7", "7.0", "7e0", "0.7e1"] {
            let body = format!(r#"{{"messages":[],"{field}":{written}}}"#);
            let read = decode(body.as_bytes()).unwrap();
            let read = serde_json::to_value(&read.options).unwrap();
            let name = if field.starts_with("max_") || field == "n_predict" {
                "max_tokens"
            } else {
                field
            };
            assert_eq!(read[name], 7, "{body}");
        }
        let body = format!(r#"{{"messages":[],"{field}":7.5}}"#);
        assert!(decode(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn a_seed_of_minus_one_is_a_random_one() {
    let seed = |seed: i64| decode(json!({ "messages": [], "seed": seed }).to_string());
    assert_eq!(seed(-1).unwrap().options.seed, None);
    let error = seed(-2).unwrap_err().to_string();
    assert!(error.starts_with("`seed` ") && error.ends_with("-1 for a random one"), "{error}");
}

#[test]
fn a_list_of_empty_texts_is_as_if_it_were_not_named() {
    for stop in [json!(""), json!([""]), json!(["", ""]), json!([]), json!(null)] {
        let body = json!({ "messages": [], "stop": stop }).to_string();
        assert!(decode(body.as_bytes()).unwrap().options.stop.is_empty());
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

    let read = decode(body.as_bytes()).unwrap();

    assert_eq!(read.messages[0], Message::user("hi"));
    assert_eq!(read.messages[1].tool_calls[0].name, "f");
    let refused = json!({ "messages": messages, "note": 1 }).to_string();
    assert!(decode(refused.as_bytes()).is_err(), "of the request itself none is left out");
}
