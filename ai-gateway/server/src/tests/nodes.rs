//! Nodes while the gateway runs: draining, and files that are missing.

use std::fs;

use ai_gateway_api::{config::ConfigReport, providers::Condition};
use serde_json::json;

use super::{
    TestGateway, ada,
    backend::{Backend, Script},
    gateway_with_models, member,
};

/// A provider with both backends, the first of which has these keys besides.
fn settings(keys: &str) -> String {
    format!(
        r#"{{models: {{providers: {{p: {{models: [{{id: "m"}}], nodes: [
            {{baseUrl: "unix:///run/maru/inference/llm.sock"{keys}}},
            {{baseUrl: "unix:///run/maru/inference-2/llm.sock"}}]}}}}}}}}"#
    )
}

impl TestGateway {
    /// Writes `openclaw.json` anew, as an editor does, and has it looked at.
    fn rewrite(&self, text: &str) {
        let path = self.root.path().join(&self.config.openclaw);
        let next = path.with_extension("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, path).unwrap();
        self.app.follow_settings();
    }

    /// The condition of each server, and its error.
    async fn conditions(&self) -> Vec<(Condition, Option<String>)> {
        let nodes = self.app.models.examine().await;
        nodes.into_iter().map(|node| (node.condition, node.trouble)).collect()
    }

    /// Sends different questions, each with its own home; returns how many each backend got.
    async fn ask_twenty(&self) -> (usize, usize) {
        let before = (self.one.requests().len(), self.two.requests().len());
        for number in 0..20 {
            let message = json!({"role": "user", "content": format!("question {number}")});
            let body = json!({"model": "p/m", "messages": [message]});
            let answer = self.post(&member(100 + number), "/v1/chat/completions", &body).await;
            assert_eq!(answer.status, 200);
            drop(answer.text().await);
        }
        (self.one.requests().len() - before.0, self.two.requests().len() - before.1)
    }
}

#[tokio::test]
async fn draining_holds_without_a_start_and_replies_under_way_go_on() {
    let gateway = gateway_with_models(&settings(""));
    gateway.app.follow_settings();
    let (one, two) = gateway.ask_twenty().await;
    assert!(one > 0 && two > 0, "{one} and {two}");

    gateway.one.script(Script::Held);
    gateway.two.script(Script::Held);
    let body = json!({"model": "p/m", "messages": [{"role": "user", "content": "long"}]});
    let ask =
        |who| tokio::spawn(gateway.sending(&member(who), "/v1/chat/completions", body.clone()));
    let asked: Vec<_> = (33..37).map(ask).collect();
    let all = async || gateway.one.open() + gateway.two.open() >= 4;
    testkit::eventually("all are asked", all).await;
    gateway.rewrite(&settings(", draining: true"));
    assert_eq!(gateway.app.queues.state()[0].1.slots, 2, "those of the other");
    gateway.one.release(4);
    gateway.two.release(4);
    for answer in asked {
        assert_eq!(answer.await.unwrap().status, 200, "what was under way ends");
    }

    gateway.one.script(Script::Hello);
    gateway.two.script(Script::Hello);
    assert_eq!(gateway.ask_twenty().await, (0, 20));
    gateway.rewrite("{ not JSON5");
    assert_eq!(gateway.ask_twenty().await, (0, 20), "what was said before holds");
    gateway.rewrite(&settings(", slots: 3"));
    let (one, two) = gateway.ask_twenty().await;
    assert!(one > 0 && two > 0, "{one} and {two}: it takes requests again");
    assert_eq!(gateway.app.queues.state()[0].1.slots, 5);
}

/// Another server, another model, another name: nothing is cut, and what is asked next goes to the new one.
#[tokio::test]
async fn changed_providers_answer_at_once_and_no_stream_is_cut() {
    let with = |provider: &str, address: &str| {
        format!(
            r#"{{models: {{providers: {{{provider}: {{baseUrl: "{address}", models: [{{id: "m"}}]}}}}}}}}"#
        )
    };
    let [one, two] =
        ["inference", "inference-2"].map(|it| format!("unix:///run/maru/{it}/llm.sock"));
    let mut gateway = gateway_with_models(&with("p", &one));
    gateway.app.follow_settings();
    let body = json!({"model": "maru", "messages": [{"role": "user", "content": "hi"}]});
    gateway.one.script(Script::Held);
    let held = tokio::spawn(gateway.sending(&ada(), "/v1/chat/completions", body.clone()));
    testkit::eventually("it is asked", async || gateway.one.open() > 0).await;

    gateway.rewrite(&with("other", &two));
    let answer = gateway.post(&member(34), "/v1/chat/completions", &body).await;
    assert_eq!(answer.json().await["model"], "other/m");
    assert_eq!((gateway.one.requests().len(), gateway.two.requests().len()), (1, 1));
    let queues = gateway.app.queues.state();
    assert_eq!(queues.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["other"]);

    // An address that no client can be made for, and a file that is no JSON5.
    for wrong in [with("other", "ftp://x"), "{".to_owned()] {
        gateway.rewrite(&wrong);
        assert!(gateway.app.config_report().trouble.is_some(), "{wrong}");
        assert!(gateway.app.counters().await.contains("maru_gateway_config_usable 0\n"));
        let answer = gateway.post(&member(34), "/v1/chat/completions", &body).await;
        assert_eq!(answer.json().await["model"], "other/m", "the last good file stays");
    }
    gateway.one.release(1);
    assert_eq!(held.await.unwrap().status, 200, "what was under way ends");

    gateway.rewrite(&with("p", &two));
    assert_eq!(gateway.app.config_report(), ConfigReport::default());
    assert!(gateway.app.counters().await.contains("maru_gateway_config_usable 1\n"));
    gateway.restart().await;
    let answer = gateway.post(&ada(), "/v1/chat/completions", &body).await;
    assert_eq!(answer.json().await["model"], "p/m");
}

/// Its breaker and what it has learned stay.
#[tokio::test]
async fn a_provider_that_stays_the_same_stays_open() {
    let with = |more: &str| {
        format!(
            r#"{{models: {{providers: {{p: {{baseUrl: "unix:///run/maru/none.sock", models: [{{id: "m"}}]}}{more}}}}}}}"#
        )
    };
    let gateway = gateway_with_models(&with(""));
    gateway.app.follow_settings();
    let body = json!({"model": "p/m", "messages": [{"role": "user", "content": "hi"}]});
    let faults = || {
        let nodes = gateway.app.models.nodes();
        nodes.iter().find(|(name, _)| name == "p").unwrap().1.faults
    };
    assert_eq!(gateway.post(&ada(), "/v1/chat/completions", &body).await.status, 502);
    let before = faults();
    assert!(before > 0);
    let other = r#", q: {baseUrl: "unix:///run/maru/inference/llm.sock", models: [{id: "n"}]}"#;
    gateway.rewrite(&with(other));
    assert_eq!((gateway.app.models.nodes().len(), faults()), (2, before));
    gateway.rewrite(&with("").replace("none.sock", "inference/llm.sock"));
    assert_eq!(faults(), 0, "it is another");
}

#[tokio::test]
async fn a_provider_whose_file_is_missing_keeps_no_other_from_answering() {
    let gateway = gateway_with_models(
        r#"{models: {providers: {
            p: {baseUrl: "unix:///run/maru/inference/llm.sock", models: [{id: "m"}]},
            q: {baseUrl: "unix:///run/maru/inference-2/llm.sock", models: [{id: "m"}],
                apiKey: {source: "file", path: "/q.key"}},
            r: {baseUrl: "unix:///run/maru/inference-2/llm.sock", models: [{id: "m"}],
                apiKey: {source: "file", path: "/r.key"}}}},
            agents: {defaults: {model: {primary: "q/m", fallbacks: ["p/m"]}}}}"#,
    );
    let ask = async |model: &str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        let answer = gateway.post(&ada(), "/v1/chat/completions", &body).await;
        (answer.status.as_u16(), answer.json().await["model"].as_str().map(str::to_owned))
    };
    assert_eq!(ask("p/m").await, (200, Some("p/m".to_owned())));
    assert_eq!(ask("maru").await, (200, Some("p/m".to_owned())), "the fallback");
    let body = json!({"model": "r/m", "messages": [{"role": "user", "content": "hi"}]});
    for path in ["/v1/chat/completions", "/api/chat"] {
        let answer = gateway.post(&ada(), path, &body).await;
        assert_eq!((answer.status.as_u16(), answer.headers.get("retry-after")), (502, None));
        let said = answer.text().await;
        assert!(said.contains("key or certificate file") && said.contains("maru doctor"), "{said}");
        assert!(!said.contains("r.key"), "where the file is concerns nobody else: {said}");
    }
    assert_eq!(gateway.two.requests().len(), 0, "nothing is sent without the key");
    let found = gateway.conditions().await;
    assert_eq!(found[0], (Condition::Ready, None));
    let why = found[1].1.as_deref().unwrap();
    assert!(found[1].0 == Condition::Unusable && why.contains("/q.key"), "{why}");
    fs::write(gateway.root.path().join("q.key"), "k\n").unwrap();
    assert_eq!(ask("maru").await, (200, Some("q/m".to_owned())), "as soon as it is there");
    assert_eq!(gateway.conditions().await[1], (Condition::Ready, None));
}

#[tokio::test]
async fn the_admin_sees_the_condition_of_each_server() {
    let mut gateway = gateway_with_models(&settings(", draining: true"));
    let found = gateway.conditions().await;
    assert_eq!(found, [(Condition::Draining, None), (Condition::Ready, None)]);
    gateway.two.kill().await;
    let found = gateway.conditions().await;
    let why = found[1].1.as_deref().unwrap();
    assert!(found[1].0 == Condition::Silent && why.contains("cannot be reached"), "{why}");
    gateway.two = Backend::start(&gateway.root.path().join("run/maru/inference-2/llm.sock"));
    gateway.two.wants_a_key();
    let found = gateway.conditions().await;
    let why = found[1].1.as_deref().unwrap();
    assert!(found[1].0 == Condition::Refusing && why.contains("401"), "{why}");
}
