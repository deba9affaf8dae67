//! The admin API at the port for everyone: who is answered, and what the others are told.

use std::{net::SocketAddr, time::Duration};

use coordinator_api::settings::{Proxy, Settings};
use hyper::Method;
use serde_json::{Value, json};
use testkit::http::exchange;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

use crate::{
    harness::{Coordinator, configured, settings},
    listener::BURST,
    tls::{self, Authority},
};

/// Wrong keys that an address may show at once.
const TRIES: usize = 10;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    /// In lower case, without the date.
    head: Vec<String>,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The word of a problem.
    fn problem(&self) -> String {
        let kind = self.json()["type"].as_str().unwrap().to_owned();
        kind.strip_prefix("urn:maru:problem:").unwrap().to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Sends a request as it stands on a connection.
async fn send(stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Answer {
    let text = exchange(stream, request.replace('\n', "\r\n").as_bytes()).await;
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let head = lines.map(str::to_lowercase).filter(|line| !line.starts_with("date:")).collect();
    Answer { status, head, body: body.to_owned() }
}

/// A request for `METHOD /path` below the API, with these further lines of its head and this body.
fn request(line: &str, head: &[&str], body: &str) -> String {
    let (method, path) = line.split_once(' ').unwrap();
    let head: String = head.iter().map(|line| format!("{line}\n")).collect();
    format!(
        "{method} /api/v1{path} HTTP/1.1\nHost: {}\nConnection: close\n{head}Content-Length: {}\n\n{body}",
        tls::NAME,
        body.len()
    )
}

const JSON: &str = "Content-Type: application/json";

/// A coordinator behind TLS, and who calls it.
struct Setup {
    authority: Authority,
    coordinator: Coordinator,
    _folder: tempfile::TempDir,
}

impl Setup {
    async fn new() -> Self {
        let authority = Authority::new();
        let (folder, coordinator) = tls::start(&authority).await;
        Self { authority, coordinator, _folder: folder }
    }

    /// Makes an API key; the line of a head that shows it.
    async fn key(&self, name: &str, access: &str) -> String {
        let wanted = json!({ "name": name, "access": access });
        let made = self.coordinator.ok(Method::POST, "/api-keys", wanted).await;
        shown(&made)
    }

    async fn ask(&self, line: &str, head: &[&str], body: &str) -> Answer {
        let stream = self.authority.open(self.coordinator.address).await.unwrap();
        send(stream, &request(line, head, body)).await
    }

    async fn ask_from(&self, source: [u8; 4], line: &str, head: &[&str]) -> Answer {
        let stream = from(source, self.coordinator.address).await;
        let stream = self.authority.open_over(stream).await.unwrap();
        send(stream, &request(line, head, "")).await
    }
}

fn shown(made: &Value) -> String {
    format!("Authorization: Bearer {}", made["key"].as_str().unwrap())
}

async fn from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn who_has_an_admin_key_does_what_root_does_on_the_socket() {
    let setup = Setup::new().await;
    let key = setup.key("laptop", "admin").await;

    let made = setup.ask("POST /users", &[&key, JSON], r#"{"name":"alice"}"#).await;
    assert_eq!((made.status, &made.json()["name"]), (201, &json!("alice")));
    let users = setup.coordinator.ok(Method::GET, "/users", Value::Null).await;
    assert_eq!(users[0]["name"], "alice");
    let listed = setup.ask("GET /users", &[&key], "").await;
    assert_eq!((listed.status, listed.json()), (200, users));

    let further = r#"{"name":"ci","access":"read","expires_in_s":3600}"#;
    let made = setup.ask("POST /api-keys", &[&key, JSON], further).await;
    assert_eq!(made.status, 201);
    assert_eq!(setup.ask("GET /health", &[&shown(&made.json())], "").await.status, 200);
    let keys = setup.ask("GET /api-keys", &[&key], "").await;
    assert!(!keys.body.contains("maru-api-"), "what keys are is shown once: {}", keys.body);
    assert_eq!(keys.json()[1]["name"], "ci");
    let twice = setup.ask("POST /api-keys", &[&key, JSON], further).await;
    assert_eq!((twice.status, twice.problem().as_str()), (409, "name-taken"));
    let nameless = setup.ask("POST /api-keys", &[&key, JSON], r#"{"name":"7"}"#).await;
    assert_eq!((nameless.status, nameless.problem().as_str()), (422, "name"));

    let missing = setup.ask("GET /nothing", &[&key], "").await;
    assert_eq!((missing.status, missing.problem().as_str()), (404, "path"));
    let form = ["Content-Type: text/plain"];
    let simple = setup.ask("POST /users", &[&key, form[0]], r#"{"name":"bob"}"#).await;
    assert_eq!((simple.status, simple.problem().as_str()), (415, "content-type"));
    let large = format!("{{\"policy\":\"{}\"}}", " ".repeat(1024 * 1024));
    assert_eq!(setup.ask("PUT /policy", &[&key, JSON], &large).await.status, 413);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_key_the_answer_is_the_same() {
    let setup = Setup::new().await;
    let no_key_yet = setup.ask("GET /users", &[], "").await;
    assert_eq!((no_key_yet.status, no_key_yet.problem().as_str()), (401, "api-key"));
    assert_eq!(no_key_yet.header("www-authenticate"), Some("bearer realm=\"maru\""));

    let admin = |body| setup.coordinator.ok(Method::POST, "/api-keys", body);
    let over = shown(&admin(json!({ "name": "over", "access": "admin", "expires_in_s": 0 })).await);
    let removed = setup.key("removed", "admin").await;
    assert_eq!(setup.ask("GET /users", &[&removed], "").await.status, 200);
    setup.coordinator.ok(Method::DELETE, "/api-keys/removed", Value::Null).await;
    let good = setup.key("good", "admin").await;
    let basic = good.replace("Bearer", "Basic");
    let unknown = format!("Authorization: Bearer maru-api-{}", "0".repeat(64));
    let joins = setup.coordinator.key(json!({ "user": "alice" })).await;
    let joins = format!("Authorization: Bearer {joins}");
    for head in [
        vec![],
        vec![over.as_str()],
        vec![removed.as_str()],
        vec![unknown.as_str()],
        vec![basic.as_str()],
        vec![joins.as_str()],
        vec![good.as_str(), unknown.as_str()],
    ] {
        let answer = setup.ask("GET /users", &head, "").await;
        assert_eq!(answer, no_key_yet, "{head:?}");
    }
    // Nobody waits for the body of a stranger.
    let stream = setup.authority.open(setup.coordinator.address).await.unwrap();
    let long = request("POST /users", &[JSON], "").replace("-Length: 0", "-Length: 1000000000");
    assert_eq!(send(stream, &long).await.status, 401);
}

#[tokio::test]
async fn a_read_key_reads_and_changes_nothing() {
    let setup = Setup::new().await;
    let key = setup.key("monitor", "read").await;
    let everything = async || {
        let mut all = Vec::new();
        for path in ["/users", "/keys", "/api-keys", "/devices", "/policy", "/records"] {
            all.push(setup.coordinator.ok(Method::GET, path, Value::Null).await);
        }
        all
    };
    let before = everything().await;

    assert_eq!(setup.ask("GET /policy", &[&key], "").await.status, 200);
    assert_eq!(setup.ask("HEAD /policy", &[&key], "").await.status, 200);
    for (line, body) in [
        ("POST /policy/check", r#"{"policy":"{}"}"#),
        ("POST /policy/diff", r#"{"policy":"{}"}"#),
        ("POST /policy/test", ""),
    ] {
        assert_eq!(setup.ask(line, &[&key, JSON], body).await.status, 200, "{line}");
    }
    let explain = r#"{"src":"100.64.0.1","dst":"100.64.0.2","port":22}"#;
    let answer = setup.ask("POST /policy/explain", &[&key, JSON], explain).await;
    assert!(answer.status == 200 || answer.problem() == "question", "{answer:?}");
    for (line, body) in [
        ("POST /users", r#"{"name":"alice"}"#),
        ("PUT /policy/check", r#"{"policy":"{}"}"#),
        ("POST /policy", r#"{"policy":"{}"}"#),
        ("POST /policy/check/", r#"{"policy":"{}"}"#),
        ("POST /policy/%63heck", r#"{"policy":"{}"}"#),
        ("POST /api-keys", r#"{"name":"more","access":"admin"}"#),
        ("DELETE /api-keys/monitor", ""),
        ("PUT /policy", r#"{"policy":"{}"}"#),
        ("POST /invitations", r#"{"user":"alice"}"#),
        ("POST /nothing", ""),
        ("PURGE /users", ""),
    ] {
        let answer = setup.ask(line, &[&key, JSON], body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "read-only"), "{line}");
    }
    assert_eq!(everything().await, before);
}

#[tokio::test]
async fn who_guesses_is_sent_away_and_who_has_a_key_is_not() {
    let setup = Setup::new().await;
    let key = setup.key("laptop", "admin").await;
    let guesser = [127, 0, 7, 1];
    let guess = |number: usize| format!("Authorization: Bearer maru-api-{number:064x}");

    for number in 0..TRIES {
        let answer = setup.ask_from(guesser, "GET /users", &[&guess(number)]).await;
        assert_eq!(answer.status, 401);
    }
    let answer = setup.ask_from(guesser, "GET /users", &[&guess(TRIES)]).await;

    assert_eq!((answer.status, answer.problem().as_str()), (429, "tries"));
    assert!(answer.header("retry-after").is_some_and(|after| after.parse::<u64>().unwrap() > 0));
    let other = setup.ask_from([127, 0, 7, 2], "GET /users", &[&guess(0)]).await;
    assert_eq!(other.status, 401, "another address is not kept out");
    let good = setup.ask_from(guesser, "GET /users", &[&key]).await;
    assert_eq!(good.status, 200, "nor is who has a key at the same address");
}

#[tokio::test]
async fn a_key_that_is_removed_while_its_request_is_on_the_way_changes_nothing() {
    let setup = Setup::new().await;
    let key = setup.key("laptop", "admin").await;
    let body = r#"{"name":"mallory"}"#;
    let late = request("POST /users", &[&key, JSON], body).replace('\n', "\r\n");
    let head = late.strip_suffix(body).unwrap();
    let mut stream = setup.authority.open(setup.coordinator.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    // The head is judged, and the body waited for.
    tokio::time::sleep(Duration::from_millis(300)).await;

    setup.coordinator.ok(Method::DELETE, "/api-keys/laptop", Value::Null).await;
    let answer = send(stream, body).await;

    let unknown = setup.ask("GET /users", &[&key], "").await;
    let challenge = answer.header("www-authenticate");
    assert_eq!((answer.status, challenge), (401, unknown.header("www-authenticate")));
    assert_eq!(answer.body, unknown.body, "as if the key had never been there");
    let users = setup.coordinator.ok(Method::GET, "/users", Value::Null).await;
    assert_eq!(users, json!([]));
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_how_long_to_wait() {
    let setup = Setup::new().await;
    let source = [127, 0, 7, 9];
    let mut answer = setup.ask_from(source, "GET /users", &[]).await;
    for _ in 0..3 * BURST {
        if answer.status == 429 && answer.problem() == "limit" {
            break;
        }
        answer = setup.ask_from(source, "GET /users", &[]).await;
    }

    assert_eq!((answer.status, answer.problem().as_str()), (429, "limit"));
    assert!(answer.header("retry-after").is_some_and(|after| after.parse::<u64>().unwrap() > 0));
}

#[tokio::test]
async fn wrong_keys_are_counted_in_the_audit_log_and_a_flood_is_an_entry_or_two() {
    let mut setup = Setup::new().await;
    let entries = async |setup: &Setup| {
        let page = setup.coordinator.ok(Method::GET, "/log?actor=system", Value::Null).await;
        let entries = page["entries"].as_array().unwrap().clone();
        let words = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
        let all = entries.iter().map(|it| (words(it, "action"), words(it, "target")));
        all.collect::<Vec<_>>()
    };
    let guess = format!("Authorization: Bearer maru-api-{:064x}", 7);
    let flood = 3 * TRIES;
    for _ in 0..flood {
        let answer = setup.ask_from([127, 0, 7, 3], "GET /users", &[&guess]).await;
        assert!([401, 429].contains(&answer.status), "{answer:?}");
    }

    // It is written when the coordinator begins, each hour, and when it ends.
    setup.coordinator.restart().await;
    let written = entries(&setup).await;
    assert!(written.iter().all(|(action, _)| action == "api-key.refused"), "{written:?}");
    let counts = written.iter().map(|(_, count)| count.parse::<usize>().unwrap());
    assert_eq!(counts.sum::<usize>(), flood, "{written:?}");
    assert!(written.len() <= 2, "strangers fill the log: {written:?}");

    setup.coordinator.restart().await;
    assert_eq!(entries(&setup).await, written, "nothing came since");
    assert_eq!(setup.ask_from([127, 0, 7, 3], "GET /users", &[&guess]).await.status, 401);
    setup.coordinator.restart().await;
    let one = ("api-key.refused".to_owned(), "1".to_owned());
    assert_eq!(entries(&setup).await, [written, vec![one]].concat());
}

#[tokio::test]
async fn over_plain_http_nobody_is_answered() {
    let key = async |coordinator: &Coordinator| {
        let wanted = json!({ "name": "laptop", "access": "admin" });
        shown(&coordinator.ok(Method::POST, "/api-keys", wanted).await)
    };
    let ask = async |coordinator: &Coordinator, head: &[&str]| {
        let stream = from([127, 0, 8, 1], coordinator.address).await;
        send(stream, &request("GET /users", head, "")).await
    };
    let is_refused = |answer: &Answer| {
        assert_eq!((answer.status, answer.problem().as_str()), (403, "https-only"));
        assert!(answer.body.contains("set [tls]") && answer.body.contains("remove the API key"));
    };

    let plain = Coordinator::start().await;
    let shown = key(&plain).await;
    is_refused(&ask(&plain, &[&shown]).await);
    is_refused(&ask(&plain, &[&shown, "X-Forwarded-Proto: https"]).await);
    is_refused(&ask(&plain, &[]).await);

    let setup = Setup::new().await;
    is_refused(&ask(&setup.coordinator, &[&key(&setup.coordinator).await]).await);

    let proxy = Some(Proxy { trusted: vec!["127.0.8.1".to_owned()] });
    let server_url = Some("https://coordinator.test".to_owned());
    let behind = configured(Settings { server_url, proxy, ..settings() });
    let behind = Coordinator::with(behind, None).await;
    let shown = key(&behind).await;
    let says = |proto| format!("X-Forwarded-Proto: {proto}");
    is_refused(&ask(&behind, &[&shown, &says("http")]).await);
    assert_eq!(ask(&behind, &[&shown, &says("https")]).await.status, 200);
    let stranger = from([127, 0, 8, 2], behind.address).await;
    is_refused(&send(stranger, &request("GET /users", &[&shown, &says("https")], "")).await);
}

#[tokio::test]
async fn a_website_is_refused_and_never_told_that_it_may_ask() {
    let setup = Setup::new().await;
    let key = setup.key("laptop", "admin").await;

    let own = format!("Origin: https://{}:8443", tls::NAME);
    for head in [
        vec![own.as_str()],
        vec!["Origin: https://evil.example"],
        vec!["Origin: null"],
        vec!["Sec-Fetch-Site: cross-site"],
        vec!["Sec-Fetch-Site: same-origin"],
        vec!["Sec-Fetch-Mode: navigate"],
        vec!["Origin: https://evil.example", "Access-Control-Request-Method: PUT"],
    ] {
        for line in ["GET /users", "POST /users", "OPTIONS /policy"] {
            let answer = setup.ask(line, &[&[key.as_str(), JSON], &head[..]].concat(), "").await;
            assert_eq!((answer.status, answer.problem().as_str()), (403, "origin"), "{line}");
            let allows = |line: &String| line.starts_with("access-control-");
            assert!(!answer.head.iter().any(allows), "{answer:?}");
        }
    }
    assert_eq!(setup.ask("GET /users", &[&key], "").await.status, 200, "a program");
}
