//! OpenClaw's WebSocket: what `operator` does not try.

use serde_json::{Value, json};

use super::{
    super::{ada, bob},
    household, is_untouched,
};

/// Parameters that name a session in each way that a method reads.
fn names(session: &str) -> Value {
    let key = format!("agent:main:{session}");
    json!({"key": key, "sessionKey": key, "label": "mine", "search": session, "idempotencyKey": session,
        "message": "/status", "runId": "one", "limit": 10})
}

/// A frame without what differs between any two: the session's name, times, ids and the size of the process.
fn comparable(mut frame: Value, session: &str) -> String {
    for key in ["id", "seq", "ts"] {
        frame[key].take();
    }
    let text = frame.to_string().replace(session, "SESSION");
    let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
    let text: String = text.chars().map(digits).collect();
    text.split('0').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("0")
}

#[tokio::test]
async fn each_method_answers_the_name_of_anothers_session_as_one_that_nobody_has() {
    let gateway = household().await;
    let (mut client, hello) = gateway.connect(&bob(), &["operator.read", "operator.write"]).await;
    for method in hello["features"]["methods"].as_array().unwrap() {
        let method = method.as_str().unwrap();
        let taken = client.request(method, &names("journal")).await;
        assert!(
            !taken.to_string().contains("ada's") && !taken.to_string().contains("stamps"),
            "{taken}"
        );
        let free = client.request(method, &names("nowhere")).await;
        assert_eq!(comparable(taken, "journal"), comparable(free, "nowhere"), "{method}");
    }
    is_untouched(&gateway).await;
}

/// Neither is a message put into another's session, nor does what is said there reach who subscribed to its name.
#[tokio::test]
async fn nothing_is_injected_into_or_heard_from_a_session_of_the_same_name() {
    let gateway = household().await;
    let mut bobs = gateway.operator(&bob()).await;
    let mut adas = gateway.operator(&ada()).await;
    for method in ["sessions.subscribe", "sessions.messages.subscribe"] {
        bobs.call(method, &names("journal")).await;
    }
    let say = |key: &str, text: &str| json!({"sessionKey": "agent:main:journal", "message": text, "idempotencyKey": key});
    adas.call("chat.send", &say("one", "ada's third")).await;
    while adas.event("chat").await["state"] != "final" {}
    bobs.call("chat.send", &say("two", "bob's")).await;
    let first = bobs.event("chat").await;
    assert_eq!(first["runId"], "two", "the first event that reaches Bob: {first}");
    // In a session of his own.
    bobs.call("sessions.send", &names("journal")).await;
    for method in ["chat.inject", "sessions.get", "sessions.compact", "sessions.preview"] {
        bobs.fail(method, &names("journal")).await;
    }
    let history = gateway.history(&ada(), "journal").await;
    assert_eq!(history[4..], ["ada's third", "Hello there"]);
    assert_eq!(history.len(), 6);
}
