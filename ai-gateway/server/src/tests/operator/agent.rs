//! `agent`: the response has the reply.

use serde_json::{Value, json};

use super::{
    super::{ada, backend::Script, bob, gateway},
    client::{Client, Received},
};

fn question(key: &str, text: &str) -> Value {
    json!({"message": text, "idempotencyKey": key, "agentId": "main"})
}

/// The next response; events are passed over.
async fn response(client: &mut Client) -> Value {
    loop {
        match client.next().await {
            Received::Frame(frame) if frame["type"] == "res" => return frame,
            Received::Frame(_) => {}
            end @ (Received::Closed(_) | Received::End) => panic!("{end:?}"),
        }
    }
}

#[tokio::test]
async fn the_response_says_that_the_run_began_and_then_has_the_reply() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    let mut client = gateway.operator(&ada()).await;
    let mut other = gateway.operator(&ada()).await;

    let begun = client.request("agent", &question("one", "hi")).await;
    assert_eq!((&begun["ok"], &begun["payload"]["status"]), (&json!(true), &json!("accepted")));
    let last = response(&mut client).await;

    assert_eq!(last["id"], begun["id"]);
    let texts = json!([{"text": "Hello there"}]);
    assert_eq!(last["payload"]["status"], "ok");
    assert_eq!(last["payload"]["result"]["payloads"], texts);
    assert_eq!(gateway.history(&ada(), "main").await, ["hi", "Hello there"], "it is kept");
    while other.event("chat").await["state"] != "final" {}
    let again = other.fail("agent", &question("one", "hi")).await;
    assert_eq!(again["code"], "UNAVAILABLE", "a key runs once: {again}");
    assert!(again["message"].as_str().unwrap().contains("has ended"), "{again}");
    let named = json!({"message": "hi", "idempotencyKey": "two", "sessionKey": "agent:main:boat"});
    client.request("agent", &named).await;
    response(&mut client).await;
    assert_eq!(gateway.history(&ada(), "boat").await.len(), 2);
    let command = client.call("agent", &question("three", "/help")).await;
    assert!(command["result"]["payloads"][0]["text"].as_str().unwrap().contains("/new"));
}

#[tokio::test]
async fn the_response_says_that_the_run_was_stopped_or_failed() {
    let gateway = gateway();
    gateway.one.script(Script::Endless);
    let mut client = gateway.operator(&ada()).await;
    let begun = client.request("agent", &question("one", "hi")).await;
    client.event("chat").await;
    let again = client.fail("agent", &question("one", "hi")).await;
    assert!(again["message"].as_str().unwrap().contains("in progress"), "{again}");
    let mut bob = gateway.operator(&bob()).await;
    assert_eq!(bob.call("chat.abort", &json!({"sessionKey": "main"})).await["aborted"], false);
    let mut other = gateway.operator(&ada()).await;
    other.call("chat.abort", &json!({"sessionKey": "main"})).await;
    let last = response(&mut client).await;
    assert_eq!((&last["id"], &last["payload"]["summary"]), (&begun["id"], &json!("aborted")));

    for backend in [&gateway.one, &gateway.two] {
        backend.script(Script::Refuse("no"));
    }
    let begun = client.request("agent", &question("two", "hi")).await;
    let last = if begun["ok"] == true { response(&mut client).await } else { begun };
    assert_eq!(last["error"]["code"], "UNAVAILABLE", "{last}");
}

#[tokio::test]
async fn a_reply_that_is_too_long_for_a_response_is_an_error_that_says_where_it_is() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.one.script(Script::Long);
    let mut client = gateway.operator(&ada()).await;
    client.request("agent", &question("one", "hi")).await;

    let last = response(&mut client).await;

    assert_eq!(last["error"]["code"], "UNAVAILABLE", "{last}");
    assert!(last["error"]["message"].as_str().unwrap().contains("Its session has it"), "{last}");
    assert!(gateway.history(&ada(), "main").await[1].starts_with("xxx"));
}

#[tokio::test]
async fn what_the_gateway_has_not_is_refused() {
    let gateway = gateway();
    let mut client = gateway.operator(&ada()).await;
    for (name, value) in [
        ("agentId", json!("other")),
        ("deliver", json!(true)),
        ("extraSystemPrompt", json!("be rude")),
        ("attachments", json!([{}])),
        ("model", json!("no/such")),
        ("sessionKey", json!("agent:other:main")),
        ("message", json!(" ")),
    ] {
        let mut params = question("one", "hi");
        params[name] = value;
        assert_eq!(client.fail("agent", &params).await["code"], "INVALID_REQUEST", "{name}");
    }
    assert!(gateway.one.requests().is_empty());
}
