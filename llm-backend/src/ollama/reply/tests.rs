use proptest::prelude::*;

use super::*;

/// A reply as Ollama streams it: thoughts, Korean, a tool call, and the counts at its end.
const WHOLE: &str = concat!(
    r#"{"model":"m","created_at":"2026-11-22T00:00:00Z","message":{"role":"assistant","content":"","thinking":"음"},"done":false}"#,
    "\n",
    r#"{"model":"m","message":{"role":"assistant","content":"안녕하세요 🏠"},"done":false}"#,
    "\n\n",
    r#"{"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_a","function":{"index":0,"name":"get_weather","arguments":{"city":"서울","b":1}}}]},"done":false}"#,
    "\r\n",
    r#"{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":9,"prompt_eval_count":7,"eval_count":2}"#,
    "\n",
);

/// Decodes a body that arrives at once.
fn decode(body: &[u8]) -> Result<Vec<Delta>, Error> {
    super::decode([body])
}

fn expected() -> Vec<Delta> {
    let call = ToolCallDelta {
        index: 0,
        id: Some("call_a".to_owned()),
        name: Some("get_weather".to_owned()),
        arguments: r#"{"city":"서울","b":1}"#.to_owned(),
    };
    vec![
        Delta { thinking: "음".to_owned(), ..Delta::default() },
        Delta::text("안녕하세요 🏠"),
        Delta { tool_calls: vec![call], ..Delta::default() },
        Delta {
            finish_reason: Some(FinishReason::ToolCalls),
            usage: Some(Usage { prompt_tokens: 7, completion_tokens: 2 }),
            ..Delta::default()
        },
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
    assert_eq!(decode(WHOLE.trim_end().as_bytes()).unwrap(), expected(), "no last line feed");
}

#[test]
fn a_reply_is_cut_wherever_it_ends_before_its_end() {
    let whole = WHOLE.trim_end().as_bytes();
    let first = WHOLE.find('\n').unwrap();
    for end in 0..whole.len() {
        let (_, began) = cut(decode(&whole[..end]));
        assert_eq!(began, end >= first, "at {end}");
    }
}

#[test]
fn an_error_line_is_a_cut_with_the_backends_words() {
    let begin = WHOLE.lines().next().unwrap();
    let body = format!("{begin}\n{{\"error\":\"an error was encountered\\nwhile running\"}}\n");
    let (reason, began) = cut(decode(body.as_bytes()));
    assert!(reason.ends_with("an error was encountered while running"), "{reason}");
    assert!(began);
    let error = decode(b"{\"error\":\"no\"}\n").unwrap_err();
    assert!(error.may_try_another(), "{error}");
}

#[test]
fn an_invalid_line_cuts_the_reply_and_is_not_repeated() {
    for body in ["my secret\n", "[\"secret\"]\n", "{\"done\":\"secret\"}\n", "\u{feff}{}\n"] {
        let error = decode(body.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}

#[test]
fn nothing_after_done_counts() {
    let body = format!("{WHOLE}{{\"error\":\"late\"}}\nnonsense\n");
    assert_eq!(decode(body.as_bytes()).unwrap(), expected());
}

#[test]
fn the_finish_reason_is_reported() {
    for (reason, expected) in [
        (r#","done_reason":"stop""#, FinishReason::Stop),
        (r#","done_reason":"length""#, FinishReason::Length),
        (r#","done_reason":"unload""#, FinishReason::Other),
        ("", FinishReason::Stop),
    ] {
        let deltas = decode(format!("{{\"done\":true{reason}}}").as_bytes()).unwrap();
        assert_eq!(deltas[0].finish_reason, Some(expected), "{reason}");
        assert_eq!(deltas[0].usage, None, "nothing was counted");
    }
}

#[test]
fn calls_without_an_id_get_one_each_and_there_are_so_many() {
    let call = r#"{"function":{"name":"f"}}"#;
    let line =
        |count| format!("{{\"message\":{{\"tool_calls\":[{}]}}}}\n", vec![call; count].join(","));
    let body = format!("{}{}{{\"done\":true}}", line(1), line(2));
    let deltas = decode(body.as_bytes()).unwrap();
    let calls: Vec<_> = deltas.iter().flat_map(|delta| &delta.tool_calls).collect();
    assert_eq!(calls.iter().map(|call| call.index).collect::<Vec<_>>(), [0, 1, 2]);
    let ids: std::collections::BTreeSet<_> = calls.iter().map(|call| &call.id).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(calls[0].arguments, "{}");
    assert!(cut(decode(line(129).as_bytes())).0.contains("too many tool calls"));
}

/// A call whose id was damaged gets one of its own each time.
fn nameless(mut deltas: Vec<Delta>) -> Vec<Delta> {
    deltas.iter_mut().flat_map(|delta| &mut delta.tool_calls).for_each(|call| call.id = None);
    deltas
}

/// As a server sends them that counts text in UTF-16.
#[test]
fn halves_of_a_character_are_joined_or_replaced() {
    let body = [
        r#"{"message":{"content":"a \ud83c"}}"#,
        r#"{"message":{"thinking":"\ud83d"}}"#,
        r#"{"message":{"content":"\udfe0 b \ud83d"}}"#,
        r#"{"message":{"thinking":"\ude00"}}"#,
        r#"{"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":{"\ude00":"\ud83d"}}}]}}"#,
        r#"{"done":true,"done_reason":"stop"}"#,
    ];

    let deltas = decode(body.join("\n").as_bytes()).unwrap();

    let told = |of: fn(&Delta) -> &str| deltas.iter().map(of).collect::<String>();
    assert_eq!(told(|delta| &delta.content), "a \u{1f3e0} b \u{fffd}");
    assert_eq!(told(|delta| &delta.thinking), "\u{1f600}");
    let call = deltas.iter().flat_map(|delta| &delta.tool_calls).next().unwrap();
    assert_eq!(call.arguments, r#"{"\ufffd":"\ufffd"}"#);
    let error = decode(br#"{"error":"no \ud83d"}"#).unwrap_err();
    assert!(error.to_string().contains("no \u{fffd}"), "{error}");
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
    fn splits_of_a_damaged_reply_do_not_matter(at in 0..=WHOLE.len(), with in any::<[u8; 2]>(), size in 1..64_usize) {
        let body = [&WHOLE.as_bytes()[..at], &with, &WHOLE.as_bytes()[at..]].concat();
        match (decode(&body), super::decode(body.chunks(size))) {
            (Ok(whole), Ok(split)) => prop_assert_eq!(nameless(whole), nameless(split)),
            (whole, split) => prop_assert_eq!(cut(whole), cut(split)),
        }
    }

    /// Whatever arrives, decoding ends in deltas or in a cut, without a panic; lists are read or not.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..512), count in any::<usize>()) {
        if let Err(error) = decode(&bytes) {
            prop_assert!(matches!(error, Error::Cut { .. }), "not a cut");
        }
        let _ = (crate::decode_ollama_tags(&bytes), crate::decode_ollama_show(&bytes));
        prop_assert_eq!(crate::decode_ollama_embeddings(&bytes, count), None);
    }
}
