//! A reply ends early when somebody has waited too long for its slot.

use super::*;

/// A house with one slot, which a reply holds for a second if somebody waits.
fn gateway_that_preempts() -> TestGateway {
    gateway_without_fallback(|config| {
        config.line.slots = NonZeroU16::MIN;
        config.line.yield_seconds = NonZeroU32::MIN;
    })
}

/// The text so far stays, and the end of the reply has the reason in the format of each API.
#[tokio::test]
async fn a_long_reply_ends_with_its_text_and_a_notice_once_somebody_has_waited() {
    const NOTICE: &str = "others waited for the model";
    let gateway = gateway_that_preempts();
    let text = gateway.yielded("/v1/chat/completions", body("a1", true)).await;
    let events: Vec<_> = text.split("\n\n").filter(|event| !event.is_empty()).collect();
    let [.., said, end, "data: [DONE]"] = events[..] else { panic!("{text}") };
    assert!(said.contains("\"content\":\"Hello\"") && !said.contains(NOTICE), "{text}");
    assert!(end.contains("\"finish_reason\":\"length\"") && end.contains(NOTICE), "{text}");
    assert_eq!(text.matches("maru_notice").count(), 1, "{text}");

    let text = gateway.yielded("/v1/chat/completions", body("a1", false)).await;
    let whole: Value = serde_json::from_str(&text).unwrap();
    let choice = &whole["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&"Hello".into(), &"length".into())
    );
    assert!(whole["maru_notice"].as_str().unwrap().contains(NOTICE), "{text}");

    let text = gateway.yielded("/api/chat", body("a1", true)).await;
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["done"], &last["done_reason"]), (&true.into(), &"length".into()), "{text}");
    assert!(last["maru_notice"].as_str().unwrap().contains(NOTICE), "{text}");
    assert_eq!(text.matches(NOTICE).count(), 1, "{text}");
    let text = gateway.yielded("/api/chat", body("a1", false)).await;
    let whole: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&whole["message"]["content"], &whole["done_reason"]),
        (&"Hello".into(), &"length".into())
    );
    assert!(whole["maru_notice"].is_string(), "{text}");
}

/// The reply can be continued, because its text is in the session.
#[tokio::test]
async fn a_sealed_reply_that_yields_says_so_under_the_seal_and_is_kept() {
    let gateway = gateway_that_preempts();
    gateway.bind(&ada()).await;
    gateway.one.script(Script::Endless);
    let (ada, question) = (ada(), chat(Some("main"), "a1"));
    let other = async {
        gateway.one.until_open(1).await;
        gateway.one.script(Script::Hello);
        ask(&gateway, &bob(), "b1").await.unwrap()
    };
    let (events, (status, _)) = tokio::join!(gateway.sealed(&ada, &question), other);
    assert_eq!((status, text_of(&events).as_str()), (200, "Hello"));
    assert_eq!(events.last(), Some(&Event::Finish(FinishReason::Yielded)), "{events:?}");
    assert_eq!(gateway.history(&ada, "main").await, ["a1", "Hello"]);
}

/// No text was sent, so nothing is lost, and a client that retries after a 503 is served.
#[tokio::test]
async fn preempted_requests_without_a_token_are_told_to_retry() {
    let gateway = gateway_that_preempts();
    for (path, body) in [
        ("/v1/chat/completions", body("a1", false)),
        ("/api/chat", body("a1", false)),
        ("/v1/embeddings", json!({"model": "llamacpp/smollm2", "input": "a1"})),
    ] {
        gateway.one.script(Script::Silent);
        let adas = tokio::spawn(gateway.sending(&ada(), path, body));
        gateway.one.until_open(1).await;
        gateway.one.script(Script::Hello);
        assert_eq!(ask(&gateway, &bob(), "b1").await.unwrap().0, 200);
        let adas = adas.await.unwrap();
        assert_eq!(adas.status, 503, "{path}");
        assert!(adas.headers.contains_key("retry-after"), "{path}");
        assert!(adas.text().await.contains("thers waited for the model"), "{path}");
    }
}

/// Its client does not read on: the slot is another's all the same.
#[tokio::test]
async fn a_reply_that_is_not_read_yields_too() {
    let gateway = gateway_that_preempts();
    gateway.one.script(Script::Endless);
    let unread = first_token(&gateway, &ada(), "a1").await.unwrap();
    gateway.one.script(Script::Hello);
    assert_eq!(ask(&gateway, &bob(), "b1").await.unwrap().0, 200);
    assert!(unread.text().await.contains("maru_notice"));
}

/// Nobody's reply has to end for somebody whom a fallback can answer.
#[tokio::test]
async fn a_free_fallback_is_asked_before_a_reply_has_to_end() {
    let gateway = gateway_with(|config| {
        config.line.slots = NonZeroU16::MIN;
        config.line.yield_seconds = NonZeroU32::MIN;
    });
    gateway.one.script(Script::Held);
    let adas = ask(&gateway, &ada(), "a1");
    gateway.one.until_open(1).await;
    let (status, text) = ask(&gateway, &bob(), "b1").await.unwrap();
    assert!(status == 200 && text.contains("spare/smollm2"), "{status} {text}");
    gateway.one.release(1);
    let (_, text) = adas.await.unwrap();
    assert!(!text.contains("maru_notice") && text.contains("Hello"), "{text}");
}
