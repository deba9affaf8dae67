//! Usage of each person, over root's socket.

use std::time::SystemTime;

use ai_gateway_api::usage::Tally;
use serde_json::json;
use testkit::eventually;

use super::{
    TestGateway, ada, backend::Script, bob, client::chat, gateway, gateway_without_fallback, tagged,
};

impl TestGateway {
    /// What one person used, on whichever day it is.
    fn used(&self, person: &str) -> Tally {
        let mut all = Tally::default();
        for people in self.app.usage.report(SystemTime::now()).days.values() {
            if let Some(&tally) = people.get(person) {
                all.add(tally);
            }
        }
        all
    }
}

#[tokio::test]
async fn every_surface_counts_against_the_person_who_asked() {
    let gateway = gateway();
    gateway.bind(&bob()).await;
    let message = json!({"role": "user", "content": "hi"});
    let body = json!({"model": "maru", "messages": [message], "stream": false});
    let one = Tally { requests: 1, prompt_tokens: 7, reply_tokens: 2 };

    assert_eq!(gateway.post(&ada(), "/v1/chat/completions", &body).await.status, 200);
    assert_eq!(gateway.used("user:11"), one);
    assert_eq!(gateway.post(&ada(), "/api/chat", &body).await.status, 200);
    assert_eq!(gateway.used("user:11").prompt_tokens, 14);
    let embed = json!({"model": "llamacpp/smollm2", "input": ["a", "b"]});
    for path in ["/v1/embeddings", "/api/embed"] {
        assert_eq!(gateway.post(&ada(), path, &embed).await.status, 200);
    }
    let all = Tally { requests: 4, prompt_tokens: 20, reply_tokens: 4 };
    assert_eq!(gateway.used("user:11"), all);

    gateway.sealed(&bob(), &chat(None, "hi")).await;
    assert_eq!(gateway.used("user:22"), one);
    assert_eq!(gateway.post(&tagged("n33"), "/v1/chat/completions", &body).await.status, 200);
    assert_eq!(gateway.used("node:n33"), one);
    assert_eq!(gateway.used("user:11"), all, "others count nothing for Ada");
}

#[tokio::test]
async fn a_reply_that_was_left_counts_what_came_and_one_that_never_began_nothing() {
    let gateway = gateway_without_fallback(|config| {
        config.line.slots = std::num::NonZeroU16::MIN.saturating_add(2);
        config.line.waiting = 0;
    });
    gateway.one.script(Script::Endless);
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true});
    let mut answers = Vec::new();
    for who in [ada(), ada(), tagged("n33")] {
        let mut answer = gateway.post(&who, "/v1/chat/completions", &body).await;
        let mut text = String::new();
        while !text.contains("Hello") {
            text.push_str(std::str::from_utf8(&answer.piece().await.unwrap().unwrap()).unwrap());
        }
        answers.push(answer);
    }
    assert_eq!(gateway.post(&bob(), "/v1/chat/completions", &body).await.status, 503);
    drop(answers);
    eventually("both are counted", async || gateway.used("user:11").requests >= 2).await;
    let two = Tally { requests: 2, prompt_tokens: 0, reply_tokens: 2 };
    assert_eq!(gateway.used("user:11"), two);
    assert_eq!(gateway.used("user:22"), Tally::default());
}

#[tokio::test]
async fn nothing_but_counts_is_kept_and_a_restart_goes_on() {
    let mut gateway = gateway();
    let body = json!({"messages": [{"role": "user", "content": "canary"}]});
    assert_eq!(gateway.post(&ada(), "/v1/chat/completions", &body).await.status, 200);
    let before = gateway.used("user:11");
    gateway.app.usage.keep(SystemTime::now());
    gateway.restart().await;
    assert_eq!(gateway.used("user:11"), before);
    let file = gateway.root.path().join(&gateway.config.state).join(crate::usage::FILE);
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("user:11"), "{text}");
    for said in ["canary", "Hello", "smollm2", "person11"] {
        assert!(!text.contains(said), "{text}");
    }
}
