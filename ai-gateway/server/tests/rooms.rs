//! Rooms, by the program itself: a scripted messenger (`interop/rooms/messenger.py`) that was written from
//! `docs/protocols/plugin.md` alone, and a gateway that is killed.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "a test of a process waits on the real clock")]

use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::MetadataExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::{Child, Command},
};

use serde_json::{Value, json};
use testkit::blocking::{eventually, http};

const SOCKET: &str = "run/maru/participant/http.sock";
const HOST: &str = "gateway.plugin";
const MESSAGES: &str = "/maru/v1/rooms/messages";

struct RunningGateway(Child);

impl Drop for RunningGateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn vectors() -> PathBuf {
    repository().join("docs/protocols/vectors/rooms.json")
}

/// A root where this user is the participant, with the model of the vectors.
fn prepare(root: &Path) {
    let uid = fs::metadata("/proc/self").unwrap().uid();
    let config = root.join("var/lib/maru/gateway/config");
    fs::create_dir_all(&config).unwrap();
    fs::create_dir_all(root.join("etc/maru")).unwrap();
    fs::write(root.join("etc/maru/gateway.toml"), format!("participant_uid = {uid}\n")).unwrap();
    let models =
        r#"{models: {providers: {p: {baseUrl: "unix:///model.sock", models: [{id: "vectors"}]}}}}"#;
    fs::write(config.join("openclaw.json"), models).unwrap();
    let vectors: Value = serde_json::from_str(&fs::read_to_string(vectors()).unwrap()).unwrap();
    model(root, vectors["model"].as_array().unwrap().clone());
}

/// Answers as the vectors say, each request on a thread of its own.
fn model(root: &Path, script: Vec<Value>) {
    let listener = UnixListener::bind(root.join("model.sock")).unwrap();
    std::thread::spawn(move || {
        for io in listener.incoming() {
            let script = script.clone();
            std::thread::spawn(move || drop(answer(io.unwrap(), &script)));
        }
    });
}

fn answer(mut io: UnixStream, script: &[Value]) -> std::io::Result<()> {
    let request = http::read_request(&mut io)?;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let Some(asked) = body["messages"].as_array().and_then(|messages| messages.last()) else {
        return io.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    };
    let asked = asked["content"].as_str().unwrap();
    let entry = script.iter().find(|it| asked.contains(it["asked"].as_str().unwrap())).unwrap();
    io.write_all(head.as_bytes())?;
    for text in entry["says"].as_array().unwrap() {
        let delta = json!({"choices": [{"index": 0, "delta": {"content": text}}]});
        io.write_all(format!("data: {delta}\n\n").as_bytes())?;
    }
    match entry["then"].as_str() {
        // Until the gateway closes the connection.
        Some("held") => drop(http::read_request(&mut io)?),
        Some(_) => {}
        None => {
            let finish = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
            io.write_all(format!("data: {finish}\n\ndata: [DONE]\n\n").as_bytes())?;
        }
    }
    Ok(())
}

/// Starts the gateway, whose log is written to a file.
fn start(root: &Path) -> RunningGateway {
    let log = fs::OpenOptions::new().create(true).append(true).open(root.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru-gateway"));
    command.arg("--root").arg(root).args(["--log", "trace"]).stderr(log);
    let running = RunningGateway(command.spawn().unwrap());
    eventually("it listens", || UnixStream::connect(root.join(SOCKET)).ok());
    running
}

/// Plays a part of the vectors.
fn play(root: &Path, part: &str) {
    let mut messenger = Command::new("python3");
    messenger.arg(repository().join("interop/rooms/messenger.py"));
    let output = messenger.arg(root.join(SOCKET)).arg(vectors()).arg(part).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{part}: {said}{failed}");
}

#[test]
fn a_messenger_written_from_the_page_passes_the_vectors_also_after_the_gateway_was_killed() {
    let root = tempfile::tempdir().unwrap();
    prepare(root.path());
    let running = start(root.path());
    play(root.path(), "first");

    let message = json!({
        "version": 1, "event_id": "$e8", "room": {"id": "!mina:home.example", "direct": true},
        "sender": {"id": "@mina:home.example", "name": "Mina"}, "text": "Again for ever",
    });
    let io = UnixStream::connect(root.path().join(SOCKET)).unwrap();
    let body = message.to_string();
    let mut reply = http::request(io, "POST", MESSAGES, HOST, &[], Some(&body)).unwrap();
    assert_eq!(reply.status, 200);
    while !reply.line().unwrap().expect("a delta").contains("Once") {}
    // With SIGKILL, in the middle of a reply.
    drop(running);
    let mut rest = String::new();
    while let Ok(Some(line)) = reply.line() {
        rest.push_str(&line);
    }
    assert!(!rest.contains("final"), "{rest}");

    let running = start(root.path());
    play(root.path(), "restarted");
    drop(running);

    // What people write, and who they are, is logged at no level.
    let log = fs::read_to_string(root.path().join("log")).unwrap();
    assert!(log.contains("request refused"), "the control: {log}");
    for text in ["eggs", "dinner", "for ever", "Mina", "Jun", "home.example", "Kitchen", "$e1"] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(text)).collect();
        assert!(lines.is_empty(), "{text}: {lines:?}");
    }
}
