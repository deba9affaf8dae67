//! OpenAI's API on mesh port 18789.

mod errors;
mod vocabulary;

use serde_json::{Value, json};
use testkit::http::Response;

use super::{TestGateway, ada, backend::Script, gateway, gateway_with, gateway_with_models};

async fn complete(gateway: &TestGateway, extra: Value) -> Response {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    for (key, value) in extra.as_object().unwrap() {
        body[key] = value.clone();
    }
    gateway.post(&ada(), "/v1/chat/completions", &body).await
}

/// The data of each event.
async fn events(answer: Response) -> Vec<String> {
    assert_eq!(answer.status, 200);
    let text = answer.text().await;
    let data =
        |event: &str| event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event}")).to_owned();
    text.split_terminator("\n\n").map(data).collect()
}

fn parse(event: &str) -> Value {
    serde_json::from_str(event).unwrap_or_else(|_| panic!("{event}"))
}

#[tokio::test]
async fn a_whole_reply_has_openais_shape() {
    let gateway = gateway();
    let reply = complete(&gateway, json!({})).await.json().await;
    assert_eq!(reply["object"], "chat.completion");
    assert_eq!(reply["model"], "llamacpp/smollm2");
    assert!(reply["id"].as_str().unwrap().starts_with("chatcmpl-"));
    let choice = json!({
        "index": 0,
        "logprobs": null,
        "message": {"role": "assistant", "content": "Hello there"},
        "finish_reason": "stop",
    });
    assert_eq!(reply["choices"], json!([choice]));
    assert_eq!(
        reply["usage"],
        json!({"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9})
    );
}

#[tokio::test]
async fn a_streamed_reply_has_openais_shape() {
    let gateway = gateway();
    let stream =
        complete(&gateway, json!({"stream": true, "stream_options": {"include_usage": true}}))
            .await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    let events = events(stream).await;
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    let chunks: Vec<Value> = chunks.iter().map(|chunk| parse(chunk)).collect();
    let deltas: Vec<_> = chunks.iter().filter_map(|chunk| chunk["choices"].get(0)).collect();
    assert_eq!(deltas[0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(deltas[1]["delta"], json!({"content": "Hello"}));
    assert_eq!(deltas[2]["delta"], json!({"content": " there"}));
    assert_eq!(deltas[3]["finish_reason"], "stop");
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 9);
    let ids: std::collections::HashSet<_> =
        chunks.iter().map(|chunk| chunk["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);

    let plain = self::events(complete(&gateway, json!({"stream": true})).await).await;
    assert!(!plain.concat().contains("usage"), "not asked for");
}

#[tokio::test]
async fn options_reach_the_model_and_tokens_are_capped() {
    let gateway = gateway_with(|config| config.limits.max_tokens = 1000);
    let options = json!({
        "temperature": 0.0, "top_p": 0.5, "seed": 42, "stop": ["\n"], "ignore_eos": true, "max_tokens": 900,
        "user": "ignored",
    });
    assert_eq!(complete(&gateway, options.clone()).await.status, 200);
    let sent = gateway.one.requests().pop().unwrap();
    for key in ["temperature", "top_p", "seed", "stop", "ignore_eos", "max_tokens"] {
        assert_eq!(sent[key], options[key], "{key}");
    }
    complete(&gateway, json!({"max_tokens": 100_000})).await;
    complete(&gateway, json!({})).await;
    let sent: Vec<_> =
        gateway.one.requests().iter().map(|request| request["max_tokens"].clone()).collect();
    assert_eq!(sent[1..], [1000, 512], "the cap, and the model's own number");
}

#[tokio::test]
async fn the_households_prompt_is_for_the_household_alone() {
    let gateway = gateway();
    let own =
        json!([{"role": "system", "content": "Be a pirate."}, {"role": "user", "content": "hi"}]);
    let plain = json!([{"role": "user", "content": "hi"}]);
    for (more, expected) in [
        (json!({}), None),
        (json!({"model": "maru"}), None),
        (json!({"model": "openclaw/default"}), None),
        (json!({"messages": own}), Some(&own)),
        (json!({"model": "llamacpp/smollm2"}), Some(&plain)),
        (json!({"model": "llamacpp/smollm2:latest"}), Some(&plain)),
        (json!({"model": "llamacpp/smollm2", "messages": own}), Some(&own)),
    ] {
        assert_eq!(complete(&gateway, more.clone()).await.status, 200);
        let sent = gateway.one.requests().pop().unwrap();
        match expected {
            Some(messages) => assert_eq!(&sent["messages"], messages, "{more}"),
            None => {
                let prompt = sent["messages"][0]["content"].as_str().unwrap();
                assert!(prompt.contains("SOUL.md"), "{more}: {prompt}");
                assert_eq!(sent["messages"][1], plain[0]);
            }
        }
    }
}

#[tokio::test]
async fn nothing_of_a_long_conversation_is_left_out() {
    let gateway = gateway();
    let message = |index| json!({"role": if index % 2 == 0 { "user" } else { "assistant" }, "content": "x".repeat(500)});
    let messages: Vec<_> = (0..41).map(message).collect();
    for model in ["maru", "llamacpp/smollm2"] {
        complete(&gateway, json!({"model": model, "messages": messages})).await;
        let sent = gateway.one.requests().pop().unwrap();
        let sent = sent["messages"].as_array().unwrap();
        assert_eq!(sent[sent.len() - 41..], messages, "{model}");
    }
}

#[tokio::test]
async fn a_body_may_be_larger_than_the_locked_memory() {
    let gateway = gateway();
    let image = format!("data:image/png;base64,iVBORw0KGgoAAAAN{}", "A".repeat(9_000_000));
    let part = json!({"type": "image_url", "image_url": {"url": image}});
    let message = json!({"role": "user", "content": [part]});
    let answer =
        complete(&gateway, json!({"model": "llamacpp/smollm2", "messages": [message]})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(gateway.one.requests()[0]["messages"][0]["content"][0], part);
}

#[tokio::test]
async fn a_model_is_described_by_any_of_its_names() {
    let gateway = gateway();
    for name in ["llamacpp/smollm2", "llamacpp/smollm2:latest", "smollm2", "llamacpp%2Fsmollm2"] {
        let model = gateway.get(&ada(), &format!("/v1/models/{name}")).await.json().await;
        assert_eq!((&model["id"], &model["object"]), (&json!("llamacpp/smollm2"), &json!("model")));
    }
    let maru = gateway.get(&ada(), "/v1/models/openclaw/default").await.json().await;
    assert_eq!(maru["id"], "maru");
    let answer = gateway.get(&ada(), "/v1/models/gpt-4").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json().await["error"]["code"], "model_not_found");
}

#[tokio::test]
async fn a_text_is_continued_streamed_or_not() {
    let gateway = gateway();
    let ask = async |body: Value| gateway.post(&ada(), "/v1/completions", &body).await;
    let body = json!({"model": "llamacpp/smollm2", "prompt": "Once", "max_tokens": 9});
    let whole = ask(body.clone()).await.json().await;
    assert_eq!(whole["object"], "text_completion");
    let choice =
        json!({"index": 0, "text": "Hello there", "logprobs": null, "finish_reason": "stop"});
    assert_eq!(whole["choices"], json!([choice]));
    assert_eq!(whole["usage"]["total_tokens"], 9);
    let sent = gateway.one.requests().pop().unwrap();
    assert_eq!(sent["messages"], json!([{"role": "user", "content": "Once"}]));
    assert_eq!(sent["max_tokens"], 9);

    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    streamed["prompt"] = json!(["Once"]);
    let events = events(ask(streamed).await).await;
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    let chunks: Vec<Value> = chunks.iter().map(|chunk| parse(chunk)).collect();
    let texts: Vec<_> = chunks.iter().map(|chunk| &chunk["choices"][0]["text"]).collect();
    assert_eq!(texts, ["Hello", " there", ""]);
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "stop");

    let mut gap = body.clone();
    gap["suffix"] = json!("end");
    let refused = ask(gap).await;
    assert_eq!(refused.status, 400);
    let error = refused.json().await;
    let words = "Llamacpp/smollm2 does not support insert.";
    assert!(error["error"]["message"].as_str().unwrap().starts_with(words), "{error}");
    assert_eq!(gateway.one.requests().len(), 2, "it was not asked");
    for (key, value) in
        [("prompt", json!(["a", "b"])), ("prompt", json!([1, 2])), ("echo", json!(true))]
    {
        let mut wrong = body.clone();
        wrong[key] = value;
        assert_eq!(ask(wrong).await.status, 400, "{key}");
    }
}

#[tokio::test]
async fn a_gap_is_filled_by_a_model_of_which_the_settings_say_that_it_can() {
    let gateway = gateway_with_models(
        r#"{models: {providers: {llamacpp: {baseUrl: "unix:///run/maru/inference/llm.sock", models: [
            {id: "smollm2", compat: {supportsInsert: true}}, {id: "other"}]}}}}"#,
    );
    let body =
        |model: &str| json!({"model": model, "prompt": "Once", "suffix": "time", "max_tokens": 9});
    let filled = gateway.post(&ada(), "/v1/completions", &body("maru")).await.json().await;
    assert_eq!(filled["choices"][0]["text"], " upon");
    assert_eq!(filled["usage"]["completion_tokens"], 1);
    let sent = gateway.one.requests().pop().unwrap();
    assert_eq!((&sent["prompt"], &sent["suffix"]), (&json!("Once"), &json!("time")));
    assert_eq!(
        (sent.get("messages"), &sent["max_tokens"]),
        (None, &json!(9)),
        "no prompt of the household's"
    );

    let shown = gateway.post(&ada(), "/api/show", &json!({"model": "smollm2"})).await.json().await;
    assert_eq!(shown["capabilities"], json!(["completion", "insert"]));
    let refused = gateway.post(&ada(), "/v1/completions", &body("other")).await;
    refused.openai_error(400, "unsupported_parameter").await;
    assert_eq!(gateway.one.requests().len(), 1);
}

#[tokio::test]
async fn models_are_listed_the_primary_first() {
    let gateway = gateway();
    let list = gateway.get(&ada(), "/v1/models").await.json().await;
    assert_eq!(list["object"], "list");
    let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["maru", "llamacpp/smollm2", "spare/smollm2"]);
    assert_eq!(list["data"][0]["object"], "model");
}

#[tokio::test]
async fn leaving_stops_the_model_streamed_or_not() {
    let gateway = gateway();
    gateway.one.script(Script::Endless);
    let mut stream = complete(&gateway, json!({"stream": true})).await;
    let mut seen = String::new();
    while !seen.contains("Hello") {
        seen.push_str(std::str::from_utf8(&stream.piece().await.unwrap().unwrap()).unwrap());
    }
    assert_eq!(gateway.one.open(), 1, "the model is still at it");
    drop(stream);
    gateway.one.until_open(0).await;

    for script in [Script::Endless, Script::Silent] {
        gateway.one.script(script);
        let whole = complete(&gateway, json!({}));
        tokio::select! {
            biased;
            _ = whole => panic!("it has no end"),
            () = gateway.one.until_open(1) => {}
        }
        gateway.one.until_open(0).await;
    }
}

#[tokio::test]
async fn the_fallback_answers_and_all_down_is_an_error_with_what_to_do() {
    let mut gateway = gateway();
    gateway.one.kill().await;
    assert_eq!(complete(&gateway, json!({})).await.json().await["model"], "spare/smollm2");
    gateway.two.kill().await;
    for stream in [true, false] {
        let answer = complete(&gateway, json!({"stream": stream})).await;
        assert_eq!(answer.status, 502);
        let error = answer.json().await;
        assert!(error["error"]["message"].as_str().unwrap().contains("maru doctor"), "{error}");
    }
}
