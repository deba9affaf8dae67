//! What a client is told beside a reply: a block of its own behind the text.

use serde_json::{Value, json};
use testkit::eventually;

use super::{
    super::{
        ada,
        backend::Script,
        compaction::{MODELS, question as long},
        gateway_with_models,
        memory::CALLS_TOOLS,
    },
    client::Client,
    question,
};

/// The blocks of the whole reply to a question.
async fn blocks(client: &mut Client, key: &str, text: &str) -> Vec<String> {
    client.call("chat.send", &question(key, text)).await;
    let last = loop {
        let event = client.event("chat").await;
        if event["state"] != "delta" {
            break event;
        }
    };
    assert_eq!(last["state"], "final", "{last}");
    let text = |block: &Value| block["text"].as_str().unwrap().to_owned();
    last["message"]["content"].as_array().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn where_the_model_makes_no_summary_the_cut_is_told() {
    let gateway = gateway_with_models(MODELS);
    gateway.bind(&ada()).await;
    gateway.one.script(Script::NoSummary);
    let mut client = gateway.operator(&ada()).await;
    let mut cuts = 0;
    for turn in 0..10 {
        let blocks = blocks(&mut client, &turn.to_string(), &long(turn)).await;
        assert_eq!(blocks[0], "Hello there");
        cuts += blocks[1..].len();
        assert!(blocks[1..].iter().all(|it| it.contains("beginning")), "{blocks:?}");
    }
    assert!((1..5).contains(&cuts), "{cuts} cuts");
    assert_eq!(gateway.history(&ada(), "main").await.len(), 20, "all messages are kept");
}

#[tokio::test]
async fn a_reply_is_stopped_also_while_the_model_summarizes() {
    let gateway = gateway_with_models(MODELS);
    gateway.bind(&ada()).await;
    let mut client = gateway.operator(&ada()).await;
    let mut turns = 0;
    loop {
        gateway.one.script(Script::Endless);
        let (key, asked) = (turns.to_string(), gateway.one.requests().len());
        let begun = client.call("chat.send", &question(&key, &long(turns))).await;
        assert_eq!(begun, json!({"runId": key, "status": "started"}));
        eventually("the model is asked", async || gateway.one.requests().len() > asked).await;
        let stop = json!({"sessionKey": "agent:main:main", "runId": key});
        assert_eq!(client.call("chat.abort", &stop).await["aborted"], true);
        while client.event("chat").await["state"] != "aborted" {}
        gateway.one.until_open(0).await;
        let request = gateway.one.requests().pop().unwrap().to_string();
        if request.contains("Summarize the conversation") {
            break;
        }
        gateway.one.script(Script::Hello);
        gateway.say(&ada(), "main", &long(turns)).await;
        turns += 1;
    }
    assert_eq!(gateway.history(&ada(), "main").await.len(), 2 * turns, "no cut reply is kept");
}

#[tokio::test]
async fn what_the_ai_adds_to_the_memory_is_told() {
    let gateway = gateway_with_models(CALLS_TOOLS);
    gateway.bind(&ada()).await;
    gateway.one.script(Script::Remembers);
    let mut client = gateway.operator(&ada()).await;
    let said = blocks(&mut client, "one", "/memory on").await;
    assert!(said[0].starts_with("From now on the AI may add"), "{said:?}");

    let blocks = blocks(&mut client, "two", "I have a cat").await;
    assert_eq!(blocks, ["Hello there", "The AI added to your memory: Ada has a cat"]);
    assert_eq!(gateway.remembered(&ada()).await, "- Ada has a cat\n");
    assert_eq!(gateway.history(&ada(), "main").await, ["I have a cat", "Hello there"]);
}
