//! The program itself: how it starts and stops.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::Path,
    process::{Command, Stdio},
};

use testkit::blocking::{eventually, http};

/// The status of its health check.
fn health(root: &Path) -> Option<u16> {
    let mut io = UnixStream::connect(root.join("run/maru/telmeet/http.sock")).ok()?;
    io.write_all(&mesh_identity::LOCAL).ok()?;
    Some(http::request(io, "GET", "/healthz", "localhost", &[], None).ok()?.status)
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
    eventually("it is healthy", || health(root.path()) == Some(200));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(eventually("it ends", || child.try_wait().unwrap()).code(), Some(0));

    fs::write(&settings, "agnet_uid = 0\n").unwrap();
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("agnet_uid"), "{text}");
}
