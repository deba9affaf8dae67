//! The client against a scripted server on a UNIX socket.

mod interruptions;
mod refusals;

use std::{future::Future, path::PathBuf, time::Duration};

use chat_vocabulary::{ChatRequest, Completion, Delta, FinishReason, Message, Options};
use futures_util::{StreamExt as _, TryStreamExt as _};
use llm_backend::{
    Backend as _, EmbedRequest, Error, Health, OpenAiCompatible, Settings, Slot, Timeouts,
};
use tempfile::TempDir;
use testkit::server::{self, Request};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinHandle,
    time::timeout,
};

const STEP: Duration = Duration::from_millis(20);

/// A server with one connection, which the test scripts.
struct Server<T> {
    _directory: TempDir,
    socket: PathBuf,
    task: JoinHandle<T>,
}

impl<T> Server<T> {
    fn client(&self) -> OpenAiCompatible {
        self.client_with(Duration::from_millis(500), Duration::from_secs(2))
    }

    /// One that waits so long for the next word, and so long for everything else.
    fn client_with(&self, idle: Duration, limit: Duration) -> OpenAiCompatible {
        let timeouts =
            Timeouts { connect: limit, health: limit, first: limit, idle, budget: limit };
        OpenAiCompatible::new(Settings {
            timeouts,
            ..Settings::new(format!("unix://{}", self.socket.display()))
        })
        .unwrap()
    }
}

fn serve<T, F>(script: impl FnOnce(Connection) -> F + Send + 'static) -> Server<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send,
{
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("llm.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = Connection { stream, request: Request::default() };
        connection.read_request().await;
        script(connection).await
    });
    Server { _directory: directory, socket, task }
}

struct Connection {
    stream: UnixStream,
    request: Request,
}

impl Connection {
    async fn read_request(&mut self) {
        self.request = server::read_request(&mut self.stream).await.unwrap();
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
        tokio::time::sleep(STEP).await;
    }

    /// Begins a stream of events.
    async fn begin(&mut self) {
        self.send(server::chunked("200 OK", "text/event-stream").as_bytes()).await;
    }

    /// Sends one chunk of a chunked body.
    async fn chunk(&mut self, bytes: &[u8]) {
        self.send(&server::chunk(bytes)).await;
    }

    async fn answer(&mut self, status: &str, body: &str) {
        let whole = server::response(status, "application/json", body);
        let (head, body) = whole.split_at(whole.len() - body.len());
        self.send(head.as_bytes()).await;
        self.send(body.as_bytes()).await;
    }

    /// Waits for the client to close, and says whether it did.
    async fn is_left(&mut self) -> bool {
        matches!(timeout(Duration::from_secs(60), self.stream.read_u8()).await, Ok(Err(_)))
    }
}

fn event(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

fn request() -> ChatRequest {
    let options = Options { max_tokens: Some(7), temperature: Some(0.0), ..Options::default() };
    ChatRequest {
        model: Some("smollm2".to_owned()),
        messages: vec![Message::user("안녕?")],
        options,
        ..ChatRequest::default()
    }
}

async fn ask(client: &OpenAiCompatible) -> Result<Vec<Delta>, Error> {
    client.chat(request()).await?.try_collect().await
}

#[tokio::test]
async fn a_reply_split_inside_characters_arrives_whole() {
    let server = serve(|mut connection| async move {
        connection.begin().await;
        for byte in format!(": ping\n\n{}{}", event("안녕하세요"), END).as_bytes().chunks(7) {
            connection.chunk(byte).await;
        }
        (connection.is_left().await, connection.request)
    });

    let deltas = ask(&server.client()).await.unwrap();

    assert_eq!(
        deltas,
        [
            Delta::text("안녕하세요"),
            Delta { finish_reason: Some(FinishReason::Stop), ..Delta::default() }
        ]
    );
    let (left, sent) = server.task.await.unwrap();
    assert!(left, "the connection serves one request only");
    assert_eq!(sent.line(), "POST /v1/chat/completions HTTP/1.1");
    let body = sent.json();
    assert_eq!(body["stream"], true);
    assert_eq!(body["stream_options"]["include_usage"], true);
    assert_eq!(body["max_tokens"], 7);
    assert_eq!(body["messages"][0]["content"], "안녕?");
}

#[tokio::test]
async fn a_text_is_continued_at_its_own_path_or_refused_like_ollama() {
    let raw = || ChatRequest { completion: Some(Completion::Raw), ..request() };
    let server = serve(|mut connection| async move {
        connection.begin().await;
        for text in [
            "data: {\"choices\":[{\"index\":0,\"text\":\"b\",\"logprobs\":null,\"finish_reason\":null}]}\n\n",
            "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n",
        ] {
            connection.chunk(text.as_bytes()).await;
        }
        connection.request
    });
    let client = server.client();
    let deltas: Vec<Delta> = client.chat(raw()).await.unwrap().try_collect().await.unwrap();
    let end = Delta { finish_reason: Some(FinishReason::Length), ..Delta::default() };
    assert_eq!(deltas, [Delta::text("b"), end]);
    let sent = server.task.await.unwrap();
    assert_eq!(sent.line(), "POST /v1/completions HTTP/1.1");
    let body = sent.json();
    assert_eq!((&body["prompt"], body.get("messages")), (&"안녕?".into(), None));

    for (status, words) in [
        ("404 Not Found", "smollm2 does not support raw prompts"),
        ("405 Method Not Allowed", "smollm2 does not support raw prompts"),
        ("400 Bad Request", "no"),
    ] {
        let server = serve(move |mut connection| async move {
            connection.answer(status, r#"{"error":{"message":"no"}}"#).await;
        });
        let client = server.client();
        let Err(error) = client.chat(raw()).await else { panic!("{status} was taken") };
        let is = matches!(&error, Error::Refused { status: 400, message, .. } if message == words);
        assert!(is && !error.may_try_another(), "{error:?}");
    }
}

#[tokio::test]
async fn a_refusal_has_the_backends_message_and_no_other_backend_is_tried() {
    let server = serve(|mut connection| async move {
        connection
            .answer("400 Bad Request", r#"{"error":{"code":400,"message":"too long","type":"x"}}"#)
            .await;
    });

    let error = ask(&server.client()).await.unwrap_err();

    assert!(
        matches!(&error, Error::Refused { status: 400, message, .. } if message == "too long"),
        "{error:?}"
    );
    assert!(!error.may_try_another());
}

/// Each byte comes soon after the one before, and the last one never.
#[tokio::test]
async fn an_answer_that_does_not_end_is_left_after_the_time_of_a_reply() {
    for vectors in [true, false] {
        let server = serve(|mut connection| async move {
            connection.send(server::chunked("200 OK", "application/json").as_bytes()).await;
            while connection.stream.write_all(b"1\r\n \r\n").await.is_ok() {
                tokio::time::sleep(STEP).await;
            }
        });
        let budget = STEP * 20;
        let timeouts = Timeouts { budget, ..Timeouts::default() };
        let url = format!("unix://{}", server.socket.display());
        let client = OpenAiCompatible::new(Settings { timeouts, ..Settings::new(&url) }).unwrap();
        let embed =
            EmbedRequest { model: "m".to_owned(), input: vec!["a".to_owned()], dimensions: None };
        let asked = async {
            if vectors {
                client.embed(embed).await.map(drop)
            } else {
                client.models().await.map(drop)
            }
        };
        let error = timeout(Duration::from_secs(60), asked).await.expect("it ends").unwrap_err();
        assert!(
            matches!(error, Error::Overlong { budget: found, .. } if found == budget),
            "{error:?}"
        );
        server.task.await.unwrap();
    }
}

/// llama-server answers 500 if its model does not support a request, which is not a fault.
#[tokio::test]
async fn a_500_that_says_what_the_model_cannot_take_is_no_fault_and_any_other_is() {
    let hint = "if this is unexpected, you may need to provide the mmproj";
    let template = "While executing CallExpression at line 1, column 9\\nError: Jinja Exception: System message must be first\\n";
    for (said, expected) in [
        (
            format!("image input is not supported - hint: {hint}"),
            Some("the model does not support vision"),
        ),
        (
            format!("audio input is not supported - hint: {hint}"),
            Some("the model does not support audio"),
        ),
        ("This model does not support tools.".to_owned(), Some("the model does not support tools")),
        ("tools param requires --jinja flag".to_owned(), Some("the model does not support tools")),
        (
            template.to_owned(),
            Some(
                "the model's template does not support this conversation: System message must be first",
            ),
        ),
        ("CUDA error: operation not supported".to_owned(), None),
        ("out of memory".to_owned(), None),
    ] {
        let body =
            format!(r#"{{"error":{{"code":500,"message":"{said}","type":"server_error"}}}}"#);
        let server = serve(move |mut connection| async move {
            connection.answer("500 Internal Server Error", &body).await;
        });
        let error = ask(&server.client()).await.unwrap_err();
        match (expected, &error) {
            (Some(words), Error::Refused { status: 400, message, .. }) => {
                assert_eq!(message, words);
                assert!(!error.is_backend_fault() && !error.may_try_another(), "{said}");
            }
            (None, Error::Unreachable { .. }) => assert!(error.is_backend_fault(), "{said}"),
            (_, error) => panic!("{said}: {error:?}"),
        }
    }
}

/// Other servers are not told which requests are one person's: a socket may be a dial that leads elsewhere.
#[tokio::test]
async fn the_cache_key_is_sent_to_embedded_engines_alone() {
    let directory = tempfile::tempdir().unwrap();
    for (folder, is_told) in
        [("inference", true), ("inference-2", true), ("inferences", false), ("dial", false)]
    {
        std::fs::create_dir(directory.path().join(folder)).unwrap();
        let socket = directory.path().join(folder).join("llm.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let sent = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = Connection { stream, request: Request::default() };
            connection.read_request().await;
            connection.answer("400 Bad Request", "{}").await;
            connection.request.json()
        });
        let client =
            OpenAiCompatible::new(Settings::new(format!("unix://{}", socket.display()))).unwrap();
        let asked = ChatRequest { prompt_cache_key: Some("k".to_owned()), ..request() };
        drop(client.chat(asked).await);
        let sent = sent.await.unwrap();
        assert_eq!(sent.get("prompt_cache_key").is_some(), is_told, "{folder}");
        assert!(sent.get("messages").is_some());
    }
}

/// vLLM counts the longest reply in with the conversation.
#[tokio::test]
async fn a_default_number_of_tokens_is_left_out_if_it_does_not_fit() {
    const TOO_LONG: &str = r#"{"error":{"message":"'max_tokens' is too large: 2. This model's maximum context length is 8 tokens."}}"#;
    let usual = |usual_length| ChatRequest {
        options: Options { max_tokens: Some(2), ..Options::default() },
        usual_length,
        ..request()
    };
    let server = serve(|mut connection| async move {
        connection.answer("400 Bad Request", TOO_LONG).await;
        connection.read_request().await;
        connection.begin().await;
        for text in ["a", "b", "c"] {
            connection.chunk(event(text).as_bytes()).await;
        }
        (connection.is_left().await, connection.request)
    });
    let client = server.client();
    let reply = client.chat(usual(true)).await.unwrap();
    let deltas: Vec<Delta> = reply.try_collect().await.unwrap();
    let end = Delta { finish_reason: Some(FinishReason::Length), ..Delta::default() };
    assert_eq!(deltas, [Delta::text("a"), Delta::text("b"), end]);
    let (left, sent) = server.task.await.unwrap();
    assert!(left, "the rest is not generated");
    let body = sent.json();
    assert_eq!((body.get("max_tokens"), &body["temperature"]), (None, &serde_json::Value::Null));

    let server = serve(|mut connection| async move {
        connection.answer("400 Bad Request", TOO_LONG).await;
    });
    let Err(error) = server.client().chat(usual(false)).await else { panic!("it was asked again") };
    assert!(error.is_too_long(), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_at_fault() {
    let server = serve(|mut connection| async move { connection.answer("200 OK", "{}").await });
    let error = ask(&server.client()).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("check api and baseUrl"), "{error}");
}

#[tokio::test]
async fn health_tells_loading_from_ready_from_failing() {
    let loading = r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#;
    let server = serve(move |mut connection| async move {
        connection.answer("503 Service Unavailable", loading).await
    });
    assert_eq!(server.client().health().await.unwrap(), Health::Loading);

    for (status, expected) in
        [("503 Service Unavailable", Health::Draining), ("429 Too Many Requests", Health::Ready)]
    {
        let server = serve(move |mut connection| async move {
            connection.answer(status, r#"{"error":{"message":"stopping"}}"#).await
        });
        assert_eq!(server.client().health().await.unwrap(), expected, "{status}");
    }

    let server =
        serve(
            |mut connection| async move { connection.answer("200 OK", r#"{"status":"ok"}"#).await },
        );
    assert_eq!(server.client().health().await.unwrap(), Health::Ready);

    let server = serve(|mut connection| async move {
        connection.answer("200 OK", r#"{"status":"standby"}"#).await
    });
    assert_eq!(server.client().health().await.unwrap(), Health::Standby);

    let server = serve(|mut connection| async move { connection.answer("500 Oops", "").await });
    assert!(server.client().health().await.is_err());
}

#[tokio::test]
async fn models_and_slots_are_listed() {
    let body = r#"{"models":[],"data":[{"id":"smollm2","meta":{"n_ctx":4096}},{"id":"other","max_model_len":8},{"id":"third"}]}"#;
    let server =
        serve(move |mut connection| async move { connection.answer("200 OK", body).await });
    let models = server.client().models().await.unwrap();
    let listed: Vec<_> =
        models.iter().map(|model| (model.id.as_str(), model.context_tokens)).collect();
    assert_eq!(listed, [("smollm2", Some(4096)), ("other", Some(8)), ("third", None)]);

    let body = r#"[{"id":0,"is_processing":true,"n_decoded":12,"n_ctx":4096},{"id":1,"is_processing":false}]"#;
    let server =
        serve(move |mut connection| async move { connection.answer("200 OK", body).await });
    let slots = server.client().slots().await.unwrap();
    assert_eq!(
        slots,
        [
            Slot { id: 0, is_processing: true, n_decoded: 12 },
            Slot { id: 1, is_processing: false, n_decoded: 0 },
        ]
    );
}

/// Answers each path with a scripted answer.
fn serve_paths(answers: &'static [(&'static str, &'static str, &'static str)]) -> Server<()> {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("llm.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut connection = Connection { stream, request: Request::default() };
            connection.read_request().await;
            let asked = connection.request.path();
            let (_, status, body) = answers.iter().find(|(path, ..)| *path == asked).unwrap();
            let status = format!("{status}\r\nconnection: close");
            connection.answer(&status, body).await;
        }
    });
    Server { _directory: directory, socket, task }
}

#[tokio::test]
async fn how_many_slots_there_are_is_asked_where_a_server_says_it() {
    const TWO: &str = r#"[{"id":0,"is_processing":true},{"id":1,"is_processing":false}]"#;
    const PROPS: &str = r#"{"total_slots":3,"model_path":"m.gguf"}"#;
    for (answers, told) in [
        (&[("/slots", "200 OK", TWO)][..], Some(2)),
        // llama-server without its slots.
        (&[("/slots", "501 No", ""), ("/props", "200 OK", PROPS)], Some(3)),
        (&[("/slots", "404 No", ""), ("/props", "404 No", "")], None),
        (&[("/slots", "200 OK", "{}"), ("/props", "200 OK", "[]")], None),
        (&[("/slots", "404 No", ""), ("/props", "200 OK", r#"{"total_slots":4000000000}"#)], None),
    ] {
        let server = serve_paths(answers);
        assert_eq!(server.client().capacity().await.unwrap(), told, "{answers:?}");
        server.task.abort();
    }
    // Who does not answer has not said that it has none.
    let server = serve_paths(&[("/slots", "500 No", "")]);
    assert!(server.client().capacity().await.is_err());
    server.task.abort();
}

#[tokio::test]
async fn a_server_without_embeddings_says_so() {
    for status in ["404 Not Found", "501 Not Implemented"] {
        let server = serve(move |mut connection| async move {
            connection.answer(status, r#"{"error":{"message":"not here"}}"#).await;
        });
        let request = EmbedRequest {
            model: "smollm2".to_owned(),
            input: vec!["text".to_owned()],
            dimensions: None,
        };

        let error = server.client().embed(request).await.unwrap_err();

        assert!(error.to_string().ends_with("smollm2 does not support embedding"), "{error}");
        assert!(!error.is_backend_fault());
    }
}
