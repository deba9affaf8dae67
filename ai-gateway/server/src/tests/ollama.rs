//! Ollama's API on mesh port 18789, before backends that speak OpenAI's API and before an Ollama.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    http::{Method, StatusCode, header},
    response::IntoResponse as _,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{net::UnixListener, task::JoinHandle};

use super::{
    House, ada,
    backend::Script,
    client::{Answer, request, try_send},
    house, house_with,
};

const SOON: Duration = Duration::from_secs(30);
const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";

async fn chat(house: &House, extra: Value) -> Answer {
    let mut body = json!({"model": "smollm2", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    house.post(&ada(), "/api/chat", &body).await
}

/// The lines of a streamed answer.
async fn lines(answer: Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let text = answer.text().await;
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

/// The sentence of an error in Ollama's shape.
async fn error(answer: Answer, status: u16) -> String {
    assert_eq!(answer.status, status);
    let body = answer.json().await;
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["error"].as_str().unwrap().to_owned()
}

/// An Ollama that keeps what it is sent.
struct Ollama {
    requests: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Drop for Ollama {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A gateway whose one provider is an Ollama that answers chats with these lines.
async fn house_of_ollama(lines: &'static str) -> (House, Ollama) {
    let mut house = house();
    let settings = r#"{models: {providers: {home: {api: "ollama", baseUrl: "unix:///run/maru/dial/ollama/http.sock",
        models: [{id: "qwen3:8b", contextWindow: 8192}, {id: "embed"}, {id: "far"}]}}}}"#;
    let file = house.root.path().join(&house.config.openclaw);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, settings).unwrap();
    let socket = house.root.path().join("run/maru/dial/ollama/http.sock");
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    let requests = Arc::<Mutex<Vec<Value>>>::default();
    let [chats, generations, embeds] = [(); 3].map(|()| Arc::clone(&requests));
    let shown = async |Json(body): Json<Value>| {
        let words =
            if body["model"] == "qwen3:8b" { &["tools", "vision"][..] } else { &["embedding"] };
        Json(json!({ "capabilities": words }))
    };
    // Of the last the name does not say that it runs in Ollama's cloud.
    let listed = json!({"models": [{"name": "qwen3:8b"}, {"name": "embed:latest"},
        {"name": "far:latest", "remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com:443"}]});
    let app = Router::new()
        .route("/api/version", get(async || Json(json!({"version": "0.17.4"}))))
        .route("/api/tags", get(async move || Json(listed)))
        .route("/api/show", post(shown))
        .route(
            "/api/chat",
            post(async move |Json(body): Json<Value>| {
                chats.lock().unwrap().push(body);
                ([(header::CONTENT_TYPE, "application/x-ndjson")], lines)
            }),
        )
        .route(
            "/api/generate",
            post(async move |Json(body): Json<Value>| {
                let gap = body.get("suffix").is_some_and(|_| body["model"] != "qwen3:8b");
                generations.lock().unwrap().push(body);
                if gap {
                    let words = json!({"error": "\"embed\" does not support insert"});
                    return (StatusCode::BAD_REQUEST, Json(words)).into_response();
                }
                ([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
            }),
        )
        .route(
            "/api/embed",
            post(async move |Json(body): Json<Value>| {
                embeds.lock().unwrap().push(body);
                Json(json!({"embeddings": [[0.5, -1.0]], "prompt_eval_count": 3}))
            }),
        );
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    house.restart().await;
    house.app.models.learn(false).await;
    (house, Ollama { requests, task })
}

#[tokio::test]
async fn a_streamed_reply_has_ollamas_shape() {
    let house = house();
    let lines = lines(chat(&house, json!({})).await).await;
    let (last, said) = lines.split_last().unwrap();
    let texts: Vec<_> = said.iter().map(|line| &line["message"]["content"]).collect();
    assert_eq!(texts, ["Hello", " there"]);
    assert!(
        said.iter().all(|line| line["done"] == false && line["message"]["role"] == "assistant")
    );
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));
    assert_eq!((&last["prompt_eval_count"], &last["eval_count"]), (&json!(7), &json!(2)));
    assert!(last["total_duration"].as_u64().unwrap() >= last["eval_duration"].as_u64().unwrap());
    assert_eq!(last["model"], "llamacpp/smollm2");
    assert!(last["created_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn whole_replies_have_ollamas_shape() {
    let house = house();
    let reply = chat(&house, json!({"stream": false})).await.json().await;
    assert_eq!(reply["message"], json!({"role": "assistant", "content": "Hello there"}));
    assert_eq!((&reply["done"], &reply["eval_count"]), (&json!(true), &json!(2)));

    let body = json!({"model": "smollm2", "prompt": "hi", "system": "Be brief.", "stream": false});
    let reply = house.post(&ada(), "/api/generate", &body).await.json().await;
    assert_eq!((&reply["response"], &reply["done"]), (&json!("Hello there"), &json!(true)));
    assert!(reply.get("message").is_none());
    let sent = house.one.requests().pop().unwrap();
    let expected =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]);
    assert_eq!(sent["messages"], expected);
}

#[tokio::test]
async fn the_households_prompt_stands_before_its_own_model_only() {
    let house = house();
    for (model, household) in [
        ("maru", true),
        ("maru:latest", true),
        ("smollm2", false),
        ("llamacpp/smollm2:latest", false),
    ] {
        assert_eq!(
            chat(&house, json!({"model": model, "stream": false})).await.status,
            200,
            "{model}"
        );
        let sent = house.one.requests().pop().unwrap();
        assert_eq!(
            sent["messages"].as_array().unwrap().len(),
            1 + usize::from(household),
            "{model}"
        );
    }
}

#[tokio::test]
async fn no_question_loads_and_unloads_without_asking_anybody() {
    let house = house();
    for (path, body, reason) in [
        ("/api/chat", json!({"model": "smollm2", "messages": []}), "load"),
        ("/api/chat", json!({"model": "smollm2", "messages": [], "keep_alive": 0}), "unload"),
        ("/api/generate", json!({"model": "smollm2"}), "load"),
        ("/api/generate", json!({"model": "smollm2", "keep_alive": "0s"}), "unload"),
    ] {
        let reply = house.post(&ada(), path, &body).await.json().await;
        assert_eq!((&reply["done"], &reply["done_reason"]), (&json!(true), &json!(reason)));
    }
    let unknown = json!({"model": "llama9", "messages": []});
    assert!(error(house.post(&ada(), "/api/chat", &unknown).await, 404).await.contains("llama9"));
    assert!(house.one.requests().is_empty());
}

#[tokio::test]
async fn clients_find_the_models_and_what_they_can_do() {
    let house = house();
    assert_eq!(house.get(&ada(), "/").await.text().await, "Ollama is running");
    assert_eq!(house.ask(&ada(), Method::HEAD, "/", None).await.status, 200);
    let version = house.get(&ada(), "/api/version").await.json().await;
    assert!(version["version"].as_str().unwrap().starts_with("0."));

    let tags = house.get(&ada(), "/api/tags").await.json().await;
    let names: Vec<_> = tags["models"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["maru:latest", "llamacpp/smollm2:latest", "spare/smollm2:latest"]);
    assert_eq!(tags["models"][0]["digest"].as_str().unwrap().len(), 64);
    for name in names {
        let body = json!({ "model": name });
        let shown = house.post(&ada(), "/api/show", &body).await.json().await;
        assert_eq!(shown["capabilities"], json!(["completion"]));
        assert_eq!(shown["model_info"]["maru.context_length"], 2048);
    }
    let ps = house.get(&ada(), "/api/ps").await.json().await;
    assert_eq!(ps["models"][0]["context_length"], 2048);
    let unknown = house.post(&ada(), "/api/show", &json!({"model": "llama9"})).await;
    assert!(error(unknown, 404).await.contains("llama9"));
}

#[tokio::test]
async fn models_are_changed_at_home_only() {
    let house = house();
    for (method, path, command) in [
        (Method::POST, "/api/pull", "maru model pull"),
        (Method::POST, "/api/create", "maru model pull"),
        (Method::POST, "/api/copy", "maru model use"),
        (Method::POST, "/api/push", "maru model list"),
        (Method::DELETE, "/api/delete", "maru model remove"),
        (Method::POST, "/api/blobs/sha256:00", "maru model pull"),
    ] {
        let answer = house.ask(&ada(), method, path, Some(&json!({"model": "m"}))).await;
        let said = error(answer, 403).await;
        assert!(said.contains(command), "{said}");
    }
}

#[tokio::test]
async fn every_error_has_ollamas_shape() {
    let house = house_with(|config| config.limits.max_plain_body_bytes = 2000);
    error(house.get(&ada(), "/api/nothing").await, 404).await;
    error(house.get(&ada(), "/api/chat").await, 405).await;
    error(
        chat(&house, json!({"messages": [{"role": "user", "content": "x".repeat(3000)}]})).await,
        413,
    )
    .await;
    for (extra, word) in [
        (json!({"speed": 1}), "`speed`"),
        (json!({"options": {"mirostat": 2}}), "`options.mirostat`"),
        (json!({"format": 7}), "`format`"),
    ] {
        let said = error(chat(&house, extra).await, 400).await;
        assert!(said.contains(word), "{said}");
    }
    let gap = json!({"model": "smollm2", "prompt": "hi", "suffix": "x"});
    let said = error(house.post(&ada(), "/api/generate", &gap).await, 400).await;
    assert!(said.contains("llamacpp/smollm2 does not support insert"), "{said}");
    let body = json!({});
    for (host, kind, status) in
        [("evil.example", "application/json", 421), ("chat.maru.internal:18789", "text/plain", 415)]
    {
        let mut request = request(Method::POST, "/api/chat", host, Some(&body));
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        let answer = try_send(&house.agent_socket(), Some(&ada().header), request).await.unwrap();
        error(answer, status).await;
    }
    house.one.script(Script::Refuse("too much text"));
    assert!(error(chat(&house, json!({})).await, 400).await.contains("too much text"));
}

#[tokio::test]
async fn a_cut_reply_ends_in_an_error_and_leaving_stops_the_model() {
    let house = house();
    house.one.script(Script::Cut);
    let cut = lines(chat(&house, json!({})).await).await;
    assert!(cut.last().unwrap()["error"].as_str().unwrap().contains("cut"), "{cut:?}");
    assert!(cut.iter().all(|line| line["done"] != true));
    error(chat(&house, json!({"stream": false})).await, 502).await;

    house.one.script(Script::Endless);
    let mut stream = chat(&house, json!({})).await;
    let first = stream.piece().await.unwrap().unwrap();
    assert!(std::str::from_utf8(&first).unwrap().contains("Hello"));
    drop(stream);
    house.one.until_open(0, SOON).await;
}

#[tokio::test]
async fn tools_images_shape_and_thoughts_go_through_an_ollama_and_back() {
    let (house, ollama) = house_of_ollama(concat!(
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

    let said = lines(chat(&house, asked.clone()).await).await;

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
    let reply = chat(&house, whole).await.json().await;
    assert_eq!(reply["message"]["tool_calls"], json!([call]));
    assert_eq!(reply["message"]["thinking"], "음");

    let shown = house.post(&ada(), "/api/show", &json!({"model": "qwen3:8b"})).await.json().await;
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
    let (house, ollama) = house_of_ollama(concat!(
        "{\"message\":{\"content\":\"\",\"tool_calls\":[{\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":{}}},",
        "{\"id\":\"c2\",\"function\":{\"name\":\"f\",\"arguments\":{}}}]},\"done\":false}\n",
        "{\"message\":{\"content\":\"\",\"tool_calls\":[{\"id\":\"c3\",\"function\":{\"name\":\"f\",\"arguments\":{}}}]},\"done\":false}\n",
        "{\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":4,\"eval_count\":5}\n",
    ))
    .await;

    let path = request["path"].as_str().unwrap();
    let reply = house.post(&ada(), path, &request["body"]).await.json().await;

    let function = json!({"name": "f", "arguments": "{}"});
    let call = json!({"id": "c1", "type": "function", "function": function});
    assert_eq!(reply["choices"][0]["message"]["tool_calls"], json!([call]), "{reply}");
    assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(reply["usage"]["completion_tokens"], 5, "what is left out was generated, too");
    assert_eq!(ollama.requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn arguments_that_are_no_object_are_told_as_what_the_model_wrote() {
    let (house, _ollama) = house_of_ollama(concat!(
        "{\"message\":{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":[1]}}]},\"done\":false}\n",
        "{\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":4.0,\"eval_count\":null}\n",
    ))
    .await;
    let said = error(chat(&house, json!({"model": "qwen3:8b", "stream": false})).await, 502).await;
    assert!(said.contains("arguments of a call are no JSON object"), "{said}");
    let streamed = lines(chat(&house, json!({"model": "qwen3:8b"})).await).await;
    let last = streamed.last().unwrap()["error"].as_str().unwrap();
    assert!(last.contains("arguments of a call") && !last.contains("cut"), "{last}");
}

/// An Ollama leaves it out unseen.
#[tokio::test]
async fn an_image_for_a_model_that_sees_none_is_refused_in_ollamas_words() {
    let (house, ollama) = house_of_ollama("").await;
    let asked = json!({"model": "embed", "messages": [{"role": "user", "content": "what?", "images": [PNG]}]});
    let refused = error(chat(&house, asked).await, 400).await;
    assert!(refused.contains("home/embed does not support vision"), "{refused}");
    let asked = json!({"model": "embed", "prompt": "what?", "images": [PNG]});
    let refused = error(house.post(&ada(), "/api/generate", &asked).await, 400).await;
    assert!(refused.contains("home/embed does not support vision"), "{refused}");
    assert!(ollama.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_model_of_the_cloud_under_another_name_gets_no_word() {
    let (house, ollama) = house_of_ollama("").await;
    for name in ["far", "home/far:latest"] {
        let refused = error(chat(&house, json!({"model": name})).await, 400).await;
        assert!(refused.contains("cloud"), "{refused}");
    }
    let body = json!({"model": "far", "input": "text"});
    let refused = error(house.post(&ada(), "/api/embed", &body).await, 400).await;
    assert!(refused.contains("cloud"), "{refused}");
    assert!(ollama.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn likelihoods_of_a_token_without_text_come_in_their_line() {
    let (house, _ollama) = house_of_ollama(concat!(
        "{\"message\":{\"content\":\"\"},\"logprobs\":[{\"token\":\"\",\"logprob\":-0.5}],\"done\":false}\n",
        "{\"message\":{\"content\":\"안\"},\"logprobs\":[{\"token\":\"\",\"logprob\":-0.25}],\"done\":false}\n",
        "{\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":4,\"eval_count\":2}\n",
    ))
    .await;
    let said = lines(chat(&house, json!({"model": "qwen3:8b", "logprobs": true})).await).await;
    let likelihoods: Vec<_> =
        said.iter().filter_map(|line| line["logprobs"][0]["logprob"].as_f64()).collect();
    assert_eq!(likelihoods, [-0.5, -0.25]);
}

#[tokio::test]
async fn raw_prompts_and_gaps_reach_an_ollama_as_they_are() {
    let (house, ollama) = house_of_ollama(concat!(
        "{\"response\":\"\",\"thinking\":\"음\",\"done\":false}\n{\"response\":\" 안녕\",\"done\":false}\n",
        "{\"response\":\"\",\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":2,\"eval_count\":1}\n",
    ))
    .await;
    let ask = async |model: &str, extra: Value| {
        let mut body = json!({"model": model, "prompt": "a", "options": {"num_predict": 9}});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        house.post(&ada(), "/api/generate", &body).await
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
    let mut house = house();
    let body = json!({"model": "smollm2", "prompt": "Once", "raw": true, "stream": false});
    let reply = house.post(&ada(), "/api/generate", &body).await.json().await;
    assert_eq!((&reply["response"], &reply["eval_count"]), (&json!(" upon"), &json!(1)));
    let sent = house.one.requests().pop().unwrap();
    assert_eq!((&sent["prompt"], sent.get("messages")), (&json!("Once"), None));
    assert_eq!(sent.get("raw"), None, "it is the path that says so");

    // It was written for one model: the next of the list answers chats in its place, and nothing raw.
    house.one.kill().await;
    let body = json!({"model": "maru", "prompt": "Once", "raw": true});
    error(house.post(&ada(), "/api/generate", &body).await, 502).await;
    assert!(house.two.requests().is_empty());
    assert_eq!(chat(&house, json!({"model": "maru"})).await.status, 200);
    assert_eq!(house.two.requests().len(), 1);
}

#[tokio::test]
async fn calls_that_come_in_pieces_arrive_whole() {
    let house = house();
    house.one.script(Script::Calls);
    let call = |id: &str, index: u32, name: &str, arguments: Value| json!({"id": id, "function": {"index": index, "name": name, "arguments": arguments}});
    let calls = json!([call("c1", 0, "f", json!({"a": 1})), call("c2", 1, "g", json!({}))]);

    let said = lines(chat(&house, json!({})).await).await;

    let with_calls: Vec<_> =
        said.iter().filter_map(|line| line["message"].get("tool_calls")).collect();
    assert_eq!(with_calls, [&calls]);
    assert_eq!(said.last().unwrap()["done_reason"], "stop");
    let whole = chat(&house, json!({"stream": false})).await.json().await;
    assert_eq!(
        whole["message"],
        json!({"role": "assistant", "content": "", "thinking": "hm", "tool_calls": calls})
    );
}

#[tokio::test]
async fn texts_become_vectors() {
    let (house, ollama) = house_of_ollama("").await;
    let body = json!({"model": "embed:latest", "input": "text", "dimensions": 2});
    let made = house.post(&ada(), "/api/embed", &body).await.json().await;
    assert_eq!(made["embeddings"], json!([[0.5, -1.0]]));
    assert_eq!((&made["prompt_eval_count"], &made["model"]), (&json!(3), &json!("home/embed")));
    let body = json!({"model": "embed", "prompt": "text"});
    let made = house.post(&ada(), "/api/embeddings", &body).await.json().await;
    assert_eq!(made, json!({"embedding": [0.5, -1.0]}));
    let expected = json!({"model": "embed", "input": ["text"], "truncate": false, "dimensions": 2});
    assert_eq!(ollama.requests.lock().unwrap()[0], expected);

    let empty = house.post(&ada(), "/api/embed", &json!({"model": "embed", "input": []})).await;
    assert_eq!(empty.json().await["embeddings"], json!([]));
    assert_eq!(ollama.requests.lock().unwrap().len(), 2, "nothing was asked");
    let body = json!({"model": "embed", "input": ["a", "b"]});
    let wrong = house.post(&ada(), "/api/embed", &body).await;
    let wrong = error(wrong, 502).await;
    assert!(wrong.contains("unknown shape"), "{wrong}");
}
