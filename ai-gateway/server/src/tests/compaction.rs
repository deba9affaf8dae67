//! Conversations that are longer than a model's context.

use ai_gateway_api::sealed::Event;
use serde_json::Value;

use super::{
    TestGateway, ada,
    backend::Script,
    client::{chat, text_of},
    gateway_with_models,
};

/// Half of the context is 2,048 tokens, which are 4 or 5 turns of [`question`] beside the workspace's prompt.
pub(super) const MODELS: &str = r#"{models: {providers: {llamacpp: {baseUrl: "unix:///run/maru/inference/llm.sock",
    models: [{id: "smollm2", contextWindow: 4096}]}}}, agents: {defaults: {model: "llamacpp/smollm2"}}}"#;

pub(super) fn question(turn: usize) -> String {
    format!("{turn:0>600}")
}

/// Asks so many questions; returns the notices of each reply.
async fn ask(gateway: &TestGateway, turns: usize) -> Vec<Vec<String>> {
    let mut notices = Vec::new();
    for turn in 0..turns {
        let events = gateway.sealed(&ada(), &chat(Some("main"), &question(turn))).await;
        assert_eq!(text_of(&events), "Hello there", "{events:?}");
        let kind = |event| if let Event::Notice { kind, .. } = event { Some(kind) } else { None };
        let kinds = events.into_iter().filter_map(kind);
        notices.push(kinds.collect());
    }
    notices
}

/// The messages of the requests to the model: of those that ask for a summary, and of the others.
fn requests(gateway: &TestGateway) -> (Vec<Value>, Vec<Value>) {
    let messages = gateway.one.requests().into_iter().map(|mut it| it["messages"].take());
    messages.partition(|messages| messages.to_string().contains("Summarize the conversation"))
}

/// How many prompts do not begin with all of the one before but its question.
fn changes(prompts: &[Value]) -> usize {
    let begins = |two: &[Value]| {
        let [before, after] = two else { panic!("windows of two") };
        let (before, after) = (before.as_array().unwrap(), after.as_array().unwrap());
        after.starts_with(&before[..before.len() - 1])
    };
    prompts.windows(2).filter(|two| !begins(two)).count()
}

#[tokio::test]
async fn a_summary_of_the_models_stands_for_what_does_not_fit() {
    let gateway = gateway_with_models(MODELS);
    gateway.bind(&ada()).await;
    let notices = ask(&gateway, 20).await;
    assert!(notices.iter().all(Vec::is_empty), "{notices:?}");

    let (summaries, prompts) = requests(&gateway);
    assert!((3..10).contains(&summaries.len()), "{} summaries", summaries.len());
    assert_eq!(prompts.len(), 20);
    assert!(summaries[0].to_string().contains(&format!("Person: {}", question(0))));
    assert!(summaries[1].to_string().contains("Before: Hello there"), "the former summary counts");
    let last = prompts.last().unwrap();
    let first = last[1]["content"].as_str().unwrap();
    assert_eq!(last[1]["role"], "user");
    assert!(first.starts_with("[So far in this conversation:\nHello there]\n\n000"), "{first}");
    assert_eq!(changes(&prompts), summaries.len(), "else each prompt begins as the one before");
    for request in &prompts {
        // Half of the context by an estimate of two bytes for a token.
        assert!(request.to_string().len() < 4096 + 1000, "{}", request.to_string().len());
    }

    // All messages are still there, as they were said.
    let history = gateway.history(&ada(), "main").await;
    let asked: Vec<_> = history.iter().step_by(2).cloned().collect();
    assert_eq!(asked, (0..20).map(question).collect::<Vec<_>>());
    // Each summary is a request of the person's.
    let usage = gateway.app.usage.report(std::time::SystemTime::now());
    assert!(format!("{usage:?}").contains(&(20 + summaries.len()).to_string()), "{usage:?}");
}

#[tokio::test]
async fn where_the_model_makes_no_summary_the_cut_is_told() {
    let gateway = gateway_with_models(MODELS);
    gateway.bind(&ada()).await;
    gateway.one.script(Script::NoSummary);
    let notices = ask(&gateway, 20).await;

    let (_, prompts) = requests(&gateway);
    let cuts = notices.iter().filter(|kinds| **kinds == ["cut"]).count();
    assert!((3..10).contains(&cuts), "{notices:?}");
    assert_eq!(
        changes(&prompts),
        cuts,
        "it is told each time, and then nothing is cut for a while"
    );
    assert!(!prompts.last().unwrap().to_string().contains("So far in this"));
    assert_eq!(gateway.history(&ada(), "main").await.len(), 40);
}

#[tokio::test]
async fn a_new_conversation_knows_nothing_of_the_former_one() {
    let gateway = gateway_with_models(MODELS);
    gateway.bind(&ada()).await;
    ask(&gateway, 8).await;
    gateway.say(&ada(), "main", "/new").await;
    ask(&gateway, 1).await;
    let (_, prompts) = requests(&gateway);
    let last = prompts.last().unwrap().to_string();
    assert!(!last.contains("So far in this") && !last.contains("Hello there"), "{last}");
}
