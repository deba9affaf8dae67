//! What the AI remembers of people, and of whom.

use std::{fs, os::unix::fs::symlink};

use ai_gateway_api::sealed::{Event, MemoryFile, MemoryOperation, Operation};
use serde_json::json;

use super::{
    Member, TestGateway, ada,
    backend::Script,
    bob,
    client::{chat, text_of},
    gateway, gateway_with_models,
};

/// The last prompt that a model got.
fn prompt(gateway: &TestGateway) -> String {
    gateway.one.requests().pop().unwrap()["messages"].to_string()
}

fn read(file: Option<&str>) -> MemoryOperation {
    MemoryOperation::Read(file.map(|file| file.parse().unwrap()))
}

fn write(file: &str, text: &str, was: Option<&str>) -> MemoryOperation {
    let (file, text) = (file.parse().unwrap(), text.to_owned());
    MemoryOperation::Write { file, text, was: was.map(ToOwned::to_owned) }
}

impl TestGateway {
    async fn memory(&self, who: &Member, operation: MemoryOperation) -> Vec<Event> {
        self.sealed(who, &Operation::Memory(operation)).await
    }

    /// All text of a member's memory.
    pub(super) async fn remembered(&self, who: &Member) -> String {
        let files = self.memory(who, read(None)).await.into_iter();
        let text = |event| {
            let Event::Memory(file) = event else { panic!("{event:?}") };
            file.text
        };
        files.map(text).collect()
    }
}

fn failed(events: &[Event], kind: &str) -> bool {
    matches!(events, [Event::Error { kind: is, .. }] if is == kind)
}

#[tokio::test]
async fn what_a_person_had_remembered_is_in_each_of_their_prompts_and_in_nobody_elses() {
    let mut gateway = gateway();
    for who in [ada(), bob()] {
        gateway.bind(&who).await;
    }
    let said = gateway.say(&ada(), "main", "/remember I collect\u{1b} stamps").await;
    assert!(said.starts_with("I will remember that"), "{said}");
    assert!(gateway.one.requests().is_empty(), "a command is not asked of a model");
    assert_eq!(gateway.history(&ada(), "main").await, Vec::<String>::new());

    gateway.restart().await;
    gateway.say(&ada(), "other", "hi").await;
    assert!(prompt(&gateway).contains("- I collect\u{fffd} stamps"), "{}", prompt(&gateway));
    let hello = json!({"messages": [{"role": "user", "content": "hi"}]});
    gateway.post(&ada(), "/v1/chat/completions", &hello).await;
    assert!(prompt(&gateway).contains("stamps"), "also through /v1");

    gateway.say(&bob(), "other", "hi").await;
    assert!(!prompt(&gateway).contains("stamps"), "{}", prompt(&gateway));
    assert_eq!(gateway.remembered(&bob()).await, "");
    let said = gateway.say(&bob(), "main", "/forget stamps").await;
    assert!(said.starts_with("No line of your memory"), "{said}");
    assert_eq!(gateway.remembered(&ada()).await, "- I collect\u{fffd} stamps\n");
}

#[tokio::test]
async fn the_prompt_before_the_question_is_byte_equal_from_turn_to_turn() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "main", "/remember I collect stamps").await;
    for question in ["one", "two", "three"] {
        gateway.say(&ada(), "main", question).await;
    }
    let sent = gateway.one.requests();
    let sent: Vec<_> = sent.iter().map(|it| it["messages"].as_array().unwrap()).collect();
    for two in sent.windows(2) {
        let [before, after] = two else { panic!("windows of two") };
        assert_eq!(after[..before.len()], before[..], "each prompt begins as the one before");
        assert_eq!(after.len(), before.len() + 2);
    }
}

#[tokio::test]
async fn what_is_forgotten_is_named_and_gone() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.memory(&ada(), write("USER.md", "Drinks TEA.\nHas a cat.\n", None)).await;
    gateway.say(&ada(), "main", "/remember green tea at night").await;

    let said = gateway.say(&ada(), "main", "/forget tea").await;
    assert_eq!(said, "I have forgotten:\nDrinks TEA.\n- green tea at night");
    assert_eq!(gateway.remembered(&ada()).await, "Has a cat.\n");
    let said = gateway.say(&ada(), "main", "/forget tea").await;
    assert_eq!(said, "No line of your memory contains that.");
    // A single character would remove nearly all.
    let said = gateway.say(&ada(), "main", "/forget a").await;
    assert!(said.contains("at least 2 characters"), "{said}");
    assert_eq!(gateway.remembered(&ada()).await, "Has a cat.\n");
}

#[tokio::test]
async fn each_reads_and_edits_their_own() {
    let gateway = gateway();
    for who in [ada(), bob()] {
        gateway.bind(&who).await;
    }
    assert_eq!(gateway.memory(&ada(), write("MEMORY.md", "one", Some(""))).await, []);
    let file = |text: &str| {
        [Event::Memory(MemoryFile { file: "MEMORY.md".to_owned(), text: text.to_owned() })]
    };
    assert_eq!(gateway.memory(&ada(), read(Some("MEMORY.md"))).await, file("one"));
    assert_eq!(gateway.memory(&bob(), read(Some("MEMORY.md"))).await, file(""));

    // Two editors at once: the second one learns that it would undo what the first one wrote.
    assert_eq!(gateway.memory(&ada(), write("MEMORY.md", "two", Some("one"))).await, []);
    let late = gateway.memory(&ada(), write("MEMORY.md", "three", Some("one"))).await;
    assert!(failed(&late, "changed"), "{late:?}");
    let wrong = gateway.memory(&ada(), write("MEMORY.md", "a\u{1b}[2J", None)).await;
    assert!(failed(&wrong, "body"), "{wrong:?}");
    let long = "x".repeat(conversations::MEMORY_FILE_MAX + 1);
    let full = gateway.memory(&ada(), write("USER.md", &long, None)).await;
    assert!(failed(&full, "full"), "{full:?}");
    assert_eq!(gateway.memory(&ada(), read(None)).await, file("two"));

    gateway.memory(&ada(), write("MEMORY.md", "", None)).await;
    assert_eq!(gateway.memory(&ada(), read(None)).await, []);
}

#[tokio::test]
async fn a_file_in_the_workspace_is_moved_to_the_memory_of_its_person_alone() {
    let gateway = gateway();
    for who in [ada(), bob()] {
        gateway.bind(&who).await;
    }
    let people = gateway.root.path().join("var/lib/maru/gateway/workspace/people");
    fs::create_dir_all(people.join("user-11")).unwrap();
    fs::write(people.join("user-11/USER.md"), "collects stamps").unwrap();
    // Whoever can write there leads another person's folder to it.
    symlink("user-11", people.join("user-22")).unwrap();
    gateway.say(&bob(), "main", "hi").await;
    assert!(!prompt(&gateway).contains("stamps"), "{}", prompt(&gateway));
    assert!(people.join("user-11/USER.md").exists());

    gateway.say(&ada(), "main", "hi").await;
    assert!(prompt(&gateway).contains("collects stamps"), "{}", prompt(&gateway));
    assert!(!people.join("user-11/USER.md").exists(), "it stands in the memory alone");
    assert_eq!(gateway.remembered(&ada()).await, "collects stamps");
    assert_eq!(gateway.remembered(&bob()).await, "");
}

#[tokio::test]
async fn a_question_is_answered_also_while_the_memory_cannot_be_read() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "main", "/remember stamps").await;
    gateway.app.sessions.close().await;

    let events = gateway.sealed(&ada(), &chat(Some("main"), "hi")).await;
    assert_eq!(text_of(&events), "Hello there");
    assert!(!prompt(&gateway).contains("stamps") && prompt(&gateway).contains("SOUL.md"));
    let events = gateway.sealed(&ada(), &chat(Some("main"), "/remember tea")).await;
    assert!(failed(&events, "store"), "{events:?}");
}

/// A model that calls tools.
pub(super) const CALLS_TOOLS: &str = r#"{models: {providers: {llamacpp: {baseUrl: "unix:///run/maru/inference/llm.sock",
    models: [{id: "smollm2", compat: {supportsTools: true}}]}}}, agents: {defaults: {model: "llamacpp/smollm2"}}}"#;

#[tokio::test]
async fn the_ai_adds_to_the_memory_of_who_allowed_it_and_says_so() {
    let gateway = gateway_with_models(CALLS_TOOLS);
    for who in [ada(), bob()] {
        gateway.bind(&who).await;
    }
    gateway.one.script(Script::Remembers);
    let said = gateway.say(&ada(), "main", "/memory on").await;
    assert!(said.starts_with("From now on the AI may add"), "{said}");

    let events = gateway.sealed(&ada(), &chat(Some("main"), "I have a cat")).await;
    let notice = Event::Notice {
        kind: "remembered".to_owned(),
        message: "The AI added to your memory: Ada has a cat".to_owned(),
    };
    assert!(events.contains(&notice), "{events:?}");
    assert_eq!(text_of(&events), "Hello there", "it goes on after the call");
    assert_eq!(gateway.remembered(&ada()).await, "- Ada has a cat\n", "on one line");
    assert_eq!(gateway.history(&ada(), "main").await, ["I have a cat", "Hello there"]);
    let [first, second] = &gateway.one.requests()[..] else { panic!("two requests") };
    assert_eq!(first["tools"][0]["function"]["name"], "remember");
    let asked = second["messages"].as_array().unwrap();
    assert_eq!(asked[asked.len() - 1]["role"], "tool");
    assert_eq!(asked[asked.len() - 2]["tool_calls"][0]["id"], "c1");

    // Who has not allowed it is asked for no tool, and a model that calls one all the same changes nothing.
    gateway.sealed(&bob(), &chat(Some("main"), "I have a cat")).await;
    assert_eq!(gateway.remembered(&bob()).await, "");
    gateway.say(&ada(), "main", "/memory off").await;
    gateway.say(&ada(), "main", "/forget cat").await;
    gateway.sealed(&ada(), &chat(Some("main"), "I have a cat")).await;
    assert_eq!(gateway.remembered(&ada()).await, "");
    assert!(gateway.one.requests()[2..].iter().all(|request| request.get("tools").is_none()));
}

#[tokio::test]
async fn a_model_that_may_not_call_tools_is_offered_none() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "main", "/memory on").await;
    assert_eq!(gateway.say(&ada(), "main", "hi").await, "Hello there");
    assert!(gateway.one.requests()[0].get("tools").is_none());
}
