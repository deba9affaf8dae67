use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use chassis::unix::{Access, Socket};
use mesh_identity::{Header, Identity, User};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::oneshot,
    task::JoinHandle,
};

use super::{serve::may_say, *};

mod declared;

/// A server with a socket of its own, stopped when dropped.
struct Running {
    path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

fn own_uid() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

fn router() -> Router {
    Router::new()
        .route(
            "/who",
            get(async |Extension(header): Extension<Header>| header.identity.person().to_string()),
        )
        .route("/echo", post(async |body: Bytes| body))
        .route("/healthz", get(async || "ok"))
        .route("/forever", get(forever))
        .route("/open/forever", get(forever))
        .route(
            "/open/who",
            post(async |header: Option<Extension<Header>>, Extension(_): Extension<Connection>| {
                header.map_or("nobody".to_owned(), |it| it.identity.person().to_string())
            }),
        )
        .route(
            "/open/close",
            post(async |Extension(connection): Extension<Connection>| {
                connection.close();
                std::future::pending::<()>().await;
            }),
        )
}

async fn forever() -> ([(&'static str, &'static str); 1], Body) {
    let start = futures_util::stream::iter([Ok::<_, std::io::Error>("first\n")]);
    let never = futures_util::stream::pending();
    let body = Body::from_stream(futures_util::StreamExt::chain(start, never));
    ([("content-type", "text/plain")], body)
}

fn start_with(caller_uid: u32, limits: Limits) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/http.sock");
    let socket = Socket::bind(&path, Access::Group).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let guard = Guard::new(["chat.maru.home.arpa"]).declare(declared::DECLARED);
    let local = |path: &str| path.starts_with("/open/");
    let server = Server { caller_uid, local, guard, refused: crate::problem, limits };
    let task = tokio::spawn(server.serve(socket, router().merge(declared::router()), async {
        let _ = stopped.await;
    }));
    Running { path, stop: Some(stop), task, _dir: dir }
}

fn start() -> Running {
    start_with(own_uid(), Limits::default())
}

fn header(node: &str) -> Vec<u8> {
    header_over(node, None)
}

fn header_over(node: &str, authority: Option<&str>) -> Vec<u8> {
    let identity = Identity {
        v: mesh_identity::VERSION,
        node: node.to_owned(),
        user: Some(User { id: 7, login: "ada".to_owned() }),
        tags: vec![],
        service: "test".to_owned(),
    };
    let (source, destination) =
        ("100.64.0.9:5000".parse().unwrap(), "100.64.0.1:80".parse().unwrap());
    let authority = authority.map(str::to_owned);
    Header { source, destination, identity, authority }.encode().unwrap()
}

/// The health check's header: command LOCAL, no addresses.
fn local() -> Vec<u8> {
    mesh_identity::LOCAL.to_vec()
}

/// Sends `parts` on one connection and reads until the server closes it.
async fn exchange(path: &Path, parts: &[&[u8]]) -> String {
    let mut io = UnixStream::connect(path).await.unwrap();
    for part in parts {
        if io.write_all(part).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let _ = io.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn request(line: &str, extra: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    let length = if len > 0 { format!("Content-Length: {len}\r\n") } else { String::new() };
    format!("{line} HTTP/1.1\r\nHost: 100.64.0.1\r\nConnection: close\r\n{extra}{length}\r\n{body}")
        .into_bytes()
}

#[tokio::test]
async fn over_tls_every_request_names_the_host_of_the_handshake() {
    let running = start();
    let header = header_over("n1", Some("chat.maru.home.arpa"));
    let get = |host: &str, connection: &str| {
        format!("GET /who HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n\r\n")
            .into_bytes()
    };

    // The address is this service's, too, but the certificate was for the name.
    let parts: [&[u8]; 3] =
        [&header, &get("Chat.maru.home.arpa.", "keep-alive"), &get("100.64.0.1", "close")];
    let answers = exchange(&running.path, &parts).await;

    assert!(answers.starts_with("HTTP/1.1 200"), "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 421").count(), 1, "{answers}");
    assert_eq!(answers.matches("user:7").count(), 1, "{answers}");
}

#[tokio::test]
async fn the_header_says_who_asks() {
    let running = start();
    let answer = exchange(&running.path, &[&header("n1"), &request("GET /who", "", "")]).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("user:7"), "{answer}");
    assert!(answer.contains("cross-origin-resource-policy: same-origin"), "{answer}");
}

#[tokio::test]
async fn a_header_in_pieces_is_read_whole() {
    let running = start();
    let mut io = UnixStream::connect(&running.path).await.unwrap();
    for byte in header("n1") {
        io.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    io.write_all(&request("GET /who", "", "")).await.unwrap();
    let mut answer = String::new();
    io.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("user:7"), "{answer}");
}

#[tokio::test]
async fn a_connection_without_the_header_gets_no_answer() {
    let running = start();
    assert_eq!(exchange(&running.path, &[&request("GET /who", "", "")]).await, "");
}

#[tokio::test]
async fn a_silent_connection_is_closed_and_blocks_nobody() {
    let silent = async |preface| {
        let limits = Limits { preface, ..Limits::default() };
        let running = start_with(own_uid(), limits);
        let mut silent = UnixStream::connect(&running.path).await.unwrap();
        silent.write_all(&header("n1")[..20]).await.unwrap();
        (running, silent)
    };

    // Far longer than the test may take: who waited for the silent one would get no answer.
    let (running, held) = silent(Duration::from_secs(3600)).await;
    let ask = [header("n2"), request("GET /who", "", "")];
    let parts = [&ask[0][..], &ask[1]];
    let asked = exchange(&running.path, &parts);
    let answer = tokio::time::timeout(Duration::from_secs(30), asked).await.expect("it waits");
    assert!(answer.ends_with("user:7"), "{answer}");
    drop(held);

    let (_running, mut silent) = silent(Duration::from_millis(100)).await;
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), silent.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "still open");
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn a_process_with_another_uid_is_refused() {
    let running = start_with(own_uid() + 1, Limits::default());
    let answer = exchange(&running.path, &[&header("n1"), &request("GET /who", "", "")]).await;
    assert_eq!(answer, "");
}

#[test]
fn the_caller_names_people_and_the_superuser_asks_for_health_alone() {
    let bytes = header("n1");
    let (named, _) = Header::decode(&bytes).unwrap().unwrap();
    let (named, nobody) = (Preface::Mesh(named), Preface::Local);
    for caller in [0, 61005] {
        for uid in [0, 61003, 61005] {
            assert_eq!(may_say(uid, caller, &named), uid == caller, "{uid} to {caller}'s");
            assert_eq!(may_say(uid, caller, &nobody), [0, caller].contains(&uid), "{uid}");
        }
    }
}

#[tokio::test]
#[ignore = "needs: root"]
async fn the_superuser_asks_another_callers_service_for_health_and_speaks_for_nobody() {
    let running = start_with(61005, Limits::default());
    let ask = request("GET /healthz", "", "");
    let answer = exchange(&running.path, &[&local(), &ask]).await;
    assert!(answer.ends_with("ok"), "{answer}");
    assert_eq!(exchange(&running.path, &[&header("n1"), &ask]).await, "", "in a member's name");
}

#[tokio::test]
async fn what_a_website_sends_is_refused() {
    let running = start();
    let send = async |line: &str, extra: &str, body: &str| {
        exchange(&running.path, &[&header("n1"), &request(line, extra, body)]).await
    };
    let json = "Content-Type: application/json\r\n";
    assert!(send("POST /echo", json, "{}").await.ends_with("{}"));

    let foreign = format!("{json}Origin: https://evil.example\r\n");
    let answer = send("POST /echo", &foreign, "{}").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("urn:maru:problem:origin"), "{answer}");

    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let answer = send("POST /echo", form, "a=b").await;
    assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");

    let rebound = b"GET /who HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let answer = exchange(&running.path, &[&header("n1"), rebound]).await;
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
}

#[tokio::test]
async fn a_health_check_needs_no_identity_and_gets_nothing_else() {
    let running = start();
    let answer = exchange(&running.path, &[&local(), &request("GET /healthz", "", "")]).await;
    assert!(answer.ends_with("ok"), "{answer}");
    let mut longer = local();
    longer[15] = 3;
    let answer =
        exchange(&running.path, &[&longer, b"xyz", &request("GET /healthz", "", "")]).await;
    assert!(answer.ends_with("ok"), "what the header's length spans is skipped: {answer}");
    for line in ["GET /who", "GET /metrics", "POST /echo"] {
        let answer = exchange(&running.path, &[&local(), &request(line, "", "")]).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains("urn:maru:problem:identity"), "{answer}");
    }
}

/// A request of a program of this machine.
fn of_here(line: &str, host: &str, extra: &str) -> Vec<u8> {
    let text = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 2\r\n{extra}\r\n{{}}"
    );
    [local(), text.into_bytes()].concat()
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn a_program_of_this_machine_gets_what_the_service_opens_and_a_website_does_not() {
    let running = start();
    let send = async |line: &str, host: &str, extra: &str| {
        exchange(&running.path, &[&of_here(line, host, extra)]).await
    };
    let answer = send("POST /open/who", "127.0.0.1:18789", JSON).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("nobody"), "{answer}");
    assert!(answer.contains("cross-origin-resource-policy: same-origin"), "{answer}");

    let answer = send("POST /echo", "127.0.0.1:18789", JSON).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("problem:identity"), "{answer}");
    for (host, extra, status, kind) in [
        ("evil.example:18789", JSON.to_owned(), 421, "host"),
        ("localhost:18789", format!("{JSON}Origin: https://evil.example\r\n"), 403, "origin"),
        ("localhost:18789", format!("{JSON}Sec-Fetch-Site: cross-site\r\n"), 403, "origin"),
        ("localhost:18789", "Content-Type: text/plain\r\n".to_owned(), 415, "content-type"),
    ] {
        let answer = send("POST /open/who", host, &extra).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains(&format!("urn:maru:problem:{kind}")), "{answer}");
    }
}

#[tokio::test]
async fn the_service_ends_a_connection_and_no_other() {
    let running = start();
    let mut other = UnixStream::connect(&running.path).await.unwrap();
    other.write_all(&of_here("GET /open/forever", "localhost", JSON)).await.unwrap();
    other.read_u8().await.unwrap();

    let closed = of_here("POST /open/close", "localhost", JSON);
    let parts = [&closed[..]];
    let asked = exchange(&running.path, &parts);
    let answer = tokio::time::timeout(Duration::from_secs(60), asked).await;
    assert_eq!(answer.expect("it is ended"), "");

    let mut start = [0; 12];
    other.read_exact(&mut start).await.unwrap();
    let more = tokio::time::timeout(Duration::from_millis(100), async {
        while other.read_u8().await.is_ok() {}
    });
    assert!(more.await.is_err(), "the other one has ended");
}

#[tokio::test]
async fn programs_of_this_machine_cannot_take_every_connection() {
    let running = start_with(own_uid(), Limits { per_node: 2, ..Limits::default() });
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut io = UnixStream::connect(&running.path).await.unwrap();
        io.write_all(&of_here("GET /open/forever", "localhost", JSON)).await.unwrap();
        io.read_u8().await.unwrap();
        held.push(io);
    }
    let ask = of_here("POST /open/who", "localhost", JSON);
    assert_eq!(exchange(&running.path, &[&ask]).await, "");
    let ask = request("GET /who", "", "");
    assert!(exchange(&running.path, &[&header("n1"), &ask]).await.ends_with("user:7"));
}

#[tokio::test]
async fn one_node_cannot_take_every_connection() {
    let running = start_with(own_uid(), Limits { per_node: 2, ..Limits::default() });
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut io = UnixStream::connect(&running.path).await.unwrap();
        io.write_all(&header("n1")).await.unwrap();
        io.write_all(&request("GET /forever", "", "")).await.unwrap();
        io.read_u8().await.unwrap();
        held.push(io);
    }
    let ask = request("GET /who", "", "");
    assert_eq!(exchange(&running.path, &[&header("n1"), &ask]).await, "");
    assert!(exchange(&running.path, &[&header("n2"), &ask]).await.ends_with("user:7"));

    drop(held);
    let begun = Instant::now();
    while exchange(&running.path, &[&header("n1"), &ask]).await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "permits are not given back");
    }
}

#[tokio::test]
async fn the_whole_number_of_connections_is_bounded() {
    let running = start_with(own_uid(), Limits { connections: 1, ..Limits::default() });
    let mut held = UnixStream::connect(&running.path).await.unwrap();
    held.write_all(&header("n1")).await.unwrap();
    held.write_all(&request("GET /forever", "", "")).await.unwrap();
    held.read_u8().await.unwrap();
    let ask = request("GET /who", "", "");
    assert_eq!(exchange(&running.path, &[&header("n2"), &ask]).await, "");
}

#[tokio::test]
async fn stopping_cuts_what_does_not_end() {
    let mut running = start();
    let mut io = UnixStream::connect(&running.path).await.unwrap();
    io.write_all(&header("n1")).await.unwrap();
    io.write_all(&request("GET /forever", "", "")).await.unwrap();
    io.read_u8().await.unwrap();

    drop(running.stop.take());
    // The reply has no end.
    (&mut running.task).await.unwrap();

    let mut rest = Vec::new();
    let _ = io.read_to_end(&mut rest).await;
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("first"), "{rest}");
    assert!(!rest.ends_with("0\r\n\r\n"), "a cut reply must not look whole: {rest}");
}

proptest::proptest! {
    /// No bytes make the reader of headers panic, wait for more than they announce, or take
    /// anything but a header.
    #[test]
    fn no_bytes_upset_the_reader(bytes in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut input = &bytes[..];
        let outcome = runtime.block_on(read_preface(&mut input));
        proptest::prop_assert!(outcome.is_err());
    }

    /// A header followed by anything is read to its own end, and not a byte further.
    #[test]
    fn the_rest_is_left(rest in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..64)) {
        let bytes = [header("n1"), rest.clone()].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut input = &bytes[..];
        let outcome = runtime.block_on(read_preface(&mut input)).unwrap();
        proptest::prop_assert!(matches!(outcome, Preface::Mesh(_)));
        proptest::prop_assert_eq!(input, &rest[..]);
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = Limits { body: Duration::from_millis(200), ..Limits::default() };
    let running = start_with(own_uid(), limits);
    let head = b"POST /echo HTTP/1.1\r\nHost: 100.64.0.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\nhalf";

    let header = header("n1");
    let parts = [&header[..], head];
    let answered = exchange(&running.path, &parts);
    let answer = tokio::time::timeout(Duration::from_secs(60), answered).await.unwrap();

    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    let whole = request("POST /echo", "Content-Type: application/json\r\n", "whole");
    let answer = exchange(&running.path, &[&header, &whole]).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("whole"), "{answer}");
}
