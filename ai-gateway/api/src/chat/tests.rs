//! Tests of the chat vocabulary.

use proptest::prelude::*;

use super::*;

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

#[test]
fn what_is_not_text_is_refused() {
    for body in [
        r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#,
        r#"{"messages":[{"role":"oracle","content":"x"}]}"#,
        r#"{"model":"m"}"#,
        "[]",
        "",
    ] {
        assert!(decode(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn debug_shows_nothing_that_was_written() {
    let request = ChatRequest { messages: vec![Message::user("canary")], ..ChatRequest::default() };

    assert!(!format!("{request:?}{:?}", Delta::text("canary")).contains("canary"));
}

#[test]
fn an_unknown_finish_reason_is_no_error() {
    let reason: FinishReason = serde_json::from_str(r#""content_filter""#).unwrap();

    assert_eq!(reason, FinishReason::Other);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>()) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_request_survives_the_wire(
        model in any::<Option<String>>(),
        contents in prop::collection::vec(any::<String>(), 0..8),
        max_tokens in any::<Option<u32>>(),
        seed in any::<Option<u32>>(),
        stop in any::<Vec<String>>(),
        ignore_eos in any::<bool>(),
        stream in any::<bool>(),
    ) {
        let request = ChatRequest {
            model,
            messages: contents.into_iter().map(Message::user).collect(),
            stream,
            stream_options: None,
            options: Options { max_tokens, seed, stop, ignore_eos, ..Options::default() },
        };

        prop_assert_eq!(&decode(&serde_json::to_vec(&request).unwrap()).unwrap(), &request);
    }
}
