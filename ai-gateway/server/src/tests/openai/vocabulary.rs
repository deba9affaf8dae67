//! What a client asks for arrives at the model, and what the model says arrives at the client.

use axum::{body::Body, http::Method};
use serde_json::{Value, json};
use testkit::http::request;

use super::super::{
    ada, backend::Script, client::try_send, gateway, gateway_with_models, gateway_without_fallback,
};
use super::{complete, events, parse};

const PNG: &str = "data:image/png;base64,iVBORw0KGgoAAAAN";

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}})
}

#[tokio::test]
async fn everything_that_changes_the_answer_reaches_the_model() {
    let gateway = gateway();
    let asked = json!({
        "model": "llamacpp/smollm2",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": PNG}},
            ]},
            {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ]},
            {"role": "tool", "content": "1", "tool_call_id": "c1", "name": "f"},
        ],
        "tools": [tool()],
        "tool_choice": "required",
        "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
        "reasoning_effort": "low",
        "top_k": 3,
        "min_p": 0.5,
        "frequency_penalty": 1.0,
        "presence_penalty": 0.5,
        "repeat_penalty": 1.5,
        "logit_bias": {"7": -100.0},
        "logprobs": true,
        "top_logprobs": 2,
    });
    assert_eq!(complete(&gateway, asked.clone()).await.status, 200);
    let sent = gateway.one.requests().pop().unwrap();
    for (key, value) in asked.as_object().unwrap().iter().filter(|(key, _)| *key != "model") {
        assert_eq!(&sent[key], value, "{key}");
    }
}

/// Half an emoji, as JavaScript programs send it that cut text.
#[tokio::test]
async fn half_a_character_reaches_the_model_as_the_replacement_character() {
    let gateway = gateway();
    let (text, host) =
        (r#"{"messages":[{"role":"user","content":"cut \ud83d"}]}"#, "chat.maru.home.arpa:18789");
    let asked = request(Method::POST, "/v1/chat/completions", host, Some(&json!({})));
    let asked = asked.map(|_: Body| Body::from(text));
    let answer = try_send(&gateway.agent_socket(), Some(&ada().header), asked).await.unwrap();
    assert_eq!(answer.status, 200);
    let sent = gateway.one.requests().pop().unwrap();
    assert_eq!(sent["messages"].as_array().unwrap().last().unwrap()["content"], "cut \u{fffd}");
}

#[tokio::test]
async fn thoughts_and_tool_calls_come_back_whole() {
    let gateway = gateway();
    gateway.one.script(Script::Calls);
    let reply = complete(&gateway, json!({"tools": [tool()]})).await.json().await;
    let call = |id: &str, name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        json!({"id": id, "type": "function", "function": function})
    };
    let message = json!({
        "role": "assistant",
        "content": null,
        "reasoning_content": "hm",
        "reasoning": "hm",
        "tool_calls": [call("c1", "f", "{\"a\":1}"), call("c2", "g", "{}")],
    });
    assert_eq!(reply["choices"][0]["message"], message);
    assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls", "clients wait for this word");
}

#[tokio::test]
async fn thoughts_and_tool_calls_come_back_streamed() {
    let gateway = gateway();
    gateway.one.script(Script::Calls);
    let events = events(complete(&gateway, json!({"tools": [tool()], "stream": true})).await).await;
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done, "[DONE]");
    let chunks: Vec<Value> = chunks.iter().map(|chunk| parse(chunk)).collect();
    let deltas: Vec<_> = chunks.iter().map(|chunk| chunk["choices"][0]["delta"].clone()).collect();
    let piece = |index: u32, arguments: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]});
    let first = |index: u32, id: &str, name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
    };
    let expected = [
        json!({"role": "assistant", "content": ""}),
        json!({"reasoning_content": "hm", "reasoning": "hm"}),
        first(0, "c1", "f", ""),
        piece(0, "{\"a\":"),
        piece(0, "1}"),
        first(1, "c2", "g", "{}"),
        json!({}),
    ];
    assert_eq!(deltas, expected);
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn where_one_call_at_a_time_was_asked_for_the_first_alone_comes_back() {
    let gateway = gateway();
    gateway.one.script(Script::Calls);
    let asked = |stream: bool| {
        complete(
            &gateway,
            json!({"tools": [tool()], "parallel_tool_calls": false, "stream": stream}),
        )
    };

    let reply = asked(false).await.json().await;
    let events = events(asked(true).await).await;

    let function = json!({"name": "f", "arguments": "{\"a\":1}"});
    let call = json!({"id": "c1", "type": "function", "function": function});
    assert_eq!(reply["choices"][0]["message"]["tool_calls"], json!([call]));
    assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls");
    let events = events.concat();
    assert!(events.contains("\"c1\"") && !events.contains("\"c2\""), "{events}");
}

#[tokio::test]
async fn likelihoods_come_back_whole_and_streamed() {
    let gateway = gateway();
    gateway.one.script(Script::Likelihoods);
    let reply = complete(&gateway, json!({"logprobs": true})).await.json().await;
    let likelihood = |choice: &Value| choice["logprobs"]["content"][0]["logprob"].as_f64();
    assert_eq!(reply["choices"][0]["logprobs"]["content"].as_array().unwrap().len(), 2);
    assert_eq!(likelihood(&reply["choices"][0]), Some(-0.25));
    let events = events(complete(&gateway, json!({"logprobs": true, "stream": true})).await).await;
    let streamed: Vec<_> =
        events[1..3].iter().map(|event| likelihood(&parse(event)["choices"][0])).collect();
    assert_eq!(streamed, [Some(-0.25), Some(-0.5)], "that of a token without text, too");
}

/// vLLM counts the longest reply in with the conversation.
#[tokio::test]
async fn a_conversation_that_fits_is_answered_where_only_our_own_number_does_not_fit() {
    let gateway = gateway_without_fallback(|config| config.limits.default_tokens = 3);
    gateway.one.script(Script::Narrow);
    let reply = complete(&gateway, json!({})).await.json().await;
    let choice = &reply["choices"][0];
    assert_eq!(choice["message"]["content"], "HelloHelloHello", "as long as ours would let it be");
    assert_eq!(choice["finish_reason"], "length");
    let sent: Vec<_> =
        gateway.one.requests().iter().map(|request| request.get("max_tokens").cloned()).collect();
    assert_eq!(sent, [Some(json!(3)), None]);

    // Whoever names a number is told that it is too large.
    let answer = complete(&gateway, json!({"max_tokens": 5})).await;
    answer.openai_error(400, "context_length_exceeded").await;
    assert_eq!(gateway.one.requests().len(), 3);
}

#[tokio::test]
async fn a_capability_that_the_settings_deny_is_refused_before_the_request() {
    let gateway = gateway_with_models(
        r#"{models: {providers: {llamacpp: {baseUrl: "unix:///run/maru/inference/llm.sock", models: [
            {id: "smollm2", input: ["text"], reasoning: false, compat: {supportsTools: false}}]}}}}"#,
    );
    let image = json!({"type": "image_url", "image_url": {"url": PNG}});
    for (more, what) in [
        (json!({"tools": [tool()]}), "tools"),
        (json!({"messages": [{"role": "user", "content": [image]}]}), "vision"),
        (json!({"reasoning_effort": "high"}), "thinking"),
    ] {
        for stream in [false, true] {
            let mut more = more.clone();
            more["stream"] = json!(stream);
            let answer = complete(&gateway, more).await;
            assert_eq!(answer.status, 400);
            let error = answer.json().await;
            let words = format!("Llamacpp/smollm2 does not support {what}. ");
            assert!(error["error"]["message"].as_str().unwrap().starts_with(&words), "{error}");
        }
    }
    assert!(gateway.one.requests().is_empty());
    let thoughtless = complete(&gateway, json!({"reasoning_effort": "none"})).await;
    assert_eq!(thoughtless.status, 200);
    assert_eq!(gateway.one.requests()[0].get("reasoning_effort"), None);
}

#[tokio::test]
async fn vectors_come_as_numbers_and_as_base64() {
    let gateway = gateway();
    let ask = async |more: Value| {
        let mut body = json!({"model": "llamacpp/smollm2", "input": ["a", "b"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.post(&ada(), "/v1/embeddings", &body).await
    };
    let list = ask(json!({"encoding_format": "float", "user": "x"})).await.json().await;
    let one = |index: u32, vector: Value| json!({"object": "embedding", "index": index, "embedding": vector});
    assert_eq!(list["data"], json!([one(0, json!([0.0, -0.5])), one(1, json!([1.0, -0.5]))]));
    assert_eq!((&list["object"], &list["model"]), (&json!("list"), &json!("llamacpp/smollm2")));
    assert_eq!(list["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    assert_eq!(gateway.one.requests()[0]["input"], json!(["a", "b"]));

    let list = ask(json!({"encoding_format": "base64"})).await.json().await;
    assert_eq!(list["data"][1]["embedding"], "AACAPwAAAL8=", "1.0 and -0.5, little-endian");

    for (more, code) in [
        (json!({"input": [1, 2]}), "invalid_value"),
        (json!({"input": []}), "invalid_value"),
        (json!({"encoding_format": "int8"}), "invalid_value"),
        (json!({"task": "x"}), "unknown_parameter"),
    ] {
        ask(more).await.openai_error(400, code).await;
    }
    ask(json!({"model": "gpt-4"})).await.openai_error(404, "model_not_found").await;
}
