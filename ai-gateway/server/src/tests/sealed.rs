//! Sealed chat over both listeners.

use std::num::NonZeroU32;

use ai_gateway_api::{
    sealed::{Chat, Event, Input, Operation, Request, path},
    wire::Fixed,
};
use axum::http::Method;
use chat_vocabulary::{FinishReason, Message, Usage};
use hpke_envelope::Suite;

use super::{
    ada,
    backend::Script,
    bob,
    client::{Stream, chat, history, text_of},
    gateway, gateway_with,
};

#[tokio::test]
async fn a_sealed_chat_is_answered_over_both_listeners_and_with_both_suites() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    for suite in [Suite::XWing, Suite::X25519] {
        for plugin in [true, false] {
            let (request, reply) = gateway.seal(&ada(), &chat(None, "How are you?"), suite).await;
            let body = serde_json::to_value(&request).unwrap();
            let answer = if plugin {
                gateway.relay(&ada(), Method::POST, path::CHAT, Some(&body)).await
            } else {
                gateway.post(&ada(), path::CHAT, &body).await
            };
            assert_eq!(answer.headers["content-type"], "text/event-stream");
            assert_eq!(answer.headers["cache-control"], "no-store");
            let mut stream = Stream::new(answer, reply);
            let mut events = Vec::new();
            while let Some(more) = stream.next().await {
                events.extend(more);
            }
            assert!(stream.whole);
            let usage = Usage { prompt_tokens: 7, completion_tokens: 2 };
            assert_eq!(
                events,
                [
                    Event::Model("llamacpp/smollm2".to_owned()),
                    Event::Delta("Hello".to_owned()),
                    Event::Delta(" there".to_owned()),
                    Event::Usage(usage),
                    Event::Finish(FinishReason::Stop),
                ]
            );
        }
    }
    let sent = gateway.one.requests().pop().unwrap();
    assert_eq!(sent["model"], "smollm2");
    assert_eq!(sent["messages"][0]["role"], "system");
    assert_eq!(sent["messages"].as_array().unwrap().last().unwrap()["content"], "How are you?");
    assert!(sent["messages"].to_string().len() / 2 < 2000, "the prompt is short");
}

#[tokio::test]
async fn each_delta_goes_out_at_once_and_leaving_stops_the_model() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.one.script(Script::Endless);
    let (request, reply) = gateway.seal(&ada(), &chat(Some("main"), "hi"), Suite::XWing).await;
    let mut stream = Stream::new(gateway.send(&ada(), &request).await, reply);
    assert_eq!(stream.next().await.unwrap(), [Event::Model("llamacpp/smollm2".to_owned())]);
    assert_eq!(stream.next().await.unwrap(), [Event::Delta("Hello".to_owned())]);
    assert_eq!(gateway.one.open(), 1, "the model is still at it");

    drop(stream);
    gateway.one.until_open(0).await;
    assert_eq!(
        gateway.history(&ada(), "main").await,
        Vec::<String>::new(),
        "half a turn is not kept"
    );
}

#[tokio::test]
async fn leaving_before_the_first_delta_stops_the_model_too() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.one.script(Script::Silent);
    let (request, reply) = gateway.seal(&ada(), &chat(None, "hi"), Suite::XWing).await;
    let stream = Stream::new(gateway.send(&ada(), &request).await, reply);
    gateway.one.until_open(1).await;
    drop(stream);
    gateway.one.until_open(0).await;
}

#[tokio::test]
async fn a_session_goes_on_and_can_be_read_and_cleared() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    assert_eq!(gateway.say(&ada(), "main", "first").await, "Hello there");
    gateway.say(&ada(), "main", "second").await;
    let sent = gateway.one.requests().pop().unwrap()["messages"].to_string();
    let order: Vec<_> =
        ["first", "Hello there", "second"].map(|text| sent.find(text).unwrap()).into();
    assert!(order.is_sorted(), "{sent}");
    assert_eq!(
        gateway.history(&ada(), "main").await,
        ["first", "Hello there", "second", "Hello there"]
    );

    gateway.say(&ada(), "main", "/new").await;
    assert_eq!(gateway.history(&ada(), "main").await, Vec::<String>::new());
    assert_eq!(gateway.one.requests().len(), 2, "a command is not asked of the model");
}

#[tokio::test]
async fn a_long_history_comes_back_whole() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    let texts: Vec<String> = (0..5).map(|n| n.to_string().repeat(5_000)).collect();
    for text in &texts {
        gateway.say(&ada(), "long", text).await;
    }
    let history = gateway.history(&ada(), "long").await;
    let asked: Vec<_> = history.iter().step_by(2).cloned().collect();
    assert_eq!(asked, texts);
}

#[tokio::test]
async fn a_conversation_of_ones_own_is_beside_the_session() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "main", "kept").await;
    let operation = Operation::Chat(Chat {
        session: Some("main".parse().unwrap()),
        input: Input::Messages(vec![Message::system("Speak Latin."), Message::user("salve")]),
        model: Some("spare/smollm2".to_owned()),
        language: None,
        options: Default::default(),
    });
    let events = gateway.sealed(&ada(), &operation).await;
    assert_eq!(events[0], Event::Model("spare/smollm2".to_owned()));
    let sent = gateway.two.requests().pop().unwrap()["messages"].to_string();
    assert!(
        sent.contains("Speak Latin.") && !sent.contains("kept") && !sent.contains("SOUL"),
        "{sent}"
    );
    assert_eq!(gateway.history(&ada(), "main").await.len(), 2);
}

#[tokio::test]
async fn two_people_see_nothing_of_each_other() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.bind(&bob()).await;
    let private = gateway.root.path().join("var/lib/maru/gateway/workspace/people/user-11");
    std::fs::create_dir_all(&private).unwrap();
    std::fs::write(private.join("MEMORY.md"), "collects stamps").unwrap();

    gateway.say(&ada(), "main", "ada's secret").await;
    let sent = gateway.one.requests().pop().unwrap()["messages"].to_string();
    assert!(sent.contains("collects stamps"), "{sent}");

    assert_eq!(gateway.history(&bob(), "main").await, Vec::<String>::new());
    gateway.say(&bob(), "main", "hello").await;
    let sent = gateway.one.requests().pop().unwrap()["messages"].to_string();
    assert!(!sent.contains("secret") && !sent.contains("stamps"), "{sent}");
    assert_eq!(gateway.history(&bob(), "main").await, ["hello", "Hello there"]);
    assert_eq!(gateway.history(&ada(), "main").await, ["ada's secret", "Hello there"]);
}

#[tokio::test]
async fn telmeet_cannot_speak_for_a_member() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.bind(&bob()).await;

    // A key of its own, under Ada's header: refused, and there is no way to bind it on its listener.
    let mut telmeet = ada();
    telmeet.key = ed25519_dalek::SigningKey::from_bytes(&[99; 32]);
    let (request, _) = gateway.seal(&telmeet, &chat(Some("main"), "as ada"), Suite::XWing).await;
    gateway.send(&telmeet, &request).await.problem(403, "device").await;
    gateway
        .relay(&telmeet, Method::POST, path::DEVICES, Some(&gateway.proof(&telmeet)))
        .await
        .problem(404, "not-found")
        .await;

    // Bob's key under Ada's header, and Ada's request under Bob's header.
    let crossed = super::Member { header: ada().header, key: bob().key };
    let (request, _) = gateway.seal(&crossed, &chat(None, "as ada"), Suite::XWing).await;
    gateway.send(&crossed, &request).await.problem(403, "device").await;
    let (request, _) = gateway.seal(&ada(), &chat(None, "hi"), Suite::XWing).await;
    gateway.send(&bob(), &request).await.problem(403, "device").await;
    assert!(gateway.one.requests().is_empty(), "no model was asked");
}

/// A member's key, bound by the member, with the header of somebody else: telmeet and that member together.
#[tokio::test]
async fn a_lent_name_is_refused() {
    let gateway = gateway_with(|config| config.limits.burst = NonZeroU32::new(1000).unwrap());
    gateway.bind(&ada()).await;
    gateway.bind(&bob()).await;
    let ci = super::tagged("n33");
    gateway.bind(&ci).await;
    let private = gateway.root.path().join("var/lib/maru/gateway/workspace/people/user-11");
    std::fs::create_dir_all(&private).unwrap();
    std::fs::write(private.join("MEMORY.md"), "collects stamps").unwrap();
    gateway.say(&ada(), "main", "ada's secret").await;
    let asked = gateway.one.requests().len();

    let members = [ada(), bob(), ci];
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[99; 32]);
    let keys = members.iter().map(|member| Some(member.key.clone())).chain([None]);
    let mut refused = 0;
    for key in keys {
        for node in &members {
            for person in &members {
                let own = key.as_ref() == Some(&node.key) && node.header == person.header;
                if own {
                    continue;
                }
                let mut liar = node.clone();
                liar.header.identity.user = person.header.identity.user.clone();
                liar.header.source = person.header.source;
                liar.key = key.clone().unwrap_or_else(|| stranger.clone());
                for operation in
                    [history("main"), chat(Some("main"), "hi"), chat(Some("main"), "/new")]
                {
                    let (request, _) = gateway.seal(&liar, &operation, Suite::X25519).await;
                    gateway.send(&liar, &request).await.problem(403, "device").await;
                    refused += 1;
                }
            }
        }
    }
    assert_eq!(refused, (4 * 9 - 3) * 3, "every pairing but the three true ones");
    assert_eq!(gateway.one.requests().len(), asked, "no model was asked");
    assert_eq!(gateway.history(&ada(), "main").await, ["ada's secret", "Hello there"]);
    assert_eq!(gateway.history(&bob(), "main").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_node_that_changed_hands_binds_its_key_again_and_meets_a_session_of_its_own() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "main", "ada's secret").await;

    let mut after = ada();
    after.header.identity.user = bob().header.identity.user;
    let (request, _) = gateway.seal(&after, &chat(Some("main"), "hi"), Suite::XWing).await;
    gateway.send(&after, &request).await.problem(403, "device").await;
    let body = serde_json::to_value(&request).unwrap();
    gateway.post(&after, path::CHAT, &body).await.problem(403, "device").await;

    gateway.bind(&after).await;
    assert_eq!(gateway.history(&after, "main").await, Vec::<String>::new());
    let (request, _) = gateway.seal(&ada(), &history("main"), Suite::XWing).await;
    gateway.send(&ada(), &request).await.problem(403, "device").await;
}

#[tokio::test]
async fn replayed_stale_changed_and_unknown_requests_get_the_same_answer() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    let (fresh, reply) = gateway.seal(&ada(), &chat(None, "hi"), Suite::XWing).await;
    let mut stream = Stream::new(gateway.send(&ada(), &fresh).await, reply);
    while stream.next().await.is_some() {}
    assert!(stream.whole);

    let mut answers = vec![gateway.send(&ada(), &fresh).await];
    let seal = async || gateway.seal(&ada(), &chat(None, "hi"), Suite::XWing).await.0;
    let changes: [fn(&mut Request); 7] = [
        |request| request.timestamp -= 120_000,
        |request| request.timestamp += 120_000,
        |request| request.ciphertext.0[5] ^= 1,
        |request| request.encapsulated_key.0[5] ^= 1,
        |request| request.signature.0[5] ^= 1,
        |request| request.key_id = Fixed([7; 8]),
        |request| request.request_id = uuid::Uuid::now_v7(),
    ];
    for change in changes {
        let mut request = seal().await;
        change(&mut request);
        answers.push(gateway.send(&ada(), &request).await);
    }
    let mut same = None;
    for answer in answers {
        let problem = answer.problem(400, "sealed").await;
        assert_eq!(same.get_or_insert_with(|| problem.clone()), &problem);
    }
    assert_eq!(gateway.one.requests().len(), 1, "what was refused ran nowhere");
}

#[tokio::test]
async fn a_restart_begins_a_new_epoch() {
    let mut gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "main", "before").await;
    let (old, _) = gateway.seal(&ada(), &chat(None, "hi"), Suite::XWing).await;
    let epoch = gateway.app.document().unwrap().epoch;
    let identity = gateway.app.identity();

    gateway.restart().await;
    assert!(gateway.app.document().unwrap().epoch > epoch);
    assert_eq!(gateway.app.identity(), identity);
    gateway.send(&ada(), &old).await.problem(400, "sealed").await;
    assert_eq!(gateway.say(&ada(), "main", "after").await, "Hello there", "the key is still bound");
}

#[tokio::test]
async fn a_reply_whose_model_goes_away_is_reported_as_cut() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.one.script(Script::Cut);
    let events = gateway.sealed(&ada(), &chat(Some("main"), "hi")).await;
    assert_eq!(text_of(&events), "Hello");
    let Some(Event::Error { kind, message }) = events.last() else { panic!("{events:?}") };
    assert_eq!(kind, "model");
    assert!(message.contains("cut"), "{message}");
    assert_eq!(gateway.two.requests().len(), 0, "a reply that has begun is not begun again");
}

#[tokio::test]
async fn the_fallback_answers_and_without_one_the_error_says_what_to_do() {
    let mut gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.one.kill().await;
    let events = gateway.sealed(&ada(), &chat(Some("main"), "hi")).await;
    assert_eq!(events[0], Event::Model("spare/smollm2".to_owned()));
    assert_eq!(text_of(&events), "Hello there");

    gateway.two.kill().await;
    let events = gateway.sealed(&ada(), &chat(Some("main"), "hi")).await;
    let [Event::Error { kind, message }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(kind, "model");
    assert!(message.contains("llamacpp/smollm2") && message.contains("maru doctor"), "{message}");
}

#[tokio::test]
async fn an_error_in_the_sealed_operation_is_answered_sealed() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.one.script(Script::Refuse("too much text"));
    let events = gateway.sealed(&ada(), &chat(None, "hi")).await;
    assert!(
        matches!(&events[..], [Event::Error { message, .. }] if message.contains("too much text")),
        "{events:?}"
    );

    let unknown = Operation::Chat(Chat {
        session: None,
        input: Input::Text("hi".to_owned()),
        model: Some("gpt/4".to_owned()),
        language: None,
        options: Default::default(),
    });
    let events = gateway.sealed(&ada(), &unknown).await;
    assert!(
        matches!(&events[..], [Event::Error { kind, .. }] if kind == "not-found"),
        "{events:?}"
    );
    for plaintext in [
        format!(r#"{{"version":1,"operation":"history","session":"{}"}}"#, "x".repeat(101)),
        r#"{"version":1,"operation":"forget","session":"main"}"#.to_owned(),
    ] {
        let events = gateway.sealed_text(&ada(), plaintext.as_bytes()).await;
        assert!(matches!(&events[..], [Event::Error { kind, .. }] if kind == "body"), "{events:?}");
    }
}

#[tokio::test]
async fn bodies_that_are_no_requests_are_refused_by_name() {
    let gateway = gateway_with(|config| config.limits.max_body_bytes = 2000);
    let send = async |body: serde_json::Value| gateway.post(&ada(), path::CHAT, &body).await;
    send(serde_json::json!({"hello": 1})).await.problem(400, "body").await;
    send(serde_json::json!({"version": 2})).await.problem(400, "version").await;
    send(serde_json::json!({"x": "y".repeat(3000)})).await.problem(413, "too-large").await;
}

#[tokio::test]
async fn no_prompt_or_reply_is_readable_on_disk_or_in_the_counters() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "canary-session", "canary-prompt").await;
    let app = &gateway.app;
    let metrics = app.counters().await;
    for text in ["canary", "Hello", "person11"] {
        assert!(!metrics.contains(text), "{text} in {metrics}");
    }
    assert!(
        metrics.contains("maru_gateway_chats_total{surface=\"sealed\",outcome=\"done\"} 1"),
        "{metrics}"
    );

    let found = std::process::Command::new("grep")
        .args(["-rl", "-e", "canary", "-e", "Hello there"])
        .arg(gateway.root.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}
