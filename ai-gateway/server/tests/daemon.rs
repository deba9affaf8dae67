//! The program itself: how it starts, answers, and stops.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "a test of a process waits on the real clock")]

use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::MetadataExt as _,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use testkit::blocking::{eventually, http};

fn command(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru-gateway"));
    command.arg("--root").arg(root).stderr(Stdio::piped());
    command
}

/// Everything that the root needs for this user to be both the agent and telmeet.
fn prepare(root: &Path, extra: &str) {
    let uid = fs::metadata("/proc/self").unwrap().uid();
    let settings = format!("agent_uid = {uid}\ntelmeet_uid = {uid}\n{extra}");
    fs::create_dir_all(root.join("etc/maru")).unwrap();
    fs::write(root.join("etc/maru/gateway.toml"), settings).unwrap();
}

/// The status of the response to the host itself, which has no identity.
fn ask(root: &Path, path: &str) -> Option<u16> {
    let mut io = UnixStream::connect(root.join("run/maru/gateway/http.sock")).ok()?;
    io.write_all(&mesh_identity::LOCAL).ok()?;
    Some(http::request(io, "GET", path, "localhost", &[], None).ok()?.status)
}

struct RunningGateway(Child);

impl Drop for RunningGateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(root: &Path) -> RunningGateway {
    let running = RunningGateway(command(root).spawn().unwrap());
    eventually("it is healthy", || ask(root, "/healthz") == Some(200));
    running
}

fn stop(running: &mut RunningGateway) -> i32 {
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    eventually("it ends", || running.0.try_wait().unwrap()).code().unwrap()
}

/// Asks as a member does, over the agent, and returns the status once the reply has come.
fn post(root: &Path, body: &str) -> u16 {
    let header = mesh_identity::Header {
        source: "100.64.0.9:5000".parse().unwrap(),
        destination: "100.64.0.1:18789".parse().unwrap(),
        identity: mesh_identity::Identity {
            v: mesh_identity::VERSION,
            node: "n9".to_owned(),
            user: None,
            tags: vec![],
            service: "gateway".to_owned(),
        },
        authority: None,
    };
    let mut io = UnixStream::connect(root.join("run/maru/gateway/http.sock")).unwrap();
    io.write_all(&header.encode().unwrap()).unwrap();
    let path = "/v1/chat/completions";
    let response = http::request(io, "POST", path, "100.64.0.1", &[], Some(body)).unwrap();
    let status = response.status;
    response.body().unwrap();
    status
}

/// A backend that says `answers` one after the other, then the last one for ever.
fn backend(root: &Path, answers: Vec<String>) {
    let socket = root.join("run/maru/inference/llm.sock");
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        for io in listener.incoming() {
            let mut io = io.unwrap();
            let request = http::read_request(&mut io).unwrap();
            let is_chat = request.head.starts_with("POST");
            let answer = if is_chat { answers.next() } else { None };
            let _ = io.write_all(answer.unwrap_or_default().as_bytes());
        }
    });
}

/// Runs a gateway that cannot start.
fn fail(root: &Path) -> Output {
    let child = command(root).spawn().unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn it_starts_locks_its_memory_answers_and_stops_cleanly() {
    let root = tempfile::tempdir().unwrap();
    prepare(root.path(), "");
    let mut running = start(root.path());

    let status = fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
    let locked: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap();
    assert!(locked >= 1024, "{locked} kB locked");
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.0.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);

    for (path, status) in [("/v1/models", 401), ("/metrics", 403)] {
        assert_eq!(ask(root.path(), path), Some(status), "{path}");
    }
    assert!(root.path().join("var/lib/maru/gateway/identity.pub").exists());

    assert_eq!(stop(&mut running), 0);
    let mut running = start(root.path());
    assert_eq!(stop(&mut running), 0, "again on the same state");
}

#[test]
#[ignore = "needs: root"]
fn its_keys_are_in_locked_memory_as_its_own_counters_tell_root() {
    let root = tempfile::tempdir().unwrap();
    prepare(root.path(), "");
    let _running = start(root.path());
    let io = UnixStream::connect(root.path().join("run/maru/metrics/http.sock")).unwrap();
    let response = http::request(io, "GET", "/metrics", "localhost", &[], None).unwrap();
    let metrics = response.body().unwrap();
    let used = metrics.lines().find_map(|line| line.strip_prefix("maru_gateway_locked_bytes "));
    assert!(used.unwrap().trim().parse::<u64>().unwrap() > 1000, "{metrics}");
}

#[test]
fn what_is_wrong_with_the_settings_is_one_sentence_and_status_1() {
    let root = tempfile::tempdir().unwrap();
    prepare(root.path(), "nmaes = []\n");
    let output = fail(root.path());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("gateway.toml") && text.contains("nmaes"), "{text}");

    prepare(root.path(), "");
    let config = root.path().join("var/lib/maru/gateway/config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("openclaw.json"), "{ modles: {} }").unwrap();
    let output = fail(root.path());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("`modles`"), "{text}");
    fs::remove_file(config.join("openclaw.json")).unwrap();

    let _running = start(root.path());
    let output = fail(root.path());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("another process already serves"), "{text}");
}

#[test]
fn what_people_write_is_logged_at_no_level() {
    let root = tempfile::tempdir().unwrap();
    prepare(root.path(), "");
    let error = r#"{"error": {"code": 400, "message": "cannot parse: canary", "type": "x"}}"#;
    let delta = r#"data: {"choices": [{"index": 0, "delta": {"content": "canary"}}]}"#;
    let finish = r#"data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}"#;
    backend(
        root.path(),
        vec![
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{delta}\n\n{finish}\n\ndata: [DONE]\n\n"
            ),
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{delta}\n\ndata: {error}\n\n"
            ),
            format!(
                "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{error}"
            ),
        ],
    );
    let log = fs::File::create(root.path().join("log")).unwrap();
    let child = command(root.path()).args(["--log", "trace"]).stderr(log).spawn().unwrap();
    let mut running = RunningGateway(child);
    eventually("it answers", || ask(root.path(), "/healthz"));

    let message = r#""messages": [{"role": "user", "content": "canary"}]"#;
    for status in [200, 502, 400] {
        assert_eq!(post(root.path(), &format!("{{{message}}}")), status);
    }
    for wrong in [
        r#"{"messages": "canary"}"#,
        r#"{"messages": [{"role": "canary", "content": ""}]}"#,
        "canary",
        &format!(r#"{{"model": "canary", {message}}}"#),
    ] {
        assert!((400..500).contains(&post(root.path(), wrong)), "{wrong}");
    }
    assert_eq!(stop(&mut running), 0);
    let log = fs::read_to_string(root.path().join("log")).unwrap();
    assert!(log.contains("request refused"), "{log}");
    let lines: Vec<_> = log.lines().filter(|line| line.contains("canary")).collect();
    assert!(lines.is_empty(), "{lines:?}");

    // When it stopped it kept how much was asked, and nothing of what.
    let usage = fs::read_to_string(root.path().join("var/lib/maru/gateway/usage.json")).unwrap();
    assert!(usage.contains(r#""node:n9":{"requests":3,"#) && !usage.contains("canary"), "{usage}");
    let mode = fs::metadata(root.path().join("var/lib/maru/gateway/usage.json")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600, "for nobody else");
}
