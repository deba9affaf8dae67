//! A scripted backend on a UNIX socket, with llama-server's API.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use testkit::{equal, eventually};
use tokio::{sync::Semaphore, task::JoinHandle, time::sleep};

/// What a backend does with the next requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Script {
    /// Says "Hello", " there" and counts.
    #[default]
    Hello,
    /// Says "Hello" and then nothing, for ever.
    Endless,
    /// Says "Hello", and the rest once [`Backend::release`] lets one reply end.
    Held,
    /// Says nothing until [`Backend::release`] lets one reply begin, which is then whole.
    Reads,
    /// The same, but what comes then is no reply.
    Breaks,
    /// Says "Hello" and hangs up.
    Cut,
    /// Accepts and says nothing, for ever.
    Silent,
    /// Refuses, with 400 and these words.
    Refuse(&'static str),
    /// Refuses, with 400, words and a code of OpenAI's, and names a field if there is one.
    Code(&'static str, Option<&'static str>),
    /// Thinks, then calls a tool twice, in pieces, and ends with `stop` as some servers do.
    Calls,
    /// Says a token without text, then "a", each with its likelihood.
    Likelihoods,
    /// Calls the tool `remember` with a text, in pieces; after its result, says "Hello", " there".
    Remembers,
    /// Refuses to summarize; else says "Hello", " there".
    NoSummary,
    /// Refuses, as vLLM does, a request whose `max_tokens` do not fit beside the conversation; else says "Hello" a
    /// hundred times.
    Narrow,
    /// Says more than an event of the WebSocket repeats, and less than a session keeps.
    Long,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<Script>,
    requests: Mutex<Vec<Value>>,
    open: AtomicUsize,
    /// How many held replies may end.
    releases: Semaphore,
    /// How many slots it says that it has; it does not tell if 0.
    slots: AtomicUsize,
    /// Whether it tells its models only to who has a key.
    wants_a_key: AtomicBool,
}

/// A running backend.
pub(super) struct Backend {
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Counts a connection until it is closed.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Backend {
    pub(super) fn start(socket: &Path) -> Self {
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            requests: Mutex::default(),
            open: AtomicUsize::new(0),
            releases: Semaphore::new(0),
            slots: AtomicUsize::new(0),
            wants_a_key: AtomicBool::new(false),
        });
        // What was killed left its socket behind.
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(socket);
        let listener = tokio::net::UnixListener::bind(socket).unwrap();
        let app = Router::new()
            .route("/health", get(async || Json(json!({"status": "ok"}))))
            .route("/slots", get(slots))
            .route("/v1/models", get(models))
            .route("/v1/chat/completions", post(chat))
            .route("/v1/completions", post(completions))
            .route("/v1/embeddings", post(embeddings))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { shared, task: Some(task) }
    }

    pub(super) fn script(&self, script: Script) {
        *self.shared.script.lock().unwrap() = script;
    }

    /// Says from now on that it has so many slots.
    pub(super) fn slots(&self, count: usize) {
        self.shared.slots.store(count, Ordering::SeqCst);
    }

    /// From now on, refuses to list its models without a key.
    pub(super) fn wants_a_key(&self) {
        self.shared.wants_a_key.store(true, Ordering::SeqCst);
    }

    /// Ends the process; its socket's file stays, and nothing listens there.
    pub(super) async fn kill(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            drop(task.await);
        }
    }

    /// The requests so far.
    pub(super) fn requests(&self) -> Vec<Value> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Number of replies under way.
    pub(super) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Lets so many held replies end.
    pub(super) fn release(&self, count: usize) {
        self.shared.releases.add_permits(count);
    }

    /// Waits until so many requests have come.
    pub(super) async fn until_asked(&self, count: usize) {
        eventually(&format!("{count} requests"), async || self.requests().len() >= count).await;
    }

    /// Waits until so many replies are under way.
    pub(super) async fn until_open(&self, count: usize) {
        eventually(&format!("{count} replies"), async || equal(self.open(), count)).await;
    }
}

async fn slots(State(shared): State<Arc<Shared>>) -> Response {
    let count = shared.slots.load(Ordering::SeqCst);
    let slot = |id: usize| json!({"id": id, "is_processing": false});
    match (0..count).map(slot).collect::<Vec<_>>() {
        none if none.is_empty() => StatusCode::NOT_FOUND.into_response(),
        all => Json(all).into_response(),
    }
}

async fn models(State(shared): State<Arc<Shared>>) -> StatusCode {
    match shared.wants_a_key.load(Ordering::SeqCst) {
        true => StatusCode::UNAUTHORIZED,
        false => StatusCode::NOT_FOUND,
    }
}

fn delta(text: &str) -> String {
    let chunk =
        json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    format!("data: {chunk}\n\n")
}

/// A token with its likelihood.
fn likely(text: &str, logprob: f64) -> String {
    let token = json!({"token": text, "logprob": logprob, "bytes": [], "top_logprobs": []});
    let choice = json!({"delta": {"content": text}, "logprobs": {"content": [token]}});
    format!("data: {}\n\n", json!({"choices": [choice]}))
}

fn calls() -> Vec<String> {
    let function = |name: Option<&str>, arguments: &str| match name {
        Some(name) => json!({"name": name, "arguments": arguments}),
        None => json!({"arguments": arguments}),
    };
    let deltas = [
        json!({"reasoning_content": "hm"}),
        json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function(Some("f"), "")}]}),
        json!({"tool_calls": [{"index": 0, "function": function(None, "{\"a\":")}]}),
        json!({"tool_calls": [{"index": 0, "function": function(None, "1}")}]}),
        json!({"tool_calls": [{"index": 1, "id": "c2", "function": function(Some("g"), "{}")}]}),
    ];
    let chunk = |delta: &Value| json!({"choices": [{"index": 0, "delta": delta}]});
    deltas.iter().map(|delta| format!("data: {}\n\n", chunk(delta))).collect()
}

/// A piece of a call of `remember`; the first one has an id.
fn remember(id: &str, arguments: &str) -> String {
    let function = match id {
        "" => json!({"arguments": arguments}),
        _ => json!({"name": "remember", "arguments": arguments}),
    };
    let mut call = json!({"index": 0, "function": function});
    if !id.is_empty() {
        call["id"] = id.into();
    }
    let choice = json!({"index": 0, "delta": {"tool_calls": [call]}});
    format!("data: {}\n\n", json!({"choices": [choice]}))
}

fn end() -> String {
    let finish = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}});
    format!("data: {finish}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

/// A vector for each text, in another order than requested.
async fn embeddings(State(shared): State<Arc<Shared>>, Json(request): Json<Value>) -> Json<Value> {
    let count = request["input"].as_array().map_or(1, Vec::len);
    shared.requests.lock().unwrap().push(request);
    shared.open.fetch_add(1, Ordering::SeqCst);
    let _open = Open(Arc::clone(&shared));
    let is_silent = *shared.script.lock().unwrap() == Script::Silent;
    if is_silent {
        std::future::pending::<()>().await;
    }
    let one =
        |index: usize| json!({"object": "embedding", "index": index, "embedding": [index, -0.5]});
    let data: Vec<Value> = (0..count).rev().map(one).collect();
    Json(json!({"object": "list", "data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}}))
}

/// Goes on from a text, as llama-server does: the text where a chat has a delta.
async fn completions(State(shared): State<Arc<Shared>>, Json(request): Json<Value>) -> Response {
    shared.requests.lock().unwrap().push(request);
    let said = |text: &str, reason: Value| {
        let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": reason});
        format!("data: {}\n\n", json!({"object": "text_completion", "choices": [choice]}))
    };
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}});
    let all = [said(" upon", Value::Null), said("", json!("stop"))].concat();
    let body = format!("{all}data: {usage}\n\ndata: [DONE]\n\n");
    ([("content-type", "text/event-stream")], body).into_response()
}

/// A call of `remember`, in pieces.
fn remember_call() -> [String; 3] {
    [remember("c1", "{\"text\": \"Ada has"), remember("", " a\\ncat\"}"), end()]
}

/// A refusal; it names a field if there is one.
fn bad_request(code: &Value, words: &str, param: Option<&str>) -> Response {
    let mut error = json!({"code": code, "message": words, "type": "x"});
    if let Some(param) = param {
        error["param"] = param.into();
    }
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}

/// What comes after the parts, when it does.
async fn rest(shared: Arc<Shared>, script: Script) -> Result<Bytes, std::io::Error> {
    if script == Script::Endless {
        std::future::pending::<()>().await;
    }
    if script == Script::Held {
        shared.releases.acquire().await.unwrap().forget();
        return Ok(Bytes::from(end()));
    }
    Ok(Bytes::new())
}

async fn chat(State(shared): State<Arc<Shared>>, Json(request): Json<Value>) -> Response {
    let limited = request.get("max_tokens").is_some();
    let was_called = request.to_string().contains("tool_call_id");
    let summarizes = request.to_string().contains("Summarize the conversation");
    shared.requests.lock().unwrap().push(request);
    shared.open.fetch_add(1, Ordering::SeqCst);
    let open = Open(Arc::clone(&shared));
    let script = *shared.script.lock().unwrap();
    let parts: Vec<Result<String, std::io::Error>> = match script {
        Script::Remembers if !was_called => remember_call().map(Ok).into(),
        Script::NoSummary if summarizes => {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        Script::Hello | Script::NoSummary | Script::Remembers => {
            vec![Ok(delta("Hello")), Ok(delta(" there")), Ok(end())]
        }
        Script::Endless | Script::Held => vec![Ok(delta("Hello"))],
        Script::Cut => vec![Ok(delta("Hello")), Err(std::io::ErrorKind::BrokenPipe.into())],
        Script::Silent => std::future::pending().await,
        Script::Breaks => {
            shared.releases.acquire().await.unwrap().forget();
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        Script::Reads => {
            shared.releases.acquire().await.unwrap().forget();
            vec![Ok(delta("Hello")), Ok(end())]
        }
        Script::Calls => calls().into_iter().chain([end()]).map(Ok).collect(),
        Script::Likelihoods => vec![Ok(likely("", -0.25)), Ok(likely("a", -0.5)), Ok(end())],
        Script::Narrow if limited => {
            return bad_request(
                &json!(400),
                "This model's maximum context length is 64 tokens.",
                None,
            );
        }
        Script::Long => {
            let parts = (0..5).map(|_| Ok(delta(&"x".repeat(60 << 10))));
            parts.chain([Ok(end())]).collect()
        }
        Script::Narrow => (0..100).map(|_| Ok(delta("Hello"))).collect(),
        Script::Code(code, param) => {
            return bad_request(&json!(code), &format!("the words of {code}"), param);
        }
        Script::Refuse(words) => return bad_request(&json!(400), words, None),
    };
    let parts = stream::iter(parts).then(async |part| {
        // Each part in a write of its own.
        sleep(Duration::from_millis(2)).await;
        part.map(Bytes::from)
    });
    let body = parts.chain(stream::once(rest(Arc::clone(&shared), script))).map(move |part| {
        let _ = &open;
        part
    });
    ([("content-type", "text/event-stream")], Body::from_stream(body)).into_response()
}
