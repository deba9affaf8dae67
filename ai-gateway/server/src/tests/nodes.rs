//! Nodes while the gateway runs: draining, and files that are missing.

use std::fs;

use serde_json::json;

use super::{House, ada, backend::Script, house_with_models, member};

/// A provider with both backends, the first of which has these keys besides.
fn settings(keys: &str) -> String {
    format!(
        r#"{{models: {{providers: {{p: {{models: [{{id: "m"}}], nodes: [
            {{baseUrl: "unix:///run/maru/inference/llm.sock"{keys}}},
            {{baseUrl: "unix:///run/maru/inference-2/llm.sock"}}]}}}}}}}}"#
    )
}

impl House {
    /// Writes `openclaw.json` anew, as an editor does, and has it looked at.
    fn rewrite(&self, text: &str) {
        let path = self.root.path().join(&self.config.openclaw);
        let next = path.with_extension("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, path).unwrap();
        self.app.follow_settings();
    }

    /// Asks different questions, each at home somewhere; how many each backend was asked.
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
    let house = house_with_models(&settings(""));
    house.app.follow_settings();
    let (one, two) = house.ask_twenty().await;
    assert!(one > 0 && two > 0, "{one} and {two}");

    house.one.script(Script::Held);
    house.two.script(Script::Held);
    let body = json!({"model": "p/m", "messages": [{"role": "user", "content": "long"}]});
    let asked: Vec<_> = (0..4)
        .map(|_| tokio::spawn(house.sending(&ada(), "/v1/chat/completions", body.clone())))
        .collect();
    let all = async {
        while house.one.open() + house.two.open() < 4 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), all).await.expect("all are asked");
    house.rewrite(&settings(", draining: true"));
    assert_eq!(house.app.lines.state()[0].1.slots, 2, "those of the other");
    house.one.release(4);
    house.two.release(4);
    for answer in asked {
        assert_eq!(answer.await.unwrap().status, 200, "what was under way ends");
    }

    house.one.script(Script::Hello);
    house.two.script(Script::Hello);
    assert_eq!(house.ask_twenty().await, (0, 20));
    house.rewrite("{ not JSON5");
    assert_eq!(house.ask_twenty().await, (0, 20), "what was said before holds");
    house.rewrite(&settings(", slots: 3"));
    let (one, two) = house.ask_twenty().await;
    assert!(one > 0 && two > 0, "{one} and {two}: it takes requests again");
    assert_eq!(house.app.lines.state()[0].1.slots, 5);
}

#[tokio::test]
async fn a_provider_whose_file_is_missing_keeps_no_other_from_answering() {
    let house = house_with_models(
        r#"{models: {providers: {
            p: {baseUrl: "unix:///run/maru/inference/llm.sock", models: [{id: "m"}]},
            q: {baseUrl: "unix:///run/maru/inference-2/llm.sock", models: [{id: "m"}],
                apiKey: {source: "file", path: "/q.key"}}}},
            agents: {defaults: {model: {primary: "q/m", fallbacks: ["p/m"]}}}}"#,
    );
    let ask = async |model: &str| {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        let answer = house.post(&ada(), "/v1/chat/completions", &body).await;
        (answer.status.as_u16(), answer.json().await["model"].as_str().map(str::to_owned))
    };
    assert_eq!(ask("p/m").await, (200, Some("p/m".to_owned())));
    assert_eq!(ask("maru").await, (200, Some("p/m".to_owned())), "the fallback");
    assert_eq!(house.two.requests().len(), 0, "nothing is sent without the key");
    fs::write(house.root.path().join("q.key"), "k\n").unwrap();
    assert_eq!(ask("maru").await, (200, Some("q/m".to_owned())), "as soon as it is there");
}
