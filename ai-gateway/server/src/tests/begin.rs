//! How streamed answers begin while a model reads a long prompt: soon, and so that stock clients read on.

use std::time::Duration;

use serde_json::{Value, json};

use super::{House, ada, backend::Script, client::Answer, house_with};

const SOON: Duration = Duration::from_secs(10);
const PATHS: [&str; 2] = ["/v1/chat/completions", "/api/chat"];

/// A gateway that does not wait for a first token before it answers.
fn hasty() -> House {
    house_with(|config| config.limits.headers_seconds = 0)
}

async fn ask(house: &House, path: &str) -> Answer {
    let message = json!({"role": "user", "content": "hi"});
    let body = json!({"model": "maru", "stream": true, "messages": [message]});
    let answer = house.post(&ada(), path, &body).await;
    assert_eq!(answer.status, 200, "{path}");
    answer
}

/// The first piece of an answer that says nothing yet.
async fn nothing(answer: &mut Answer) -> String {
    let piece = answer.piece().await.unwrap().unwrap();
    String::from_utf8(piece.to_vec()).unwrap()
}

#[tokio::test]
async fn an_answer_begins_before_the_first_token_and_the_reply_follows() {
    let house = hasty();
    house.one.script(Script::Reads);

    let mut answer = ask(&house, PATHS[0]).await;
    assert_eq!(nothing(&mut answer).await, ":\n\n", "a comment, which clients leave out");
    house.one.until_open(1, SOON).await;
    house.one.release(1);
    let text = answer.text().await;
    let events = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let events: Vec<_> = events.collect();
    let first: Value = serde_json::from_str(events[0]).unwrap();
    assert_eq!(first["model"], "llamacpp/smollm2");
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    assert!(events[1].contains("Hello") && events.last() == Some(&"[DONE]"), "{text}");

    let mut answer = ask(&house, PATHS[1]).await;
    let first: Value = serde_json::from_str(&nothing(&mut answer).await).unwrap();
    assert_eq!((&first["message"]["content"], &first["done"]), (&json!(""), &json!(false)));
    house.one.until_open(1, SOON).await;
    house.one.release(1);
    let text = answer.text().await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["message"]["content"], "Hello");
    let last = lines.last().unwrap();
    assert_eq!((&last["done"], &last["model"]), (&json!(true), &json!("llamacpp/smollm2")));
    assert!(last["prompt_eval_duration"].as_u64() > Some(0), "{last}");
}

#[tokio::test]
async fn what_goes_wrong_after_that_is_the_last_event_or_line() {
    for path in PATHS {
        let mut house = hasty();
        house.one.script(Script::Breaks);
        house.two.kill().await;
        let mut answer = ask(&house, path).await;
        nothing(&mut answer).await;
        house.one.until_open(1, SOON).await;
        house.one.release(1);
        let text = answer.text().await;
        let last = text.trim_end().lines().last().unwrap();
        let error: Value = serde_json::from_str(last.trim_start_matches("data: ")).unwrap();
        assert!(error["error"].to_string().to_lowercase().contains("no model answers"), "{text}");
        assert!(!text.contains("[DONE]") && !text.contains("\"done\":true"), "{text}");
    }
}

#[tokio::test]
async fn leaving_before_the_first_token_stops_the_model() {
    for path in PATHS {
        let house = hasty();
        house.one.script(Script::Silent);
        let mut answer = ask(&house, path).await;
        nothing(&mut answer).await;
        house.one.until_open(1, SOON).await;
        drop(answer);
        house.one.until_open(0, SOON).await;
    }
}

#[tokio::test]
async fn what_is_not_streamed_waits_for_its_status() {
    let mut house = hasty();
    house.one.kill().await;
    house.two.kill().await;
    for path in PATHS {
        let message = json!({"role": "user", "content": "hi"});
        let body = json!({"model": "maru", "stream": false, "messages": [message]});
        assert_eq!(house.post(&ada(), path, &body).await.status, 502, "{path}");
    }
}
