//! A deployment of the confidential chain whose configuration proves nothing, or never comes: what people are told, who
//! answers in its place, and that the line bounds what waits for it.

use std::num::NonZeroU32;

use ai_gateway_api::{sealed::Event, settings::gateway::Deployment, wire::Fixed};
use axum::{Router, routing::get};
use serde_json::{Value, json};
use testkit::{equal, eventually};
use tokio::{net::UnixListener, task::JoinHandle};

use super::{
    Member, TestGateway, ada, bob,
    client::{Stream, chat},
    gateway_of, member,
};

const CODE: &str = "config-signature";

/// A house with such a deployment, and its server.
struct WithChain {
    gateway: TestGateway,
    server: JoinHandle<()>,
}

impl Drop for WithChain {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl WithChain {
    /// `primary` answers first, then those of `fallbacks`; the server says something, or nothing for ever.
    async fn start(primary: &str, fallbacks: &[&str], says: bool) -> Self {
        let lab = "unix:///run/maru/dial/lab/http.sock";
        let engine = "unix:///run/maru/inference/llm.sock";
        let openclaw = json!({
            "models": {"providers": {
                "llamacpp": {"baseUrl": engine, "models": [{"id": "smollm2"}]},
                "lab": {
                    "api": "maru-confidential",
                    "baseUrl": lab,
                    "nodes": [{"baseUrl": lab, "slots": 2}],
                    "relays": [{"baseUrl": lab}],
                    "models": [{"id": "m"}],
                },
            }},
            "agents": {"defaults": {"model": {"primary": primary, "fallbacks": fallbacks}}},
        });
        let change = |config: &mut super::Settings| {
            let deployment = Deployment {
                identity: Fixed([7; 32]),
                simulated: false,
                shared_seeds: false,
                images: None,
                anchors: Vec::new(),
                min_epoch: 0,
                verified_for_s: NonZeroU32::MIN,
            };
            config.confidential.insert("lab".to_owned(), deployment);
            config.line.waiting_per_person = 1;
            config.line.waiting = 2;
        };
        let gateway = gateway_of(change, Some(&openclaw.to_string()));
        let socket = gateway.root.path().join("run/maru/dial/lab/http.sock");
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        let config = async move || {
            if !says {
                std::future::pending::<()>().await;
            }
            "{}"
        };
        let router = Router::new().route("/api/config", get(config));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { gateway, server }
    }
}

fn body(model: &str) -> Value {
    json!({"model": model, "stream": false, "messages": [{"role": "user", "content": "canary"}]})
}

#[tokio::test]
async fn where_nothing_was_sent_every_surface_says_so_with_the_code() {
    let lab = WithChain::start("llamacpp/smollm2", &[], true).await;
    let gateway = &lab.gateway;
    let says = |text: &str| {
        assert!(text.contains(CODE) && text.contains("Nothing was sent"), "{text}");
    };
    for _ in 0..6 {
        let answer = gateway.post(&ada(), "/v1/chat/completions", &body("confidential/lab")).await;
        assert_eq!(answer.status, 502);
        let error = answer.json().await;
        assert_eq!(error["error"]["code"], "attestation-failed", "{error}");
        says(error["error"]["message"].as_str().unwrap());
    }
    let answer = gateway.post(&ada(), "/api/chat", &body("confidential/lab")).await;
    assert_eq!(answer.status, 502);
    says(answer.json().await["error"].as_str().unwrap());

    gateway.bind(&ada()).await;
    let mut operation = chat(None, "canary");
    if let ai_gateway_api::sealed::Operation::Chat(chat) = &mut operation {
        chat.model = Some("confidential/lab".to_owned());
    }
    let (request, reply) = gateway.seal(&ada(), &operation, hpke_envelope::Suite::XWing).await;
    let mut stream = Stream::new(gateway.send(&ada(), &request).await, reply);
    let mut events = Vec::new();
    while let Some(more) = stream.next().await {
        events.extend(more);
    }
    let [Event::Error { kind, message }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(kind, "attestation-failed");
    says(message);

    assert!(gateway.one.requests().is_empty(), "nobody else was asked");
    let faults = gateway.app.models.nodes().into_iter().find(|(name, _)| name == "lab").unwrap().1;
    assert_eq!((faults.faults, faults.spared), (0, false), "that is no fault");
}

#[tokio::test]
async fn a_listed_fallback_answers_in_its_place_and_the_reply_says_which() {
    let lab = WithChain::start("lab/m", &["llamacpp/smollm2"], true).await;
    let answer = lab.gateway.post(&ada(), "/v1/chat/completions", &body("maru")).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("maru-evidence"), "nothing stands behind it");
    let answer = answer.json().await;
    assert_eq!(answer["model"], "llamacpp/smollm2");
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello there");
}

#[tokio::test]
async fn a_flood_of_questions_to_a_deployment_that_hangs_is_bounded_by_its_line() {
    let lab = WithChain::start("llamacpp/smollm2", &[], false).await;
    let gateway = &lab.gateway;
    let ask = |who: &Member| {
        let sending = gateway.sending(who, "/v1/chat/completions", body("confidential/lab"));
        tokio::spawn(async move { sending.await.status })
    };
    let until = async |busy: u32, waiting: usize| {
        let state = || {
            let line =
                gateway.app.queues.state().into_iter().find(|(name, _)| name == "lab").unwrap();
            let nodes = gateway.app.models.nodes();
            (nodes.into_iter().find(|(name, _)| name == "lab").unwrap().1.busy, line.1.waiting)
        };
        let what = format!("{busy} busy and {waiting} waiting");
        eventually(&what, async || equal(state(), (busy, waiting))).await;
    };
    let asked = [ask(&ada()), ask(&bob())];
    until(2, 0).await;
    let waits = [ask(&ada()), ask(&bob())];
    until(2, 2).await;
    for (who, status) in [(ada(), 429), (bob(), 429), (member(33), 503), (member(34), 503)] {
        let refused = gateway.post(&who, "/v1/chat/completions", &body("confidential/lab")).await;
        assert_eq!(refused.status, status);
        assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
    }
    // The house's own model is another line.
    let own = gateway.post(&member(33), "/v1/chat/completions", &body("maru")).await;
    assert_eq!(own.status, 200);
    for asked in asked.into_iter().chain(waits) {
        asked.abort();
    }
    until(0, 0).await;
}
