//! OpenClaw's WebSocket: what an operator's client may do, and what a member with another client may not.

mod agent;
mod bounds;
mod client;
mod new_sessions;
mod notices;

use serde_json::{Value, json};
use testkit::eventually;

use super::{ada, backend::Script, bob, gateway, gateway_with};

/// Parameters of `chat.send`.
fn question(key: &str, text: &str) -> Value {
    json!({"sessionKey": "agent:main:main", "message": text, "idempotencyKey": key})
}

fn main() -> Value {
    json!({"sessionKey": "agent:main:main"})
}

#[tokio::test]
async fn a_question_is_answered_by_events_and_stands_in_the_history() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    let mut client = gateway.operator(&ada()).await;
    let begun = client.call("chat.send", &question("one", "hi")).await;
    assert_eq!(begun, json!({"runId": "one", "status": "started"}));
    let mut text = String::new();
    let last = loop {
        let event = client.event("chat").await;
        assert_eq!(
            (&event["runId"], &event["sessionKey"]),
            (&json!("one"), &json!("agent:main:main"))
        );
        match event["state"].as_str().unwrap() {
            "delta" => text.push_str(event["deltaText"].as_str().unwrap()),
            _ => break event,
        }
    };
    assert_eq!(text, "Hello there");
    assert_eq!(last["state"], "final");
    assert_eq!(last["message"]["content"], json!([{"type": "text", "text": "Hello there"}]));

    let history = client.call("chat.history", &main()).await;
    let texts: Vec<_> = history["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["role"].as_str().unwrap(), it["content"][0]["text"].as_str().unwrap()))
        .collect();
    assert_eq!(texts, [("user", "hi"), ("assistant", "Hello there")]);
    assert_eq!(gateway.history(&ada(), "main").await, ["hi", "Hello there"], "under the seal, too");
}

/// The Control UI keeps a message until its run is consumed, and then nothing else has it but the session.
#[tokio::test]
async fn a_history_says_what_became_of_a_persons_runs() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    let mut client = gateway.operator(&ada()).await;
    let receipt = |run: &str, state| json!({"runId": run, "state": state});
    let asked = json!({"sessionKey": "agent:main:main", "inputRunIds": ["one", "two", "never"]});
    client.call("chat.send", &question("one", "hi")).await;
    while client.event("chat").await["state"] != "final" {}
    gateway.one.script(Script::Endless);
    client.call("chat.send", &question("two", "hi")).await;
    while client.event("chat").await["state"] != "delta" {}
    let consumed = json!({"runId": "one", "state": "consumed", "consumedByEventId": "one"});

    let receipts = client.call("chat.history", &asked).await["inputReceipts"].clone();
    assert_eq!(receipts, json!([consumed, receipt("two", "pending")]));

    let unasked = client.call("chat.history", &main()).await;
    assert!(unasked.get("inputReceipts").is_none(), "{unasked}");
    let mut bob = gateway.operator(&bob()).await;
    assert_eq!(bob.call("chat.history", &asked).await["inputReceipts"], json!([]));
}

/// Nothing of it is kept: who sent it still has it, and sends it again.
#[tokio::test]
async fn a_message_whose_run_failed_has_no_receipt_and_may_be_sent_again() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    let mut client = gateway.operator(&ada()).await;
    gateway.one.script(Script::Cut);
    client.call("chat.send", &question("one", "hi")).await;
    while client.event("chat").await["state"] != "error" {}
    let asked = json!({"sessionKey": "agent:main:main", "inputRunIds": ["one"]});
    let history = client.call("chat.history", &asked).await;
    assert_eq!((&history["inputReceipts"], &history["messages"]), (&json!([]), &json!([])));

    gateway.one.script(Script::Hello);
    let again = client.call("chat.send", &question("one", "hi")).await;
    assert_eq!(again, json!({"runId": "one", "status": "started"}));
    while client.event("chat").await["state"] != "final" {}
    assert_eq!(gateway.history(&ada(), "main").await, ["hi", "Hello there"]);
}

#[tokio::test]
async fn a_person_sees_and_changes_their_own_sessions_alone() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "secret plans", "hi").await;
    let mut ada = gateway.operator(&ada()).await;
    let mut bob = gateway.operator(&bob()).await;
    let key = json!({"key": "agent:main:secret plans"});
    assert_eq!(bob.call("sessions.list", &json!({})).await["sessions"], json!([]));
    let unknown = bob.call("sessions.describe", &key).await;
    assert_eq!(unknown["session"]["updatedAt"], json!(null));
    let history = json!({"sessionKey": "agent:main:secret plans"});
    assert_eq!(bob.call("chat.history", &history).await["messages"], json!([]));
    assert_eq!(bob.call("sessions.delete", &key).await["deleted"], false);
    bob.fail("sessions.patch", &json!({"key": key["key"], "label": "mine"})).await;

    let list = ada.call("sessions.list", &json!({"search": "SECRET"})).await;
    assert_eq!(list["sessions"][0]["key"], "agent:main:secret plans");
    assert_eq!(ada.call("sessions.list", &json!({"search": "other"})).await["count"], 0);
    let renamed = json!({"key": key["key"], "label": "holidays"});
    assert_eq!(ada.call("sessions.patch", &renamed).await["key"], "agent:main:holidays");
    let list = ada.call("sessions.subscribe", &json!({"limit": 5})).await["list"].clone();
    assert_eq!(list["sessions"][0]["label"], "holidays");
    assert_eq!(gateway.history(&super::ada(), "holidays").await, ["hi", "Hello there"]);
    let deleted = ada.call("sessions.delete", &json!({"key": "agent:main:holidays"})).await;
    assert_eq!(deleted["deleted"], true);
    assert!(gateway.history(&super::ada(), "holidays").await.is_empty());
}

#[tokio::test]
async fn events_of_a_run_reach_every_client_of_the_person_and_no_other() {
    let gateway = gateway();
    let mut one = gateway.operator(&ada()).await;
    let mut other = gateway.operator(&ada()).await;
    let mut bob = gateway.operator(&bob()).await;
    one.call("chat.send", &question("one", "hi")).await;
    while other.event("chat").await["state"] != "final" {}
    bob.call("chat.send", &question("two", "hi")).await;
    assert_eq!(bob.event("chat").await["runId"], "two", "the first event that reaches bob");
}

#[tokio::test]
async fn a_key_runs_once_also_on_another_connection() {
    let gateway = gateway();
    let mut client = gateway.operator(&ada()).await;
    client.call("chat.send", &question("one", "hi")).await;
    while client.event("chat").await["state"] != "final" {}
    drop(client);
    let mut client = gateway.operator(&ada()).await;
    let again = client.call("chat.send", &question("one", "hi")).await;
    assert_eq!(again, json!({"runId": "one", "status": "ok"}));
    assert_eq!(gateway.one.requests().len(), 1);
    let mut bob = gateway.operator(&bob()).await;
    bob.call("chat.send", &question("one", "hi")).await;
    while bob.event("chat").await["state"] != "final" {}
    assert_eq!(gateway.one.requests().len(), 2, "another person's key is another");
}

#[tokio::test]
async fn a_run_is_stopped_by_its_person_alone() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.one.script(Script::Endless);
    let mut client = gateway.operator(&ada()).await;
    client.call("chat.send", &question("one", "hi")).await;
    assert_eq!(client.event("chat").await["deltaText"], "Hello");
    let mut bob = gateway.operator(&bob()).await;
    let stop = json!({"sessionKey": "agent:main:main", "runId": "one"});
    assert_eq!(bob.call("chat.abort", &stop).await["aborted"], false);
    let list = client.call("sessions.describe", &json!({"key": "main"})).await;
    assert_eq!(list["session"]["activeRunIds"], json!(["one"]));

    let stopped = client.call("chat.abort", &stop).await;
    assert_eq!(stopped, json!({"ok": true, "aborted": true, "runIds": ["one"]}));
    let last = client.event("chat").await;
    assert_eq!(last["state"], "aborted");
    assert_eq!(last["message"]["content"][0]["text"], "Hello");
    gateway.one.until_open(0).await;
    assert!(gateway.history(&ada(), "main").await.is_empty(), "a cut reply is not kept");
}

#[tokio::test]
async fn a_run_ends_and_is_kept_when_its_client_leaves() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.one.script(Script::Held);
    let mut client = gateway.operator(&ada()).await;
    client.call("chat.send", &question("one", "hi")).await;
    client.event("chat").await;
    drop(client);
    gateway.one.release(1);
    eventually("the turn is kept", async || gateway.history(&ada(), "main").await.len() == 2).await;
}

#[tokio::test]
async fn a_reply_that_fails_says_why_and_may_be_asked_for_again() {
    let gateway = gateway();
    for backend in [&gateway.one, &gateway.two] {
        backend.script(Script::Refuse("no"));
    }
    let mut client = gateway.operator(&ada()).await;
    client.call("chat.send", &question("one", "hi")).await;
    let event = client.event("chat").await;
    assert_eq!(event["state"], "error");
    assert!(!event["errorMessage"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn words_with_a_slash_are_commands() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "main", "hi").await;
    let mut client = gateway.operator(&ada()).await;
    client.call("chat.send", &question("one", "/new")).await;
    assert_eq!(client.event("chat").await["state"], "final");
    assert!(gateway.history(&ada(), "main").await.is_empty());
    gateway.one.script(Script::Endless);
    client.call("chat.send", &question("two", "hi")).await;
    client.event("chat").await;
    assert_eq!(
        client.call("chat.send", &question("three", "/stop")).await["runIds"],
        json!(["two"])
    );
}

#[tokio::test]
async fn every_method_that_is_announced_answers_and_any_other_is_refused_by_name() {
    let gateway = gateway_with(|config| config.admins = vec![ada().header.identity.person()]);
    let (mut client, hello) = gateway.connect(&ada(), &["operator.admin"]).await;
    assert_eq!(
        hello["auth"]["scopes"],
        json!(["operator.read", "operator.write", "operator.admin"])
    );
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "main", "hi").await;
    let params = json!({
        "key": "agent:main:main", "sessionKey": "agent:main:main", "label": "main",
        "message": "hi", "idempotencyKey": "one", "entryId": "0",
    });
    for method in hello["features"]["methods"].as_array().unwrap() {
        let method = method.as_str().unwrap();
        if method == "agent" {
            // The key ran before.
            assert_eq!(client.fail(method, &params).await["code"], "UNAVAILABLE");
            continue;
        }
        client.call(method, &params).await;
    }
    for method in ["connect", "config.set", "exec.run", "agents.create", "Health", ""] {
        let error =
            if method.is_empty() { continue } else { client.fail(method, &json!({})).await };
        assert_eq!(error["code"], "INVALID_REQUEST");
        assert_eq!(error["message"], format!("unknown method: {method}"));
    }
}

/// The Control UI sends nothing to an agent whose model is not in the list.
#[tokio::test]
async fn the_agents_model_is_one_of_the_list() {
    let gateway = gateway();
    let mut client = gateway.operator(&ada()).await;
    let startup = client.call("chat.startup", &main()).await;
    let primary = &startup["agentsList"]["agents"][0]["model"]["primary"];
    let name = |model: &Value| format!("{}/{}", model["provider"], model["id"]).replace('"', "");
    let models = startup["metadata"]["models"].as_array().unwrap();
    assert!(models.iter().any(|model| name(model) == *primary), "{primary}");
}

#[tokio::test]
async fn administration_is_for_admins_and_who_asked_to_read_only_reads() {
    let gateway = gateway_with(|config| config.admins = vec![bob().header.identity.person()]);
    let (mut client, hello) = gateway.connect(&ada(), &["operator.admin"]).await;
    assert_eq!(hello["auth"]["scopes"], json!(["operator.read", "operator.write"]));
    let error = client.fail("update.status", &json!({})).await;
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("FORBIDDEN"), &json!("missing scope: operator.admin"))
    );
    let (mut admin, _) = gateway.connect(&bob(), &["operator.admin"]).await;
    assert_eq!(client.call("system-presence", &json!({})).await.as_array().unwrap().len(), 1);
    assert_eq!(admin.call("system-presence", &json!({})).await.as_array().unwrap().len(), 2);
    assert_eq!(admin.call("sessions.list", &json!({})).await["count"], 0);

    let (mut reader, _) = gateway.connect(&bob(), &["operator.read"]).await;
    for (method, params) in
        [("chat.send", question("one", "hi")), ("sessions.delete", json!({"key": "main"}))]
    {
        assert_eq!(reader.fail(method, &params).await["message"], "missing scope: operator.write");
    }
}

#[tokio::test]
async fn wrong_parameters_are_refused_and_the_connection_goes_on() {
    let gateway = gateway();
    let mut client = gateway.operator(&ada()).await;
    let long = "x".repeat(101);
    for (method, params) in [
        ("chat.send", json!({"sessionKey": "main", "message": "hi"})),
        ("chat.send", json!({"sessionKey": "main", "message": 1, "idempotencyKey": "one"})),
        ("chat.send", json!({"sessionKey": "main", "message": " ", "idempotencyKey": "one"})),
        ("chat.send", json!({"sessionKey": "main", "message": "hi", "idempotencyKey": ""})),
        (
            "chat.send",
            json!({"sessionKey": "agent:other:main", "message": "hi", "idempotencyKey": "one"}),
        ),
        ("chat.send", json!({"sessionKey": long, "message": "hi", "idempotencyKey": "one"})),
        (
            "chat.send",
            json!({"sessionKey": "main", "message": "hi", "idempotencyKey": "one", "attachments": [{}]}),
        ),
        ("chat.history", json!({"sessionKey": "main", "limit": -1})),
        ("sessions.patch", json!({"key": "main", "model": "other"})),
        ("sessions.list", json!([])),
    ] {
        let error = client.fail(method, &params).await;
        assert_eq!(error["code"], "INVALID_REQUEST", "{params}");
    }
    assert!(gateway.one.requests().is_empty());
    client.call("health", &json!(null)).await;
}
