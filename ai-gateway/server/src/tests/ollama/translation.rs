//! Requests and replies that are translated between two APIs: tools, images, raw prompts, embeddings.

use super::*;

#[tokio::test]
async fn tools_images_shape_and_thoughts_go_through_an_ollama_and_back() {
    let (gateway, ollama) = gateway_of_ollama(concat!(
        "{\"message\":{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"음\"},\"done\":false}\n",
        "{\"message\":{\"content\":\"\",\"tool_calls\":[{\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":{\"a\":\"서울\"}}}]},\"done\":false}\n",
        "{\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":4,\"eval_count\":5}\n",
    ))
    .await;
    let tool =
        json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let asked = json!({"model": "qwen3:8b", "tools": [tool], "format": schema, "think": "low",
        "messages": [{"role": "user", "content": "what?", "images": [PNG]}],
        "options": {"num_ctx": 131_072, "num_predict": 9, "top_k": 3}});

    let said = lines(chat(&gateway, asked.clone()).await).await;

    assert_eq!(said[0]["message"]["thinking"], "음");
    let call =
        json!({"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": "서울"}}});
    assert_eq!(said[1]["message"]["tool_calls"], json!([call]));
    assert_eq!((&said[2]["done_reason"], &said[2]["eval_count"]), (&json!("stop"), &json!(5)));
    let sent = ollama.requests.lock().unwrap()[0].clone();
    for (key, expected) in [
        ("tools", json!([tool])),
        ("format", schema),
        ("think", json!("low")),
        ("messages", asked["messages"].clone()),
        ("options", json!({"num_ctx": 8192, "num_predict": 9, "top_k": 3})),
        ("model", json!("qwen3:8b")),
    ] {
        assert_eq!(sent[key], expected, "{key}");
    }
    let mut whole = asked;
    whole["stream"] = false.into();
    let reply = chat(&gateway, whole).await.json().await;
    assert_eq!(reply["message"]["tool_calls"], json!([call]));
    assert_eq!(reply["message"]["thinking"], "음");

    let shown = gateway.post(&ada(), "/api/show", &json!({"model": "qwen3:8b"})).await.json().await;
    assert_eq!(shown["capabilities"], json!(["tools", "vision"]), "as its backend told");
    assert_eq!(shown["model_info"]["maru.context_length"], 8192);
}

/// A case of `../shared/cases/cases.json`.
#[tokio::test]
#[ignore = "needs: shared"]
async fn an_ollama_holds_to_one_call_at_a_time() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases/cases.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let case = cases.into_iter().find(|case| case["id"] == "parallel-tool-calls-false-at-ollama");
    let request = case.unwrap()["request"].take();
    let (gateway, ollama) = gateway_of_ollama(concat!(
        "{\"message\":{\"content\":\"\",\"tool_calls\":[{\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":{}}},",
        "{\"id\":\"c2\",\"function\":{\"name\":\"f\",\"arguments\":{}}}]},\"done\":false}\n",
        "{\"message\":{\"content\":\"\",\"tool_calls\":[{\"id\":\"c3\",\"function\":{\"name\":\"f\",\"arguments\":{}}}]},\"done\":false}\n",
        "{\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":4,\"eval_count\":5}\n",
    ))
    .await;

    let path = request["path"].as_str().unwrap();
    let reply = gateway.post(&ada(), path, &request["body"]).await.json().await;

    let function = json!({"name": "f", "arguments": "{}"});
    let call = json!({"id": "c1", "type": "function", "function": function});
    assert_eq!(reply["choices"][0]["message"]["tool_calls"], json!([call]), "{reply}");
    assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(reply["usage"]["completion_tokens"], 5, "what is left out was generated, too");
    assert_eq!(ollama.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn arguments_that_are_no_object_are_an_error_of_the_model() {
    let (gateway, _ollama) = gateway_of_ollama(concat!(
        "{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":[1]}}]},\"done\":false}\n",
        "{\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":4.0,\"eval_count\":null}\n",
    ))
    .await;
    let said =
        error(chat(&gateway, json!({"model": "qwen3:8b", "stream": false})).await, 502).await;
    assert!(said.contains("arguments of a tool call are not a JSON object"), "{said}");
    let streamed = lines(chat(&gateway, json!({"model": "qwen3:8b"})).await).await;
    let last = streamed.last().unwrap()["error"].as_str().unwrap();
    assert!(last.contains("arguments of a tool call") && !last.contains("cut"), "{last}");
}

/// An Ollama leaves it out unseen.
#[tokio::test]
async fn an_image_for_a_model_that_sees_none_is_refused_in_ollamas_words() {
    let (gateway, ollama) = gateway_of_ollama("").await;
    let asked = json!({"model": "embed", "messages": [{"role": "user", "content": "what?", "images": [PNG]}]});
    let refused = error(chat(&gateway, asked).await, 400).await;
    assert!(refused.contains("home/embed does not support vision"), "{refused}");
    let asked = json!({"model": "embed", "prompt": "what?", "images": [PNG]});
    let refused = error(gateway.post(&ada(), "/api/generate", &asked).await, 400).await;
    assert!(refused.contains("home/embed does not support vision"), "{refused}");
    assert!(ollama.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_model_of_the_cloud_under_another_name_gets_no_word() {
    let (gateway, ollama) = gateway_of_ollama("").await;
    for name in ["far", "home/far:latest"] {
        let refused = error(chat(&gateway, json!({"model": name})).await, 400).await;
        assert!(refused.contains("cloud"), "{refused}");
    }
    let body = json!({"model": "far", "input": "text"});
    let refused = error(gateway.post(&ada(), "/api/embed", &body).await, 400).await;
    assert!(refused.contains("cloud"), "{refused}");
    assert!(ollama.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn likelihoods_of_a_token_without_text_come_in_their_line() {
    let (gateway, _ollama) = gateway_of_ollama(concat!(
        "{\"message\":{\"content\":\"\"},\"logprobs\":[{\"token\":\"\",\"logprob\":-0.5}],\"done\":false}\n",
        "{\"message\":{\"content\":\"안\"},\"logprobs\":[{\"token\":\"\",\"logprob\":-0.25}],\"done\":false}\n",
        "{\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":4,\"eval_count\":2}\n",
    ))
    .await;
    let said = lines(chat(&gateway, json!({"model": "qwen3:8b", "logprobs": true})).await).await;
    let likelihoods: Vec<_> =
        said.iter().filter_map(|line| line["logprobs"][0]["logprob"].as_f64()).collect();
    assert_eq!(likelihoods, [-0.5, -0.25]);
}

#[tokio::test]
async fn raw_prompts_and_gaps_reach_an_ollama_as_they_are() {
    let (gateway, ollama) = gateway_of_ollama(concat!(
        "{\"response\":\"\",\"thinking\":\"음\",\"done\":false}\n{\"response\":\" 안녕\",\"done\":false}\n",
        "{\"response\":\"\",\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":2,\"eval_count\":1}\n",
    ))
    .await;
    let ask = async |model: &str, extra: Value| {
        let mut body = json!({"model": model, "prompt": "a", "options": {"num_predict": 9}});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        gateway.post(&ada(), "/api/generate", &body).await
    };
    // The household's AI is told nothing before a raw prompt, either.
    for (model, extra) in
        [("maru", json!({"raw": true})), ("qwen3:8b", json!({"suffix": "b", "raw": false}))]
    {
        let said = lines(ask(model, extra.clone()).await).await;
        let (last, said) = said.split_last().unwrap();
        assert_eq!((&said[0]["thinking"], &said[1]["response"]), (&json!("음"), &json!(" 안녕")));
        assert_eq!((&last["done_reason"], &last["eval_count"]), (&json!("stop"), &json!(1)));
        let sent = ollama.requests.lock().unwrap().pop().unwrap();
        let mut expected = json!({"model": "qwen3:8b", "prompt": "a", "raw": false, "stream": true,
            "truncate": false, "shift": false, "options": {"num_ctx": 8192, "num_predict": 9}});
        expected.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        assert_eq!(sent, expected);
    }
    let refused = error(ask("embed", json!({"suffix": "b"})).await, 400).await;
    assert!(refused.contains("\"embed\" does not support insert"), "{refused}");
}

#[tokio::test]
async fn a_raw_prompt_reaches_another_server_without_a_template() {
    let mut gateway = gateway();
    let body = json!({"model": "smollm2", "prompt": "Once", "raw": true, "stream": false});
    let reply = gateway.post(&ada(), "/api/generate", &body).await.json().await;
    assert_eq!((&reply["response"], &reply["eval_count"]), (&json!(" upon"), &json!(1)));
    let sent = gateway.one.requests().pop().unwrap();
    assert_eq!((&sent["prompt"], sent.get("messages")), (&json!("Once"), None));
    assert_eq!(sent.get("raw"), None, "it is the path that says so");

    // It was written for one model: the next of the list answers chats in its place, and nothing raw.
    gateway.one.kill().await;
    let body = json!({"model": "maru", "prompt": "Once", "raw": true});
    error(gateway.post(&ada(), "/api/generate", &body).await, 502).await;
    assert!(gateway.two.requests().is_empty());
    assert_eq!(chat(&gateway, json!({"model": "maru"})).await.status, 200);
    assert_eq!(gateway.two.requests().len(), 1);
}

#[tokio::test]
async fn calls_that_come_in_pieces_arrive_whole() {
    let gateway = gateway();
    gateway.one.script(Script::Calls);
    let call = |id: &str, index: u32, name: &str, arguments: Value| json!({"id": id, "function": {"index": index, "name": name, "arguments": arguments}});
    let calls = json!([call("c1", 0, "f", json!({"a": 1})), call("c2", 1, "g", json!({}))]);

    let said = lines(chat(&gateway, json!({})).await).await;

    let with_calls: Vec<_> =
        said.iter().filter_map(|line| line["message"].get("tool_calls")).collect();
    assert_eq!(with_calls, [&calls]);
    assert_eq!(said.last().unwrap()["done_reason"], "stop");
    let whole = chat(&gateway, json!({"stream": false})).await.json().await;
    assert_eq!(
        whole["message"],
        json!({"role": "assistant", "content": "", "thinking": "hm", "tool_calls": calls})
    );
}

#[tokio::test]
async fn texts_become_vectors() {
    let (gateway, ollama) = gateway_of_ollama("").await;
    let body = json!({"model": "embed:latest", "input": "text", "dimensions": 2});
    let made = gateway.post(&ada(), "/api/embed", &body).await.json().await;
    assert_eq!(made["embeddings"], json!([[0.5, -1.0]]));
    assert_eq!((&made["prompt_eval_count"], &made["model"]), (&json!(3), &json!("home/embed")));
    let body = json!({"model": "embed", "prompt": "text"});
    let made = gateway.post(&ada(), "/api/embeddings", &body).await.json().await;
    assert_eq!(made, json!({"embedding": [0.5, -1.0]}));
    let expected = json!({"model": "embed", "input": ["text"], "truncate": false, "dimensions": 2});
    assert_eq!(ollama.requests.lock().unwrap()[0], expected);

    let empty = gateway.post(&ada(), "/api/embed", &json!({"model": "embed", "input": []})).await;
    assert_eq!(empty.json().await["embeddings"], json!([]));
    assert_eq!(ollama.requests.lock().unwrap().len(), 2, "nothing was asked");
    let body = json!({"model": "embed", "input": ["a", "b"]});
    let wrong = gateway.post(&ada(), "/api/embed", &body).await;
    let wrong = error(wrong, 502).await;
    assert!(wrong.contains("unknown format"), "{wrong}");
}
