//! The client of Ollama against a scripted server on a UNIX socket.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chat_vocabulary::{Capability, ChatRequest, Delta, FinishReason, Message, Usage};
use futures_util::{StreamExt as _, TryStreamExt as _};
use llm_backend::{Backend as _, EmbedRequest, Error, Health, Ollama, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::server::{self, Request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::mpsc,
    time::timeout,
};

const HELLO: &str = concat!(
    "{\"message\":{\"role\":\"assistant\",\"content\":\"안녕\"},\"done\":false}\n",
    "{\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":7,\"eval_count\":2}\n",
);

/// What a server answers to one request.
#[derive(Clone)]
struct Reply {
    status: &'static str,
    kind: &'static str,
    body: String,
    /// Whether it then says nothing more, without an end, and tells when the client has left.
    hangs: bool,
}

impl Reply {
    fn json(status: &'static str, body: &Value) -> Self {
        Self { status, kind: "application/json", body: body.to_string(), hangs: false }
    }

    fn lines(body: &str) -> Self {
        let kind = "application/x-ndjson; charset=utf-8";
        Self { status: "200 OK", kind, body: body.to_owned(), hangs: false }
    }
}

struct Server {
    directory: TempDir,
    requests: Arc<Mutex<Vec<Request>>>,
    /// Each client that left a reply that hangs.
    left: mpsc::Receiver<()>,
    _server: server::Server,
}

impl Server {
    /// Answers each request by what it is.
    fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (leave, left) = mpsc::channel(8);
        let (seen, script) = (Arc::clone(&requests), Arc::new(script));
        let serve = move |mut stream| {
            let (seen, script, leave) = (Arc::clone(&seen), Arc::clone(&script), leave.clone());
            async move {
                let request = server::read_request(&mut stream).await.unwrap();
                seen.lock().unwrap().push(request.clone());
                answer(stream, script(&request), leave).await;
            }
        };
        let server = server::Server::unix(&directory.path().join("http.sock"), serve);
        Self { directory, requests, left, _server: server }
    }

    fn client(&self) -> Ollama {
        let url = format!("unix://{}", self.directory.path().join("http.sock").display());
        let contexts = BTreeMap::from([("m".to_owned(), 8192)]);
        Ollama::new(Settings::new(url), contexts).unwrap()
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(mut stream: UnixStream, reply: Reply, leave: mpsc::Sender<()>) {
    let Reply { status, kind, body, hangs } = reply;
    stream.write_all(server::chunked(status, kind).as_bytes()).await.unwrap();
    // In pieces that cut characters and lines.
    for piece in body.as_bytes().chunks(5) {
        stream.write_all(&server::chunk(piece)).await.unwrap();
    }
    if hangs {
        assert!(stream.read_u8().await.is_err(), "the client says no more");
        leave.send(()).await.unwrap();
        return;
    }
    stream.write_all(&server::chunk("")).await.unwrap();
}

fn request(model: &str) -> ChatRequest {
    ChatRequest {
        model: Some(model.to_owned()),
        messages: vec![Message::user("안녕?")],
        ..ChatRequest::default()
    }
}

async fn ask(client: &Ollama, model: &str) -> Result<Vec<Delta>, Error> {
    client.chat(request(model)).await?.try_collect().await
}

#[tokio::test]
async fn a_reply_arrives_whole_and_the_context_is_the_settings_own() {
    let server = Server::start(|_| Reply::lines(HELLO));

    let deltas = ask(&server.client(), "m").await.unwrap();

    let end = Delta {
        finish_reason: Some(FinishReason::Stop),
        usage: Some(Usage { prompt_tokens: 7, completion_tokens: 2 }),
        ..Delta::default()
    };
    assert_eq!(deltas, [Delta::text("안녕"), end]);
    ask(&server.client(), "other").await.unwrap();
    let sent = server.requests();
    assert_eq!(sent[0].line(), "POST /api/chat HTTP/1.1");
    assert_eq!(sent[0].json()["options"], json!({"num_ctx": 8192}));
    assert_eq!(sent[1].json()["options"], json!({}), "Ollama's own default");
    assert_eq!(sent[0].json()["messages"][0]["content"], "안녕?");
}

#[tokio::test]
async fn leaving_closes_the_connection() {
    let first = HELLO.split_inclusive('\n').next().unwrap();
    let mut server = Server::start(move |_| Reply { hangs: true, ..Reply::lines(first) });

    let mut reply = server.client().chat(request("m")).await.unwrap();
    assert_eq!(reply.next().await.unwrap().unwrap(), Delta::text("안녕"));
    drop(reply);

    timeout(Duration::from_secs(60), server.left.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn models_of_the_cloud_are_refused_before_anything_is_sent() {
    let server = Server::start(|_| Reply::lines(HELLO));
    for model in ["gpt-oss:120b-cloud", "minimax-m2:cloud"] {
        let error = ask(&server.client(), model).await.unwrap_err();
        assert!(matches!(error, Error::Refused { status: 400, .. }), "{error:?}");
        assert!(error.to_string().contains("Ollama's cloud"), "{error}");
        let request =
            EmbedRequest { model: model.to_owned(), input: vec!["x".to_owned()], dimensions: None };
        assert!(server.client().embed(request).await.is_err());
    }
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn refusals_and_faults_are_distinguished() {
    let said = |status, text: &str| {
        let body = json!({ "error": text });
        let server = Server::start(move |_| Reply::json(status, &body));
        async move { ask(&server.client(), "m").await.unwrap_err() }
    };
    let error = said("400 Bad Request", "\"m\" does not support tools").await;
    assert!(
        matches!(&error, Error::Refused { status: 400, message, .. } if message == "\"m\" does not support tools")
    );
    assert!(!error.may_try_another());
    let error = said("404 Not Found", "model 'm' not found").await;
    assert!(error.may_try_another() && !error.is_backend_fault(), "{error:?}");
    let error = said("500 Internal Server Error", "out of memory").await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    for status in ["503 Service Unavailable", "429 Too Many Requests"] {
        let error = said(status, "server busy, please try again.").await;
        assert!(matches!(error, Error::Busy { .. }), "{error:?}");
        assert!(error.may_try_another() && !error.is_backend_fault(), "{error:?}");
    }

    let server = Server::start(|_| Reply::json("200 OK", &json!({"done": true})));
    let error = ask(&server.client(), "m").await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let server = Server::start(|_| Reply::lines("{\"error\":\"out of memory\"}\n"));
    let error = ask(&server.client(), "m").await.unwrap_err();
    assert!(matches!(error, Error::Cut { began: false, .. }), "{error:?}");
}

#[tokio::test]
async fn models_are_listed_with_what_they_can_do() {
    let server = Server::start(|request| match request.path() {
        "/api/version" => Reply::json("200 OK", &json!({"version": "0.17.4"})),
        "/api/tags" => Reply::json(
            "200 OK",
            &json!({"models": [{"name": "m"}, {"name": "big:cloud"}, {"name": "e:latest"}]}),
        ),
        "/api/show" if request.json()["model"] == "m" => Reply::json(
            "200 OK",
            &json!({"capabilities": ["completion", "vision"], "parameters": "num_ctx 512"}),
        ),
        "/api/show" => Reply::json("200 OK", &json!({"capabilities": ["embedding"]})),
        other => panic!("{other}"),
    });
    let client = server.client();

    assert_eq!(client.health().await.unwrap(), Health::Ready);
    let models = client.models().await.unwrap();

    let listed: Vec<_> = models
        .iter()
        .map(|it| (it.id.as_str(), it.context_tokens, it.capabilities.clone().unwrap()))
        .collect();
    let expected = [
        ("m", Some(8192), vec![Capability::Completion, Capability::Vision]),
        ("e:latest", None, vec![Capability::Embedding]),
    ];
    assert_eq!(listed, expected);
    assert!(server.requests().iter().all(|sent| sent.json()["model"] != "big:cloud"));
}

#[tokio::test]
async fn one_model_that_cannot_be_shown_does_not_hide_the_others() {
    let tags = || {
        Reply::json("200 OK", &json!({"models": [{"name": "m"}, {"name": "bad"}, {"name": "o"}]}))
    };
    let server = Server::start(move |request| match request.path() {
        "/api/tags" => tags(),
        _ if request.json()["model"] == "bad" => {
            Reply::json("500 Internal Server Error", &json!({"error": "no such blob"}))
        }
        _ => Reply::json("200 OK", &json!({"capabilities": ["vision"]})),
    });
    let models = server.client().models().await.unwrap();
    let told: Vec<_> = models.iter().map(|it| (it.id.as_str(), it.capabilities.clone())).collect();
    let sees = || Some(vec![Capability::Vision]);
    assert_eq!(told, [("m", sees()), ("bad", None), ("o", sees())]);

    // Nothing is known of any: that is no list.
    let server = Server::start(move |request| match request.path() {
        "/api/tags" => tags(),
        _ => Reply::json("500 Internal Server Error", &json!({"error": "no"})),
    });
    assert!(server.client().models().await.is_err());
}

#[tokio::test]
async fn a_model_that_is_forwarded_under_another_name_is_refused_once_it_was_listed() {
    let server = Server::start(|request| match request.path() {
        "/api/tags" => Reply::json(
            "200 OK",
            &json!({"models": [{"name": "m"},
                {"name": "mine:latest", "remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com:443"}]}),
        ),
        "/api/show" => Reply::json("200 OK", &json!({"capabilities": ["completion"]})),
        _ => Reply::lines(HELLO),
    });
    let client = server.client();
    assert_eq!(client.models().await.unwrap().len(), 1);
    let before = server.requests().len();
    for name in ["mine", "mine:latest"] {
        assert!(client.forwards(name), "{name}");
        let error = ask(&client, name).await.unwrap_err();
        assert!(error.to_string().contains("Ollama's cloud"), "{error}");
    }
    assert_eq!(server.requests().len(), before, "nothing was sent");
    assert!(!client.forwards("m") && ask(&client, "m").await.is_ok());
}

#[tokio::test]
async fn texts_become_vectors() {
    let server = Server::start(|_| {
        Reply::json("200 OK", &json!({"embeddings": [[0.5], [-1.0]], "prompt_eval_count": 4}))
    });
    let request = |count| EmbedRequest {
        model: "m".to_owned(),
        input: vec!["text".to_owned(); count],
        dimensions: Some(1),
    };

    let made = server.client().embed(request(2)).await.unwrap();

    assert_eq!((made.vectors, made.prompt_tokens), (vec![vec![0.5], vec![-1.0]], Some(4)));
    let sent = json!({"model": "m", "input": ["text", "text"], "truncate": false, "dimensions": 1,
        "options": {"num_ctx": 8192}});
    let request_sent = &server.requests()[0];
    assert_eq!((request_sent.line(), request_sent.json()), ("POST /api/embed HTTP/1.1", sent));
    assert!(server.client().embed(request(3)).await.is_err(), "one vector is missing");
}
