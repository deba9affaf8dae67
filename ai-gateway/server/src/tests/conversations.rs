//! Conversations that are kept, and those that cannot be.

use ai_gateway_api::sealed::Event;
use serde_json::json;

use super::{
    TestGateway, ada, bob,
    client::{chat, text_of},
    gateway, gateway_with,
};

/// The message of the notice that a turn is not kept.
fn not_kept(events: &[Event]) -> Option<&str> {
    events.iter().find_map(|event| {
        let Event::Notice { kind, message } = event else { return None };
        (kind == "not-kept").then_some(&**message)
    })
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let mut gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.say(&ada(), "main", "first").await;

    gateway.restart().await;

    assert_eq!(gateway.history(&ada(), "main").await, ["first", "Hello there"]);
    let events = gateway.sealed(&ada(), &chat(Some("main"), "second")).await;
    assert_eq!(not_kept(&events), None);
    assert_eq!(gateway.app.config_report().not_kept, None);
    let sent = gateway.one.requests().pop().unwrap()["messages"].to_string();
    assert!(sent.contains("first") && sent.contains("second"), "{sent}");
    let history = gateway.history(&ada(), "main").await;
    assert_eq!(history, ["first", "Hello there", "second", "Hello there"]);
}

#[tokio::test]
async fn a_chat_without_a_session_touches_no_disk() {
    let gateway = gateway();
    gateway.bind(&ada()).await;
    let state = gateway.root.path().join("var/lib/maru/gateway");
    let files = || {
        let read = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.unwrap().path();
            let name = path.to_str().unwrap();
            // SQLite's `-shm` counts readers and has no text; the person's memory is read for a temporary chat as well.
            (path.is_file() && name.contains("conversations") && !name.ends_with("-shm"))
                .then(|| (path.clone(), std::fs::read(&path).unwrap()))
        };
        std::fs::read_dir(&state).unwrap().filter_map(read).collect::<Vec<_>>()
    };
    gateway.say(&ada(), "main", "kept").await;
    let before = files();
    assert!(before.len() >= 2, "database and lock");

    gateway.sealed(&ada(), &chat(None, "temporary")).await;

    assert!(files() == before);
    gateway.say(&ada(), "main", "kept").await;
    assert!(files() != before, "the comparison sees what is written");
}

#[tokio::test]
async fn a_gateway_whose_database_does_not_open_answers_and_says_that_nothing_is_kept() {
    let mut gateway = gateway_with(|config| config.state = "elsewhere".into());
    let database = gateway.root.path().join("elsewhere/conversations.sqlite");
    let garbage = vec![b'x'; 10_000];
    // The start may have made one already.
    gateway.stop().await;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", database.display()));
    }
    std::fs::write(&database, &garbage).unwrap();
    gateway.restart().await;
    gateway.bind(&ada()).await;

    let events = gateway.sealed(&ada(), &chat(Some("main"), "hi")).await;

    assert_eq!(text_of(&events), "Hello there");
    let said = not_kept(&events).expect("a notice");
    assert!(said.contains("cannot be used") && said.contains("the gateway's log"), "{said}");
    assert!(said.contains("Nor is it known who chose a model"), "{said}");
    let events = gateway.sealed(&ada(), &super::client::history("main")).await;
    assert!(matches!(&events[..], [Event::Error { kind, .. }] if kind == "store"), "{events:?}");
    let events = gateway.sealed(&ada(), &chat(None, "temporary")).await;
    assert_eq!((text_of(&events), not_kept(&events)), ("Hello there".to_owned(), None));
    let metrics = gateway.app.counters().await;
    assert!(metrics.contains("maru_gateway_conversations_open 0\n"), "{metrics}");
    let reported = gateway.app.config_report().not_kept.expect("the reason, for the admin");
    assert!(reported.len() > 20, "{reported}");
    assert!(std::fs::read(&database).unwrap() == garbage, "nothing was changed");
}

#[tokio::test]
async fn with_another_key_former_conversations_stay_and_new_people_begin() {
    let mut gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.bind(&bob()).await;
    gateway.say(&ada(), "main", "sealed by the first key").await;
    let key = gateway.root.path().join(&gateway.config.conversations.key_file);
    let first = std::fs::read(&key).unwrap();
    std::fs::write(&key, [7; 32]).unwrap();
    gateway.restart().await;

    let events = gateway.sealed(&ada(), &chat(Some("main"), "hi")).await;
    assert_eq!(text_of(&events), "Hello there");
    let said = not_kept(&events).expect("a notice");
    assert!(said.contains("another machine") && said.contains("recovery code"), "{said}");
    let events = gateway.sealed(&ada(), &chat(Some("main"), "/new")).await;
    assert!(
        matches!(&events[..], [Event::Error { kind, .. }] if kind == "other-machine"),
        "{events:?}"
    );
    let events = gateway.sealed(&bob(), &chat(Some("main"), "hi")).await;
    assert_eq!(not_kept(&events), None);

    std::fs::write(&key, first).unwrap();
    gateway.restart().await;
    let history = gateway.history(&ada(), "main").await;
    assert_eq!(history, ["sealed by the first key", "Hello there"]);
}

/// Checks that Ada, who chose a model that cannot be read, is refused for this kind and nobody is asked, and that Bob, who
/// chose none, is answered.
async fn check_that_no_other_model_is_asked(gateway: &TestGateway, refusal: &str) {
    let asked = gateway.one.requests().len();
    let events = gateway.sealed(&ada(), &chat(Some("main"), "hi")).await;
    let [Event::Error { kind, message }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(kind, refusal);
    assert!(message.contains("the model that you chose"), "{message}");
    let mut client = gateway.operator(&ada()).await;
    for method in ["agent", "chat.send"] {
        let question = json!({"message": "hi", "idempotencyKey": method, "sessionKey": "main"});
        let error = client.fail(method, &question).await;
        assert!(error["message"].as_str().unwrap().contains("model that you chose"), "{error}");
    }
    assert!(text_of(&gateway.sealed(&ada(), &chat(Some("main"), "/help")).await).contains("/new"));
    assert_eq!(gateway.one.requests().len(), asked);
    let events = gateway.sealed(&bob(), &chat(Some("main"), "hi")).await;
    assert_eq!(text_of(&events), "Hello there");
}

#[tokio::test]
async fn a_question_for_a_chosen_model_that_cannot_be_read_reaches_no_other() {
    let mut gateway = gateway();
    gateway.bind(&ada()).await;
    gateway.bind(&bob()).await;
    gateway.say(&ada(), "main", "/model spare/smollm2").await;
    gateway.app.sessions.close().await;
    check_that_no_other_model_is_asked(&gateway, "store").await;

    let key = gateway.root.path().join(&gateway.config.conversations.key_file);
    std::fs::remove_file(&key).unwrap();
    gateway.restart().await;
    check_that_no_other_model_is_asked(&gateway, "store").await;
    let events = gateway.sealed(&bob(), &chat(Some("main"), "hi")).await;
    let said = not_kept(&events).expect("a notice");
    assert!(!said.contains("who chose a model"), "it is known without the key: {said}");

    std::fs::write(&key, [7; 32]).unwrap();
    gateway.restart().await;
    check_that_no_other_model_is_asked(&gateway, "other-machine").await;
}

#[tokio::test]
async fn who_fills_their_room_is_told_and_takes_nothing_of_others() {
    let gateway = gateway_with(|config| {
        config.conversations.bytes_per_person = 2000;
        config.conversations.per_person = 2;
    });
    gateway.bind(&ada()).await;
    gateway.bind(&bob()).await;
    gateway.say(&ada(), "main", &"x".repeat(1500)).await;
    gateway.say(&bob(), "main", "bob's").await;

    let events = gateway.sealed(&ada(), &chat(Some("main"), &"y".repeat(1500))).await;

    assert_eq!(text_of(&events), "Hello there");
    assert!(not_kept(&events).is_some_and(|said| said.contains("Delete some")), "{events:?}");
    assert_eq!(gateway.history(&ada(), "main").await, [&*"x".repeat(1500), "Hello there"]);
    for session in ["2", "3"] {
        let events = gateway.sealed(&bob(), &chat(Some(session), "bob's")).await;
        assert_eq!(not_kept(&events).is_some(), session == "3", "one conversation too many");
    }
    assert_eq!(gateway.history(&bob(), "main").await, ["bob's", "Hello there"]);
}
