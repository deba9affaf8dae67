//! The program itself: how it starts and stops.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]
#![allow(clippy::disallowed_methods, reason = "a test of a process waits on the real clock")]

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const SOON: Duration = Duration::from_secs(60);

fn ready(root: &Path) -> Option<String> {
    let mut io = UnixStream::connect(root.join("run/maru/telmeet/http.sock")).ok()?;
    io.write_all(&mesh_identity::LOCAL).ok()?;
    io.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    io.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

fn wait_for<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(begun.elapsed() < SOON, "in time");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_starts_answers_and_stops_cleanly_and_names_a_wrong_key() {
    let root = tempfile::tempdir().unwrap();
    let uid = fs::metadata("/proc/self").unwrap().uid();
    let settings = root.path().join("telmeet.toml");
    fs::write(&settings, format!("agent_uid = {uid}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru-telmeet"));
    command.arg("--root").arg(root.path()).arg("--config").arg(&settings).stderr(Stdio::piped());

    let mut child = command.spawn().unwrap();
    wait_for(|| ready(root.path()));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(wait_for(|| child.try_wait().unwrap()).code(), Some(0));

    fs::write(&settings, "agnet_uid = 0\n").unwrap();
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("agnet_uid"), "{text}");
}
