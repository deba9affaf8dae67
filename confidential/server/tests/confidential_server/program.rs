//! The program itself: how it is told what to do, how it starts and stops.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Output, Stdio},
};

fn program(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru-confidential"));
    command.arg("--root").arg(root).args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_relay_starts_and_stops_and_names_a_wrong_key() {
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("own");
    let etc = root.path().join("etc/maru/confidential");
    let run = |words: &[&str]| {
        let folder = ["deployment", "--folder", own.to_str().unwrap()];
        let output = program(root.path(), &[&folder, words].concat()).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["init"]).trim().len(), 43);
    run(&["machine", "relay", "relay.example", "127.0.0.1", "--out", etc.to_str().unwrap()]);
    let settings = root.path().join("etc/maru/confidential-relay.toml");
    let text = "listen = \"127.0.0.1:0\"\n[gateway]\nurl = \"https://gateway.example:3200\"\n";
    fs::write(&settings, text).unwrap();

    let mut child = program(root.path(), &["relay"]).spawn().unwrap();
    let mut line = Vec::new();
    let mut log = child.stderr.take().unwrap();
    while !line.ends_with(b"the relay is ready\n") {
        let mut byte = [0];
        assert_eq!(log.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&line));
        line.push(byte[0]);
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));

    fs::write(&settings, "lisen = 1\n").unwrap();
    let output = program(root.path(), &["relay"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("lisen"), "{}", said(&output));
    fs::remove_file(&settings).unwrap();
    let output = program(root.path(), &["relay"]).output().unwrap();
    assert!(said(&output).contains("https://host:port"), "{}", said(&output));
}
