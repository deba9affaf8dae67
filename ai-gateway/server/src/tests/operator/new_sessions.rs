//! Sessions that a client begins, copies, and names by their keys.

use serde_json::{Value, json};

use super::{
    super::{ada, backend::Script, bob, gateway},
    client::Client,
};

/// Waits until a run has ended.
async fn ended(client: &mut Client, run: &Value) -> Value {
    loop {
        let event = client.event("chat").await;
        if event["runId"] == *run && event["state"] != "delta" {
            return event;
        }
    }
}

#[tokio::test]
async fn a_new_session_has_the_name_that_its_client_gives_or_the_time() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    let mut client = gateway.operator(&ada()).await;
    let named = client.call("sessions.create", &json!({"label": "holidays"})).await;
    assert_eq!((&named["ok"], &named["key"]), (&json!(true), &json!("agent:main:holidays")));
    let keyed = client.call("sessions.create", &json!({"key": "agent:main:work"})).await;
    assert_eq!(keyed["sessionId"], "work");
    let other = client.call("sessions.create", &json!({"parentSessionKey": "main"})).await;
    assert!(other["key"].as_str().unwrap().starts_with("agent:main:chat 20"), "{other}");
    let list = client.call("sessions.list", &json!({})).await;
    assert_eq!(list["count"], 0, "the first message begins it");

    let params = json!({"label": "plans", "message": "hi", "idempotencyKey": "one"});
    let begun = client.call("sessions.create", &params).await;
    assert_eq!((&begun["runStarted"], &begun["runId"]), (&json!(true), &json!("one")));
    ended(&mut client, &json!("one")).await;
    assert_eq!(gateway.history(&ada(), "plans").await, ["hi", "Hello there"]);
    let begun = client.call("sessions.create", &json!({"label": "more", "task": "hi"})).await;
    ended(&mut client, &begun["runId"]).await;
    assert_eq!(gateway.history(&ada(), "more").await.len(), 2);
}

#[tokio::test]
async fn a_first_message_that_is_refused_leaves_the_session_and_says_why() {
    let gateway = gateway();
    let mut client = gateway.operator(&ada()).await;
    let params = json!({"label": "plans", "message": "hi", "idempotencyKey": "x".repeat(257)});
    let begun = client.call("sessions.create", &params).await;
    assert_eq!((&begun["ok"], &begun["runStarted"]), (&json!(true), &json!(false)));
    assert_eq!(begun["runError"]["code"], "INVALID_REQUEST");
    for params in [
        json!({"incognito": true}),
        json!({"attachments": [{}]}),
        json!({"model": "no/such"}),
        json!({"label": ""}),
        json!({"key": "agent:other:main"}),
        json!({"parentSessionKey": "nothing", "fork": true}),
    ] {
        assert_eq!(client.fail("sessions.create", &params).await["code"], "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn a_session_is_copied_whole_or_up_to_a_question_by_its_person_alone() {
    let gateway = gateway();
    for who in [ada(), bob()] {
        gateway.bind(&who).await;
    }
    for text in ["one", "two"] {
        gateway.say(&ada(), "main", text).await;
    }
    let mut client = gateway.operator(&ada()).await;
    let whole = json!({"parentSessionKey": "agent:main:main", "fork": true, "label": "copy"});
    assert_eq!(client.call("sessions.create", &whole).await["key"], "agent:main:copy");
    assert_eq!(gateway.history(&ada(), "copy").await.len(), 4);
    let taken = client.fail("sessions.create", &whole).await;
    assert!(taken["message"].as_str().unwrap().starts_with("Another session has this name."));

    let messages = client.call("chat.history", &json!({"sessionKey": "main"})).await;
    let id = messages["messages"][2]["__openclaw"]["id"].clone();
    let at = json!({"sessionKey": "agent:main:main", "entryId": id});
    let forked = client.call("sessions.fork", &at).await;
    assert_eq!(forked["editorText"], "two");
    let name = forked["sessionKey"].as_str().unwrap().strip_prefix("agent:main:").unwrap();
    assert!(name.starts_with("main 20"), "{name}");
    assert_eq!(gateway.history(&ada(), name).await, ["one", "Hello there"]);
    for id in ["9", "-1", "x"] {
        let at = json!({"sessionKey": "agent:main:main", "entryId": id});
        assert_eq!(client.fail("sessions.fork", &at).await["code"], "INVALID_REQUEST", "{id}");
    }

    let mut bob_client = gateway.operator(&bob()).await;
    bob_client.fail("sessions.fork", &at).await;
    bob_client.fail("sessions.create", &json!({"parentSessionKey": "main", "fork": true})).await;
    assert_eq!(bob_client.call("sessions.list", &json!({})).await["count"], 0);
}

#[tokio::test]
async fn a_message_is_sent_and_stopped_by_the_sessions_key_too() {
    let gateway = gateway();
    let mut client = gateway.operator(&ada()).await;
    let send = |id: &str| json!({"key": "agent:main:main", "message": "hi", "idempotencyKey": id});
    assert_eq!(client.call("sessions.send", &send("one")).await["status"], "started");
    ended(&mut client, &json!("one")).await;

    gateway.one.script(Script::Endless);
    for (id, stop) in [("two", json!({"key": "main"})), ("three", json!({"runId": "three"}))] {
        client.call("sessions.send", &send(id)).await;
        while client.event("chat").await["runId"] != id {}
        let mut other = gateway.operator(&bob()).await;
        assert_eq!(other.call("sessions.abort", &stop).await["status"], "no-active-run");
        let stopped = client.call("sessions.abort", &stop).await;
        assert_eq!(stopped, json!({"ok": true, "abortedRunId": id, "status": "aborted"}));
        ended(&mut client, &json!(id)).await;
    }
    client.fail("sessions.abort", &json!({})).await;
}

#[tokio::test]
async fn a_session_is_found_by_its_key_or_name() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "plans", "hi").await;
    let mut client = gateway.operator(&ada()).await;
    let found = json!({"ok": true, "key": "agent:main:plans", "agentId": "main"});
    for by in [
        json!({"key": "agent:main:plans"}),
        json!({"sessionId": "plans"}),
        json!({"label": "plans"}),
    ] {
        assert_eq!(client.call("sessions.resolve", &by).await, found, "{by}");
    }
    let missing = json!({"shortId": "0a1b2c3d", "allowMissing": true});
    assert_eq!(client.call("sessions.resolve", &missing).await, json!({"ok": false}));
    client.fail("sessions.resolve", &json!({"key": "other"})).await;
    let mut bob = gateway.operator(&bob()).await;
    bob.fail("sessions.resolve", &json!({"key": "agent:main:plans"})).await;
}
