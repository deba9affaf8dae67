//! Limits of the queue, and the fallbacks of a full queue.

use testkit::eventually;

use super::*;

#[tokio::test]
async fn a_full_line_is_429_for_one_person_and_503_for_all_with_retry_after() {
    let gateway = gateway_without_fallback(|config| {
        config.line.waiting_per_person = 1;
        config.line.waiting = 2;
    });
    gateway.one.script(Script::Held);
    let mut asked = vec![ask(&gateway, &ada(), "a1"), ask(&gateway, &member(44), "d0")];
    gateway.one.until_asked(2).await;
    asked.push(ask(&gateway, &ada(), "a3"));
    gateway.until_waiting(1).await;

    let refused = gateway.post(&ada(), "/v1/chat/completions", &body("a4", true)).await;
    assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
    refused.openai_error(429, "rate_limit_exceeded").await;
    let refused = gateway.post(&ada(), "/api/chat", &body("a4", false)).await;
    assert_eq!(refused.status, 429);
    assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);

    asked.push(ask(&gateway, &bob(), "b1"));
    gateway.until_waiting(2).await;
    let third = member(33);
    for path in ["/v1/chat/completions", "/api/chat", "/v1/embeddings", "/api/embed"] {
        let embeds = path.contains("embed");
        let embed = || json!({"model": "llamacpp/smollm2", "input": "c1"});
        let body = if embeds { embed() } else { body("c1", false) };
        let refused = gateway.post(&third, path, &body).await;
        assert_eq!(refused.status, 503, "{path}");
        assert_eq!(refused.headers["retry-after"], "5", "{path}");
    }
    // The other provider has a line of its own.
    let mut other = body("c2", false);
    other["model"] = "spare/smollm2".into();
    assert_eq!(gateway.post(&third, "/v1/chat/completions", &other).await.status, 200);

    gateway.one.release(4);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
    let metrics = gateway.metrics().await;
    for (reason, count) in [("person", 2), ("total", 4)] {
        let line = format!("maru_gateway_line_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert!(metrics.contains("maru_gateway_line_waiting{provider=\"llamacpp\"} 0\n"), "{metrics}");
    assert!(metrics.contains("maru_gateway_line_wait_seconds_count 5\n"), "{metrics}");
}

/// Images wait in memory, too.
#[tokio::test]
async fn waiting_requests_are_bounded_in_bytes() {
    let gateway = gateway_with(|config| config.line.waiting_bytes_per_person = 30_000);
    gateway.one.script(Script::Held);
    let mut asked = vec![ask(&gateway, &ada(), "a1"), ask(&gateway, &member(44), "d0")];
    gateway.one.until_asked(2).await;
    let long = "x".repeat(20_000);
    asked.push(ask(&gateway, &ada(), &long));
    gateway.until_waiting(1).await;
    let refused = gateway.post(&ada(), "/v1/chat/completions", &body(&long, true)).await;
    refused.openai_error(429, "rate_limit_exceeded").await;
    asked.push(ask(&gateway, &bob(), &long));
    gateway.until_waiting(2).await;
    gateway.one.release(4);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
}

/// A further request of a person who has a slot. A person without one is not refused, but gets a slot.
#[tokio::test]
async fn a_request_that_waited_too_long_gets_retry_after() {
    let gateway = gateway_without_fallback(|config| {
        config.line.slots = NonZeroU16::MIN;
        config.line.seconds = 0;
    });
    gateway.bind(&ada()).await;
    gateway.one.script(Script::Endless);
    let adas = first_token(&gateway, &ada(), "a1").await.unwrap();

    for stream in [true, false] {
        let late = gateway.post(&ada(), "/v1/chat/completions", &body("a2", stream)).await;
        assert_eq!(late.headers["retry-after"], "5");
        late.openai_error(503, "rate_limit_exceeded").await;
        let late = gateway.post(&ada(), "/api/chat", &body("a2", stream)).await;
        assert_eq!(
            (late.status.as_u16(), &late.headers["retry-after"]),
            (503, &"5".parse().unwrap())
        );
    }
    // The same under the seal.
    let events = gateway.sealed(&ada(), &chat(None, "a2")).await;
    assert!(matches!(&events[..], [Event::Error { kind, .. }] if kind == "busy"), "{events:?}");

    drop(adas);
    gateway.one.until_open(0).await;
    gateway.one.script(Script::Hello);
    assert_eq!(text_of(&gateway.sealed(&ada(), &chat(None, "a3")).await), "Hello there");
}

/// Whoever finds the primary's line full is answered by the fallback, where there is one, and in its own turn.
#[tokio::test]
async fn a_full_line_spills_into_the_fallbacks() {
    let gateway = gateway_with(|config| {
        config.line.slots = NonZeroU16::MIN;
        config.line.waiting = 1;
    });
    gateway.one.script(Script::Held);
    gateway.two.script(Script::Held);
    let mut asked = vec![ask(&gateway, &ada(), "a1")];
    gateway.one.until_asked(1).await;
    asked.push(ask(&gateway, &bob(), "b1"));
    gateway.until_waiting(1).await;

    let third = member(33);
    asked.push(ask(&gateway, &third, "c1"));
    gateway.two.until_asked(1).await;
    // Who asked for a model by another name than the primary's gets that one or none.
    let mut named = body("c2", false);
    named["model"] = "spare/smollm2".into();
    let waits = tokio::spawn(gateway.sending(&third, "/v1/chat/completions", named.clone()));
    eventually("one waits for the spare", async || gateway.line("spare").waiting > 0).await;
    let full = gateway.post(&member(44), "/v1/chat/completions", &body("d1", true)).await;
    full.openai_error(503, "rate_limit_exceeded").await;

    gateway.one.release(2);
    gateway.two.release(2);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
    assert_eq!(waits.await.unwrap().status, 200);
    assert_eq!((gateway.one.requests().len(), gateway.two.requests().len()), (2, 2));
}

#[tokio::test]
async fn one_person_does_not_get_a_further_line_by_filling_the_first() {
    let gateway = gateway_with(|config| config.line.waiting_per_person = 0);
    gateway.one.script(Script::Held);
    let asked = [ask(&gateway, &ada(), "a1"), ask(&gateway, &member(44), "d0")];
    gateway.one.until_asked(2).await;
    let refused = gateway.post(&ada(), "/v1/chat/completions", &body("a3", true)).await;
    refused.openai_error(429, "rate_limit_exceeded").await;
    assert_eq!(gateway.two.requests().len(), 0);
    gateway.one.release(2);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn a_request_without_a_slot_in_time_is_answered_by_a_free_fallback() {
    let gateway = gateway_with(|config| {
        config.line.slots = NonZeroU16::MIN;
        config.line.seconds = 0;
    });
    gateway.one.script(Script::Endless);
    gateway.two.script(Script::Held);
    let _adas = first_token(&gateway, &ada(), "a1").await.unwrap();
    let bobs = ask(&gateway, &bob(), "b1");
    gateway.two.until_asked(1).await;
    // Now the fallback is busy, too.
    let late = gateway.post(&ada(), "/v1/chat/completions", &body("a2", true)).await;
    late.openai_error(503, "rate_limit_exceeded").await;
    gateway.two.release(1);
    let (status, text) = bobs.await.unwrap();
    assert!(status == 200 && text.contains("spare/smollm2"), "{status} {text}");
    assert_eq!(gateway.line("llamacpp").waiting, 0, "its place in the first line is given up");
}

#[tokio::test]
async fn when_to_ask_again_follows_from_how_long_replies_take() {
    let gateway = gateway_without_fallback(|config| {
        config.line.slots = NonZeroU16::MIN;
        config.line.waiting = 0;
    });
    assert_eq!(gateway.post(&ada(), "/v1/chat/completions", &body("a1", true)).await.status, 200);
    gateway.one.script(Script::Endless);
    let _adas = first_token(&gateway, &ada(), "a2").await.unwrap();
    let refused = gateway.post(&bob(), "/v1/chat/completions", &body("b1", true)).await;
    assert_eq!(refused.status, 503);
    let told: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(told < 5, "the reply took some milliseconds, and not five seconds: {told}");
}
