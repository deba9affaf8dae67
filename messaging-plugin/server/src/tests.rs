use std::{convert::Infallible, os::unix::fs::MetadataExt as _, time::Duration};

use chassis::{accept::Listener as _, settings::SettingsError};
use mesh_identity::{Header, Identity, User};
use mesh_listener::{Preface, read_preface};
use testkit::http::rest;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    task::JoinHandle,
    time::timeout,
};

use super::*;

mod attacks;
mod phones;
mod roles;
mod vectors;
mod websites;

const SOON: Duration = Duration::from_secs(30);
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\
                    set-cookie: a=b\r\n\r\n";

struct Running {
    root: tempfile::TempDir,
    config: Settings,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

fn start() -> Running {
    start_with(None, Limits::default().body)
}

/// With a gateway of this uid, and so long for a body.
fn start_with(gateway_uid: Option<u32>, body: Duration) -> Running {
    let root = tempfile::tempdir().unwrap();
    let config =
        Settings { agent_uid: own_uid(), gateway_uid, max_body_bytes: 1000, ..Settings::default() };
    let socket = Socket::bind(&root.path().join(&config.socket), Access::Group).unwrap();
    let app = router(Arc::new(Relay::new(&config, root.path())));
    let server = server(&config);
    let server = Server { limits: Limits { body, ..server.limits }, ..server };
    let task = tokio::spawn(server.serve(socket, app, std::future::pending()));
    Running { root, config, task }
}

impl Running {
    fn gateway(&self) -> Socket {
        let path = self.root.path().join(&self.config.plugin_socket);
        Socket::bind(&path, Access::Group).unwrap()
    }

    /// Fails if anyone waits at the gateway's socket: connections come in their order, and the first has to be our own.
    async fn nobody_came(&self, gateway: &Socket) {
        const OWN: &[u8] = b"the first";
        let path = self.root.path().join(&self.config.plugin_socket);
        UnixStream::connect(path).await.unwrap().write_all(OWN).await.unwrap();
        let (mut io, _) = timeout(SOON, gateway.accept()).await.unwrap().unwrap();
        let mut heard = [0; OWN.len()];
        timeout(SOON, io.read_exact(&mut heard)).await.expect("somebody is before us").unwrap();
        assert_eq!(heard, OWN, "a connection reached the gateway");
    }

    /// Connects as the agent does for a member and sends `bytes`.
    async fn send(&self, bytes: &[u8]) -> UnixStream {
        let mut io = UnixStream::connect(self.root.path().join(&self.config.socket)).await.unwrap();
        io.write_all(&member().encode().unwrap()).await.unwrap();
        io.write_all(bytes).await.unwrap();
        io
    }

    async fn ask(&self, bytes: &[u8]) -> String {
        rest(&mut self.send(bytes).await).await
    }
}

fn member() -> Header {
    Header {
        source: "100.64.0.9:5000".parse().unwrap(),
        destination: "100.64.0.1:80".parse().unwrap(),
        identity: Identity {
            v: mesh_identity::VERSION,
            node: "n9".to_owned(),
            user: Some(User { id: 7, login: "ada".to_owned() }),
            tags: vec![],
            service: "telmeet".to_owned(),
        },
        authority: None,
    }
}

fn post(path: &str, extra: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: chat.maru.home.arpa\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n{extra}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 100.64.0.1\r\nConnection: close\r\n\r\n").into_bytes()
}

/// Reads until `end` has come.
async fn until(io: &mut UnixStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let byte = timeout(SOON, io.read_u8()).await.expect("in time").expect("more bytes");
        text.push(char::from(byte));
    }
    text
}

/// Takes one connection as the gateway does: the header, then the request's head and body.
async fn accept(gateway: &Socket, body_end: &str) -> (UnixStream, Header, String) {
    let (mut io, _) = timeout(SOON, gateway.accept()).await.unwrap().unwrap();
    let Preface::Mesh(header) = read_preface(&mut io).await.unwrap() else {
        panic!("the member's header is repeated");
    };
    let request = until(&mut io, body_end).await;
    (io, header, request)
}

#[tokio::test]
async fn a_sealed_request_goes_on_under_the_callers_header() {
    for path in ["/maru/v1/chat", "/api/chat"] {
        let running = start();
        let gateway = running.gateway();
        let extra = "Cookie: c=d\r\nX-Forwarded-For: 1.2.3.4\r\nAccept: text/event-stream\r\n";
        let mut client = running.send(&post(path, extra, "{sealed}")).await;

        let (mut io, header, request) = accept(&gateway, "{sealed}").await;
        assert_eq!(header, member());
        assert!(request.starts_with("POST /maru/v1/chat HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("host: gateway.plugin\r\n"), "{request}");
        assert!(request.contains("accept: text/event-stream\r\n"), "{request}");
        for dropped in ["cookie", "forwarded", "chat.maru.home.arpa"] {
            assert!(!request.to_lowercase().contains(dropped), "{dropped} in {request}");
        }

        io.write_all(HEAD.as_bytes()).await.unwrap();
        io.write_all(b"2\r\nhi\r\n0\r\n\r\n").await.unwrap();
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-type: text/event-stream\r\n"), "{answer}");
        assert!(!answer.contains("set-cookie"), "{answer}");
        assert!(answer.ends_with("2\r\nhi\r\n0\r\n\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn keys_have_two_names_and_problems_pass_as_they_are() {
    for path in ["/maru/v1/keys", "/api/pubkey"] {
        let running = start();
        let gateway = running.gateway();
        let mut client = running.send(&get(path)).await;
        let (mut io, _, request) = accept(&gateway, "\r\n\r\n").await;
        assert!(request.starts_with("GET /maru/v1/keys HTTP/1.1\r\n"), "{request}");
        let problem = "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/problem+json\r\n\
                       retry-after: 9\r\ncontent-length: 2\r\n\r\n{}";
        io.write_all(problem.as_bytes()).await.unwrap();
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
        assert!(answer.contains("retry-after: 9\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n{}"), "{answer}");
    }
}

#[tokio::test]
async fn each_chunk_is_passed_on_before_the_next_exists() {
    let running = start();
    let gateway = running.gateway();
    let mut client = running.send(&post("/maru/v1/chat", "", "{}")).await;
    let (mut io, ..) = accept(&gateway, "{}").await;
    io.write_all(HEAD.as_bytes()).await.unwrap();
    until(&mut client, "\r\n\r\n").await;
    for chunk in ["1\r\na\r\n", "1\r\nb\r\n", "1\r\nc\r\n"] {
        io.write_all(chunk.as_bytes()).await.unwrap();
        assert_eq!(until(&mut client, chunk).await, chunk);
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_gateways_connection() {
    for begun in [false, true] {
        let running = start();
        let gateway = running.gateway();
        let mut client = running.send(&post("/maru/v1/chat", "", "{}")).await;
        let (mut io, ..) = accept(&gateway, "{}").await;
        if begun {
            io.write_all(HEAD.as_bytes()).await.unwrap();
            io.write_all(b"1\r\na\r\n").await.unwrap();
            until(&mut client, "1\r\na\r\n").await;
        }
        drop(client);
        let ended = timeout(Duration::from_secs(30), io.read_u8()).await;
        assert!(ended.expect("closed").is_err(), "begun: {begun}");
    }
}

#[tokio::test]
async fn a_reply_whose_gateway_goes_away_is_cut_not_ended() {
    let running = start();
    let gateway = running.gateway();
    let mut client = running.send(&post("/maru/v1/chat", "", "{}")).await;
    let (mut io, ..) = accept(&gateway, "{}").await;
    io.write_all(HEAD.as_bytes()).await.unwrap();
    io.write_all(b"1\r\na\r\n").await.unwrap();
    until(&mut client, "1\r\na\r\n").await;
    drop(io);
    assert_eq!(rest(&mut client).await, "", "closed without the chunk that ends a reply");
}

#[tokio::test]
async fn a_gateway_that_is_away_is_said_so_and_the_next_request_finds_it_again() {
    let running = start();
    let answer = running.ask(&post("/maru/v1/chat", "", "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(answer.contains("urn:maru:problem:unreachable"), "{answer}");
    assert!(answer.contains("maru doctor"), "{answer}");
    assert!(running.ask(&get("/readyz")).await.starts_with("HTTP/1.1 502"));
    assert!(running.ask(&get("/healthz")).await.starts_with("HTTP/1.1 200"));

    for _restart in 0..2 {
        let gateway = running.gateway();
        let mut client = running.send(&get("/maru/v1/keys")).await;
        let (mut io, ..) = accept(&gateway, "\r\n\r\n").await;
        let kind = "content-type: application/json\r\n";
        let answer = format!("HTTP/1.1 200 OK\r\n{kind}content-length: 2\r\n\r\nok");
        io.write_all(answer.as_bytes()).await.unwrap();
        assert!(rest(&mut client).await.ends_with("ok"));
    }

    let gateway = running.gateway();
    let mut client = running.send(&get("/maru/v1/keys")).await;
    drop(accept(&gateway, "\r\n\r\n").await);
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}

/// What the relay says of a gateway that it does not connect to.
async fn unreachable(running: &Running) {
    let answer = running.ask(&get("/maru/v1/keys")).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    assert!(answer.contains("the AI gateway cannot be reached"), "{answer}");
}

/// It would be told who calls, and could answer in the gateway's place.
#[tokio::test]
async fn a_link_in_the_place_of_the_gateways_socket_and_another_users_socket_are_told_nothing() {
    let running = start();
    let gateway = running.gateway();
    let path = running.root.path().join(&running.config.plugin_socket);
    let other = path.with_file_name("other.sock");
    std::fs::rename(&path, &other).unwrap();
    std::os::unix::fs::symlink("other.sock", &path).unwrap();
    unreachable(&running).await;
    std::fs::remove_file(&path).unwrap();
    std::fs::rename(&other, &path).unwrap();
    running.nobody_came(&gateway).await;

    let running = start_with(Some(own_uid() + 1), Limits::default().body);
    let gateway = running.gateway();
    unreachable(&running).await;
    let (mut io, _) = timeout(SOON, gateway.accept()).await.unwrap().unwrap();
    assert_eq!(rest(&mut io).await, "", "it was connected to, and told nothing");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_name() {
    let running = start();
    let gateway = running.gateway();
    let answer = running.ask(&post("/maru/v1/chat", "", &"x".repeat(1001))).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");

    let chunked = format!(
        "POST /maru/v1/chat HTTP/1.1\r\nHost: 100.64.0.1\r\nConnection: close\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        format!("1f4\r\n{}\r\n", "x".repeat(500)).repeat(3)
    );
    let mut client = running.send(chunked.as_bytes()).await;
    let _io = timeout(SOON, gateway.accept()).await.unwrap().unwrap();
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

/// Announced or chunked, a body that stops or goes on by a byte at a time.
#[tokio::test]
async fn a_body_that_does_not_end_in_time_is_refused_by_name_and_both_connections_are_closed() {
    let running = start_with(None, Duration::from_millis(100));
    let gateway = running.gateway();
    let head =
        "POST /maru/v1/chat HTTP/1.1\r\nHost: 100.64.0.1\r\nContent-Type: application/json\r\n";
    for (length, piece) in [
        ("Content-Length: 1000\r\n\r\n", "x"),
        ("Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
    ] {
        for goes_on in [false, true] {
            let client = running.send(format!("{head}{length}{piece}").as_bytes()).await;
            let (mut reading, mut writing) = client.into_split();
            let slowly = async {
                while goes_on && writing.write_all(piece.as_bytes()).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                std::future::pending::<Infallible>().await
            };
            let (mut io, _) = timeout(SOON, gateway.accept()).await.unwrap().unwrap();
            let heard = async {
                let mut bytes = Vec::new();
                // A connection that is closed on what its sender still writes may end with an error.
                let _ = timeout(SOON, reading.read_to_end(&mut bytes)).await.expect("closed");
                String::from_utf8(bytes).unwrap()
            };

            let answer = tokio::select! {
                answer = heard => answer,
                never = slowly => match never {},
            };

            assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
            assert!(answer.contains("connection: close\r\n"), "{answer}");
            assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
            assert!(answer.contains("urn:maru:problem:body"), "{answer}");
            let mut passed_on = Vec::new();
            let _ = timeout(SOON, io.read_to_end(&mut passed_on)).await.expect("closed as well");
        }
    }
}

#[tokio::test]
async fn what_it_does_not_relay_never_reaches_the_gateway() {
    let running = start();
    let gateway = running.gateway();
    for (request, status) in [
        (post("/maru/v1/devices", "", "{}"), 404),
        (post("/v1/chat/completions", "", "{}"), 404),
        (get("/maru/v1/chat"), 405),
        (post("/maru/v1/chat", "Origin: https://evil.example\r\n", "{}"), 403),
    ] {
        let answer = running.ask(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    running.nobody_came(&gateway).await;
}

/// Each connection has one answer, so that the agent, which reads the head of one, has read them all.
#[tokio::test]
async fn an_answer_is_the_last_of_its_connection_and_no_page() {
    let running = start();
    let post = String::from_utf8(post("/maru/v1/chat", "Origin: null\r\n", "{}")).unwrap();
    let get = |path| String::from_utf8(get(path)).unwrap();
    for request in [get("/healthz"), get("/nothing"), post] {
        let twice = request.replace("Connection: close\r\n", "").repeat(2);
        let answer = running.ask(twice.as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(answer.contains("x-content-type-options: nosniff\r\n"), "{answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'; sandbox\r\n"));
    }
    let gateway = running.gateway();
    for kind in ["content-type: text/html\r\n", "", "content-type: image/svg+xml\r\n"] {
        let mut client = running.send(get("/maru/v1/keys").as_bytes()).await;
        let (mut io, ..) = accept(&gateway, "\r\n\r\n").await;
        let page = format!("HTTP/1.1 200 OK\r\n{kind}content-length: 8\r\n\r\n<script>");
        io.write_all(page.as_bytes()).await.unwrap();
        let answer = rest(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 500") && !answer.contains("script"), "{answer}");
    }
}

#[test]
fn settings_are_strict_and_may_be_missing() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(load(root.path(), None).unwrap(), Settings::default());
    let file = root.path().join("telmeet.toml");
    assert!(matches!(load(root.path(), Some(&file)), Err(SettingsError::Missing(_))));
    std::fs::write(&file, "network = 'haus.example'\nnames = ['chat']\n").unwrap();
    let config = load(root.path(), Some(&file)).unwrap();
    assert_eq!(config.hosts().collect::<Vec<_>>(), ["chat.haus.example", "chat"]);
    std::fs::write(&file, "netwrok = 'x'\n").unwrap();
    let error = load(root.path(), Some(&file)).unwrap_err().to_string();
    assert!(error.contains("line 1") && error.contains("netwrok"), "{error}");
}
