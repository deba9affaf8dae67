//! What the next turn of a conversation saves, and that it is nobody else's.

use serde_json::{Value, json};

use super::support::Engine;

/// A prompt of more than a hundred tokens.
fn long() -> String {
    (0..40).map(|number| format!("{number} ships sail on the sea. ")).collect()
}

fn body(owner: Option<&str>, messages: &Value) -> Value {
    let mut body = json!({ "messages": messages, "max_tokens": 12, "temperature": 0 });
    if let Some(owner) = owner {
        body["prompt_cache_key"] = owner.into();
    }
    body
}

fn question() -> Value {
    json!([{ "role": "user", "content": long() }])
}

/// Asks; returns tokens of the prompt, those of them that were cached, and the reply.
async fn ask(engine: &Engine, owner: Option<&str>, messages: &Value) -> (u64, u64, String) {
    let (status, answer) = engine.post(&body(owner, messages)).await;
    assert_eq!(status, 200, "{answer}");
    let usage = &answer["usage"];
    let (prompt, cached) =
        (&usage["prompt_tokens"], &usage["prompt_tokens_details"]["cached_tokens"]);
    let timings = &answer["timings"];
    let (prompt, cached) = (prompt.as_u64().unwrap(), cached.as_u64().unwrap());
    assert_eq!(timings["prompt_n"].as_u64().unwrap() + cached, prompt, "{timings}");
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    (prompt, cached, text)
}

#[tokio::test]
#[ignore = "needs: model"]
async fn the_next_turn_reads_only_what_is_new() {
    let engine = Engine::start(&[]).await;
    let (first, cached, reply) = ask(&engine, Some("a"), &question()).await;
    assert!(first > 100 && cached == 0, "{first} {cached}");

    let next = json!([
        { "role": "user", "content": long() },
        { "role": "assistant", "content": reply },
        { "role": "user", "content": "And then?" },
    ]);
    let (second, cached, reply) = ask(&engine, Some("a"), &next).await;
    assert!(cached >= first && cached > second - 30, "{cached} of {second}");

    // The same without a cache says the same.
    let (_, none, same) = ask(&engine, None, &next).await;
    assert_eq!((none, same), (0, reply));
}

#[tokio::test]
#[ignore = "needs: model"]
async fn nobody_profits_from_anothers_prompt() {
    let engine = Engine::start(&["--slots", "3"]).await;
    let (prompt, cached, _) = ask(&engine, Some("a"), &question()).await;
    assert_eq!(cached, 0);
    for (owner, expected) in [(Some("b"), 0), (None, 0), (Some("a"), prompt - 1), (None, 0)] {
        let (_, cached, _) = ask(&engine, owner, &question()).await;
        assert_eq!(cached, expected, "{owner:?}");
    }
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_conversation_without_a_slot_is_stored_and_restored() {
    let engine = Engine::start(&["--slots", "1"]).await;
    let (prompt, _, reply) = ask(&engine, Some("a"), &question()).await;
    let (_, cached, _) = ask(&engine, Some("b"), &question()).await;
    assert_eq!(cached, 0);
    let (_, cached, same) = ask(&engine, Some("a"), &question()).await;
    assert_eq!((cached, same), (prompt - 1, reply));
}

#[tokio::test]
#[ignore = "needs: model"]
async fn two_conversations_of_one_person_do_not_drive_each_other_out() {
    let engine = Engine::start(&["--slots", "1"]).await;
    let household =
        json!({ "role": "system", "content": "You answer for a household. ".repeat(8) });
    let of = |content: String| json!([household, { "role": "user", "content": content }]);
    let (one, other) = (of(long()), of(long().replace("ships", "birds")));
    let (prompt, _, _) = ask(&engine, Some("a"), &one).await;
    let (_, cached, _) = ask(&engine, Some("a"), &other).await;
    assert!(cached > 30 && cached < prompt / 2, "only the beginning is the same: {cached}");
    let (_, cached, _) = ask(&engine, Some("a"), &one).await;
    assert_eq!(cached, prompt - 1);
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_conversation_is_forgotten_after_its_time_and_without_memory() {
    let engine = Engine::start(&["--cache-seconds", "1"]).await;
    ask(&engine, Some("a"), &question()).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(ask(&engine, Some("a"), &question()).await.1, 0, "too old");

    let engine = Engine::start(&["--cache-seconds", "0"]).await;
    ask(&engine, Some("a"), &question()).await;
    assert_eq!(ask(&engine, Some("a"), &question()).await.1, 0, "switched off");

    let engine = Engine::start(&["--slots", "1", "--cache-mib", "0"]).await;
    ask(&engine, Some("a"), &question()).await;
    ask(&engine, Some("b"), &question()).await;
    assert_eq!(ask(&engine, Some("a"), &question()).await.1, 0, "there was no room for it");
}

#[tokio::test]
#[ignore = "needs: model"]
async fn a_key_that_is_too_long_is_refused() {
    let engine = Engine::start(&[]).await;
    let (status, answer) = engine.post(&body(Some(&"k".repeat(65)), &question())).await;
    assert_eq!(status, 400);
    assert!(answer["error"]["message"].as_str().unwrap().contains("prompt_cache_key"), "{answer}");
}

/// The store has room for two: a third drives one out while another is looked for.
#[tokio::test]
#[ignore = "needs: model"]
async fn a_full_store_gives_nobody_anothers_conversation() {
    let engine = Engine::start(&["--slots", "1", "--cache-mib", "24"]).await;
    let of = |what: &str| json!([{ "role": "user", "content": long().replace("ships", what) }]);
    let [carol, bob, ada] = ["ships", "birds", "clouds"].map(of);
    for (owner, question) in [("c", &carol), ("b", &bob), ("a", &ada)] {
        ask(&engine, Some(owner), question).await;
    }
    let (prompt, cached, reply) = ask(&engine, Some("c"), &carol).await;
    assert_eq!(cached, prompt - 1);
    // And nobody else's is called theirs.
    let (_, cached, _) = ask(&engine, Some("c"), &bob).await;
    assert!(cached < prompt / 2, "{cached}");
    let (_, _, alone) = ask(&engine, None, &carol).await;
    assert_eq!(reply, alone);
}
