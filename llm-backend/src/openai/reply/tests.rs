use chat_vocabulary::{FinishReason, ToolCallDelta, Usage};
use proptest::prelude::*;

use super::*;

/// A reply as llama-server streams it, with a ping in between, and Korean.
const WHOLE: &str = concat!(
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":null}]}\n\n",
    ": ping\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"안녕\"},\"finish_reason\":null}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"하세요 🏠\"},\"finish_reason\":null}]}\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n",
    "data: [DONE]\n\n",
);

/// Decodes a body that arrives at once.
fn decode(body: &[u8]) -> Result<Vec<Delta>, Error> {
    super::decode([body])
}

fn expected() -> Vec<Delta> {
    vec![
        Delta::text("안녕"),
        Delta::text("하세요 🏠"),
        Delta { finish_reason: Some(FinishReason::Stop), ..Delta::default() },
        Delta { usage: Some(Usage { prompt_tokens: 3, completion_tokens: 2 }), ..Delta::default() },
    ]
}

fn cut(result: Result<Vec<Delta>, Error>) -> (String, bool) {
    match result {
        Err(Error::Cut { reason, began, .. }) => (reason, began),
        other => panic!("not cut: {other:?}"),
    }
}

#[test]
fn a_whole_reply_is_decoded() {
    assert_eq!(decode(WHOLE.as_bytes()).unwrap(), expected());
}

#[test]
fn a_reply_is_cut_wherever_it_ends_before_its_end() {
    let whole = WHOLE.as_bytes();
    // Without its last line feed or two the final event is not complete either.
    for end in 0..whole.len() {
        let (_, began) = cut(decode(&whole[..end]));
        let first = WHOLE.find("녕\"}").unwrap();
        assert_eq!(began, end > WHOLE[first..].find("\n\n").unwrap() + first + 1, "at {end}");
    }
}

#[test]
fn done_without_a_finish_reason_is_a_cut() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n";
    assert_eq!(cut(decode(body.as_bytes())), ("it ended without a finish reason".to_owned(), true));
}

#[test]
fn an_error_in_the_middle_is_a_cut_with_the_backends_words() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"error\":{\"code\":500,\"message\":\"out of memory\"}}\n\n";
    let (reason, began) = cut(decode(body.as_bytes()));
    assert!(reason.ends_with("out of memory"), "{reason}");
    assert!(began);
}

#[test]
fn an_error_before_any_text_lets_another_backend_answer() {
    let error = decode(b"data: {\"error\":\"no\"}\n\n").unwrap_err();
    assert!(error.may_try_another(), "{error}");
}

#[test]
fn an_invalid_chunk_cuts_the_reply_and_is_not_repeated() {
    let error = decode(b"data: my secret\n\n").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn nothing_after_done_counts() {
    let body = format!("{WHOLE}data: {{\"error\":\"late\"}}\n\n");
    assert_eq!(decode(body.as_bytes()).unwrap(), expected());
}

#[test]
fn invalid_utf8_does_not_undo_earlier_events() {
    let after = [WHOLE.as_bytes(), b"\xff\n"].concat();
    assert_eq!(decode(&after).unwrap(), expected());
    let inside = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\xff\n";
    let (at_once, byte_by_byte) = (decode(inside), super::decode(inside.chunks(1)));
    assert_eq!(cut(at_once), ("it is not a valid event stream".to_owned(), true));
    assert_eq!(cut(byte_by_byte), ("it is not a valid event stream".to_owned(), true));
}

#[test]
fn unknown_finish_reasons_and_other_choices_do_not_disturb() {
    let body = concat!(
        "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"}}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":null,\"finish_reason\":\"recitation\"}],\"usage\":null}\n\n",
        "data: [DONE]\n\n",
    );
    let only = Delta { finish_reason: Some(FinishReason::Other), ..Delta::default() };
    assert_eq!(decode(body.as_bytes()).unwrap(), [only]);
}

/// As llama-server and vLLM stream it: thoughts, then a call in pieces, then a second one.
const CALLS: &str = concat!(
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"reasoning_content\":\"hm\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"reasoning\":\"!\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}},{\"index\":1,\"id\":\"c2\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: [DONE]\n\n",
);

#[test]
fn thoughts_and_tool_calls_are_decoded() {
    let piece = |index, id: Option<&str>, name: Option<&str>, arguments: &str| ToolCallDelta {
        index,
        id: id.map(str::to_owned),
        name: name.map(str::to_owned),
        arguments: arguments.to_owned(),
    };
    let calls = |tool_calls| Delta { tool_calls, ..Delta::default() };
    let expected = [
        Delta { thinking: "hm".to_owned(), ..Delta::default() },
        Delta { thinking: "!".to_owned(), ..Delta::default() },
        calls(vec![piece(0, Some("c1"), Some("f"), "")]),
        calls(vec![piece(0, None, None, "{\"a\":")]),
        calls(vec![piece(0, None, None, "1}"), piece(1, Some("c2"), Some("g"), "{}")]),
        Delta { finish_reason: Some(FinishReason::ToolCalls), ..Delta::default() },
    ];
    assert_eq!(decode(CALLS.as_bytes()).unwrap(), expected);

    let whole = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}},{\"function\":{\"name\":\"g\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
    let numbers: Vec<_> =
        decode(whole.as_bytes()).unwrap()[0].tool_calls.iter().map(|call| call.index).collect();
    assert_eq!(numbers, [0, 1], "servers that send whole calls number none");
}

#[test]
#[ignore = "needs: shared"]
fn two_calls_with_one_index_are_two() {
    let file =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases/cases.json");
    let cases: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let backend =
        &cases.iter().find(|case| case["id"] == "parallel-calls-one-index").unwrap()["backend"];
    let event = |delta: &serde_json::Value, finish: &serde_json::Value| {
        let choice = serde_json::json!({ "delta": delta, "finish_reason": finish });
        format!("data: {}\n\n", serde_json::json!({ "choices": [choice] }))
    };
    let mut body: String = backend["deltas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|delta| event(delta, &serde_json::Value::Null))
        .collect();
    body.push_str(&event(&serde_json::json!({}), &backend["finish_reason"]));
    body.push_str("data: [DONE]\n\n");

    let deltas = decode(body.as_bytes()).unwrap();
    let calls: Vec<_> = deltas.iter().flat_map(|delta| &delta.tool_calls).collect();
    let told = |index, id: &str, arguments: &str| ToolCallDelta {
        index,
        id: Some(id.to_owned()),
        name: Some("f".to_owned()),
        arguments: arguments.to_owned(),
    };
    let expected = [told(0, "call_a", r#"{"a":"1"}"#), told(1, "call_b", r#"{"a":"2"}"#)];
    assert_eq!(calls, expected.iter().collect::<Vec<_>>());
}

/// As a server sends them that counts text in UTF-16.
#[test]
fn halves_of_a_character_are_joined_or_replaced() {
    let event = |delta: &str| format!("data: {{\"choices\":[{{\"delta\":{{{delta}}}}}]}}\n\n");
    let events = [
        event(r#""content":"a \ud83c""#),
        event(r#""reasoning_content":"\ud83d""#),
        event(r#""content":"\udfe0 b \ud83d""#),
        event(r#""reasoning_content":"\ude00""#),
        event(r#""content":"c\ude00 \ud83d""#),
        event(
            r#""tool_calls":[{"index":0,"id":"c\ud83d","function":{"name":"f","arguments":"\ude00"}}]"#,
        ),
    ];
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

    let deltas = decode((events.concat() + end).as_bytes()).unwrap();

    let told = |of: fn(&Delta) -> &str| deltas.iter().map(of).collect::<String>();
    assert_eq!(told(|delta| &delta.content), "a \u{1f3e0} b \u{fffd}c\u{fffd} \u{fffd}");
    assert_eq!(told(|delta| &delta.thinking), "\u{1f600}");
    let call = deltas.iter().flat_map(|delta| &delta.tool_calls).next().unwrap();
    assert_eq!((call.id.as_deref(), call.arguments.as_str()), (Some("c\u{fffd}"), "\u{fffd}"));
}

/// Those of a call, too; a half that is alone when the reply ends is told with its end.
#[test]
fn halves_in_arguments_are_joined_or_replaced() {
    let event = |piece: &str| {
        let delta = format!(r#"{{"tool_calls":[{{"index":0,{piece}}}]}}"#);
        format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n")
    };
    let events = [
        event(r#""id":"c","function":{"name":"f","arguments":"{\"a\":\"\ud83c"}"#),
        event(r#""function":{"arguments":"\udfe0 \\ud83d"}"#),
        event(r#""function":{"arguments":"\\ude00\ud83d"}"#),
    ];
    let end =
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";

    let deltas = decode((events.concat() + end).as_bytes()).unwrap();

    let calls = deltas.iter().flat_map(|delta| &delta.tool_calls);
    let arguments: String = calls.map(|call| call.arguments.as_str()).collect();
    assert_eq!(arguments, "{\"a\":\"\u{1f3e0} \\ud83d\\ude00\u{fffd}");
    assert_eq!(deltas.last().unwrap().finish_reason, Some(FinishReason::ToolCalls));
}

#[test]
fn a_servers_words_are_kept_though_they_hold_half_a_character() {
    let body = br#"{"error":{"message":"no room for \ud83d"},"\ude00":1}"#;
    assert_eq!(crate::decode_error(body).as_deref(), Some("no room for \u{fffd}"));
    let (reason, _) = cut(decode(b"data: {\"error\":\"no \\ud83d\"}\n\n"));
    assert_eq!(reason, "the backend reported an error: no \u{fffd}");
}

#[test]
fn likelihoods_are_passed_on_as_they_were_written() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"logprobs\":{\"content\":[{\"token\":\"a\", \"logprob\":-0.5}]},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let deltas = decode(body.as_bytes()).unwrap();
    assert_eq!(deltas[0].logprobs[0].as_str(), "{\"token\":\"a\", \"logprob\":-0.5}");
}

#[test]
fn a_reply_of_endless_calls_is_cut() {
    let calls: Vec<_> = (0..129).map(|index| serde_json::json!({ "index": index })).collect();
    let event = serde_json::json!({ "choices": [{ "delta": { "tool_calls": calls } }] });
    let body = format!("data: {event}\n\n");
    assert_eq!(cut(decode(body.as_bytes())), ("it has too many tool calls".to_owned(), false));
}

proptest! {
    /// However the network splits the bytes, also inside a character, the same deltas come.
    #[test]
    fn splits_do_not_matter(cuts in prop::collection::vec(0..WHOLE.len(), 0..40)) {
        let mut at = cuts;
        at.extend([0, WHOLE.len()]);
        at.sort_unstable();
        let pieces = at.windows(2).map(|pair| &WHOLE.as_bytes()[pair[0]..pair[1]]);
        prop_assert_eq!(super::decode(pieces).unwrap(), expected());
    }

    /// Likewise for a damaged reply: as many deltas, or a cut with the same words.
    #[test]
    fn splits_of_a_damaged_reply_do_not_matter(
        at in 0..=WHOLE.len(),
        with in any::<[u8; 2]>(),
        size in 1..64_usize,
    ) {
        let body = [&WHOLE.as_bytes()[..at], &with, &WHOLE.as_bytes()[at..]].concat();
        match (decode(&body), super::decode(body.chunks(size))) {
            (Ok(whole), Ok(split)) => prop_assert_eq!(whole, split),
            (whole, split) => prop_assert_eq!(cut(whole), cut(split)),
        }
    }

    /// Lists and errors are read or not, and what is passed on of an error fits on one line.
    #[test]
    fn any_answer_is_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..128),
        message in any::<String>(),
    ) {
        let _ = (crate::decode_models(&bytes), crate::decode_slots(&bytes), crate::decode_error(&bytes));
        let body = serde_json::json!({ "error": { "message": message } }).to_string();
        let said = crate::decode_error(body.as_bytes()).unwrap();
        prop_assert!(said.chars().count() <= 300 && !said.contains(char::is_control));
    }

    /// Whatever arrives, decoding ends in deltas or in a cut, without a panic.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        if let Err(error) = decode(&bytes) {
            prop_assert!(matches!(error, Error::Cut { .. }), "not a cut");
        }
    }

    /// Likewise for bytes that look like events, and one flipped byte in a real reply.
    #[test]
    fn damaged_replies_are_survived(at in 0..WHOLE.len(), with in any::<u8>()) {
        let mut body = WHOLE.as_bytes().to_vec();
        body[at] = with;
        if let Err(error) = decode(&body) {
            prop_assert!(matches!(error, Error::Cut { .. }), "not a cut");
        }
    }
}
