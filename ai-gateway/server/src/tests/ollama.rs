//! Ollama's API on mesh port 18789, before backends that speak OpenAI's API and before an Ollama.

mod translation;

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    http::{Method, StatusCode, header},
    response::IntoResponse as _,
    routing::{get, post},
};
use serde_json::{Value, json};
use testkit::http::{Response, request};
use tokio::{net::UnixListener, task::JoinHandle};

use super::{TestGateway, ada, backend::Script, client::try_send, gateway, gateway_with};

const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";

async fn chat(gateway: &TestGateway, extra: Value) -> Response {
    let mut body = json!({"model": "smollm2", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    gateway.post(&ada(), "/api/chat", &body).await
}

/// The lines of a streamed answer.
async fn lines(answer: Response) -> Vec<Value> {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let text = answer.text().await;
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

/// The sentence of an error in Ollama's shape.
async fn error(answer: Response, status: u16) -> String {
    assert_eq!(answer.status, status);
    let body = answer.json().await;
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["error"].as_str().unwrap().to_owned()
}

/// An Ollama that records its requests.
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
async fn gateway_of_ollama(lines: &'static str) -> (TestGateway, Ollama) {
    let mut gateway = gateway();
    let settings = r#"{models: {providers: {home: {api: "ollama", baseUrl: "unix:///run/maru/dial/ollama/http.sock",
        models: [{id: "qwen3:8b", contextWindow: 8192}, {id: "embed"}, {id: "far"}]}}}}"#;
    let file = gateway.root.path().join(&gateway.config.openclaw);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, settings).unwrap();
    let socket = gateway.root.path().join("run/maru/dial/ollama/http.sock");
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
    gateway.restart().await;
    gateway.app.models.learn(false).await;
    (gateway, Ollama { requests, task })
}

#[tokio::test]
async fn a_streamed_reply_has_ollamas_shape() {
    let gateway = gateway();
    let lines = lines(chat(&gateway, json!({})).await).await;
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
    let gateway = gateway();
    let reply = chat(&gateway, json!({"stream": false})).await.json().await;
    assert_eq!(reply["message"], json!({"role": "assistant", "content": "Hello there"}));
    assert_eq!((&reply["done"], &reply["eval_count"]), (&json!(true), &json!(2)));

    let body = json!({"model": "smollm2", "prompt": "hi", "system": "Be brief.", "stream": false});
    let reply = gateway.post(&ada(), "/api/generate", &body).await.json().await;
    assert_eq!((&reply["response"], &reply["done"]), (&json!("Hello there"), &json!(true)));
    assert!(reply.get("message").is_none());
    let sent = gateway.one.requests().pop().unwrap();
    let expected =
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]);
    assert_eq!(sent["messages"], expected);
}

#[tokio::test]
async fn the_households_prompt_stands_before_its_own_model_only() {
    let gateway = gateway();
    for (model, household) in [
        ("maru", true),
        ("maru:latest", true),
        ("smollm2", false),
        ("llamacpp/smollm2:latest", false),
    ] {
        assert_eq!(
            chat(&gateway, json!({"model": model, "stream": false})).await.status,
            200,
            "{model}"
        );
        let sent = gateway.one.requests().pop().unwrap();
        assert_eq!(
            sent["messages"].as_array().unwrap().len(),
            1 + usize::from(household),
            "{model}"
        );
    }
}

#[tokio::test]
async fn a_request_without_a_question_sends_nothing_to_a_backend() {
    let gateway = gateway();
    for (path, body, reason) in [
        ("/api/chat", json!({"model": "smollm2", "messages": []}), "load"),
        ("/api/chat", json!({"model": "smollm2", "messages": [], "keep_alive": 0}), "unload"),
        ("/api/generate", json!({"model": "smollm2"}), "load"),
        ("/api/generate", json!({"model": "smollm2", "keep_alive": "0s"}), "unload"),
    ] {
        let reply = gateway.post(&ada(), path, &body).await.json().await;
        assert_eq!((&reply["done"], &reply["done_reason"]), (&json!(true), &json!(reason)));
    }
    let unknown = json!({"model": "llama9", "messages": []});
    assert!(error(gateway.post(&ada(), "/api/chat", &unknown).await, 404).await.contains("llama9"));
    assert!(gateway.one.requests().is_empty());
}

#[tokio::test]
async fn clients_find_the_models_and_what_they_can_do() {
    let gateway = gateway();
    assert_eq!(gateway.get(&ada(), "/").await.text().await, "Ollama is running");
    assert_eq!(gateway.ask(&ada(), Method::HEAD, "/", None).await.status, 200);
    let version = gateway.get(&ada(), "/api/version").await.json().await;
    assert!(version["version"].as_str().unwrap().starts_with("0."));

    let tags = gateway.get(&ada(), "/api/tags").await.json().await;
    let names: Vec<_> = tags["models"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["maru:latest", "llamacpp/smollm2:latest", "spare/smollm2:latest"]);
    assert_eq!(tags["models"][0]["digest"].as_str().unwrap().len(), 64);
    for name in names {
        let body = json!({ "model": name });
        let shown = gateway.post(&ada(), "/api/show", &body).await.json().await;
        assert_eq!(shown["capabilities"], json!(["completion"]));
        assert_eq!(shown["model_info"]["maru.context_length"], 2048);
    }
    let ps = gateway.get(&ada(), "/api/ps").await.json().await;
    assert_eq!(ps["models"][0]["context_length"], 2048);
    let unknown = gateway.post(&ada(), "/api/show", &json!({"model": "llama9"})).await;
    assert!(error(unknown, 404).await.contains("llama9"));
}

#[tokio::test]
async fn models_are_changed_at_home_only() {
    let gateway = gateway();
    for (method, path, command) in [
        (Method::POST, "/api/pull", "maru model pull"),
        (Method::POST, "/api/create", "maru model pull"),
        (Method::POST, "/api/copy", "maru model use"),
        (Method::POST, "/api/push", "maru model list"),
        (Method::DELETE, "/api/delete", "maru model remove"),
        (Method::POST, "/api/blobs/sha256:00", "maru model pull"),
    ] {
        let answer = gateway.ask(&ada(), method, path, Some(&json!({"model": "m"}))).await;
        let said = error(answer, 403).await;
        assert!(said.contains(command), "{said}");
    }
}

#[tokio::test]
async fn every_error_has_ollamas_shape() {
    let gateway = gateway_with(|config| config.limits.max_plain_body_bytes = 2000);
    error(gateway.get(&ada(), "/api/nothing").await, 404).await;
    error(gateway.get(&ada(), "/api/chat").await, 405).await;
    error(
        chat(&gateway, json!({"messages": [{"role": "user", "content": "x".repeat(3000)}]})).await,
        413,
    )
    .await;
    for (extra, word) in [
        (json!({"speed": 1}), "`speed`"),
        (json!({"options": {"mirostat": 2}}), "`options.mirostat`"),
        (json!({"format": 7}), "`format`"),
    ] {
        let said = error(chat(&gateway, extra).await, 400).await;
        assert!(said.contains(word), "{said}");
    }
    let gap = json!({"model": "smollm2", "prompt": "hi", "suffix": "x"});
    let said = error(gateway.post(&ada(), "/api/generate", &gap).await, 400).await;
    assert!(said.contains("llamacpp/smollm2 does not support insert"), "{said}");
    let body = json!({});
    for (host, kind, status) in [
        ("evil.example", "application/json", 421),
        ("chat.maru.home.arpa:18789", "text/plain", 415),
    ] {
        let mut request = request(Method::POST, "/api/chat", host, Some(&body));
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        let answer = try_send(&gateway.agent_socket(), Some(&ada().header), request).await.unwrap();
        error(answer, status).await;
    }
    gateway.one.script(Script::Refuse("too much text"));
    assert!(error(chat(&gateway, json!({})).await, 400).await.contains("too much text"));
}

#[tokio::test]
async fn a_cut_reply_ends_in_an_error_and_leaving_stops_the_model() {
    let gateway = gateway();
    gateway.one.script(Script::Cut);
    let cut = lines(chat(&gateway, json!({})).await).await;
    assert!(cut.last().unwrap()["error"].as_str().unwrap().contains("cut"), "{cut:?}");
    assert!(cut.iter().all(|line| line["done"] != true));
    error(chat(&gateway, json!({"stream": false})).await, 502).await;

    gateway.one.script(Script::Endless);
    let mut stream = chat(&gateway, json!({})).await;
    let first = stream.piece().await.unwrap().unwrap();
    assert!(std::str::from_utf8(&first).unwrap().contains("Hello"));
    drop(stream);
    gateway.one.until_open(0).await;
}
