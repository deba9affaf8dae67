//! What `maru` says of itself, and how it ends.

use std::process::{Command, Output};

fn maru(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_maru")).args(args).env("COLUMNS", "100").output().unwrap()
}

fn text(args: &[&str]) -> String {
    let output = maru(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_of_every_command() {
    insta::assert_snapshot!("maru", text(&["--help"]));
    for command in [
        "setup", "up", "status", "netcheck", "ping", "whois", "pause", "doctor", "join", "leave",
        "invite", "device", "key", "api-key",
    ] {
        insta::assert_snapshot!(command, text(&[command, "--help"]));
    }
    for command in [
        "user",
        "policy",
        "app",
        "model",
        "log",
        "backup",
        "restore",
        "usage",
        "upgrade",
        "metrics",
        "audit",
        "passphrase",
        "confidential",
        "chat",
        "rooms",
        "trust",
        "completions",
    ] {
        insta::assert_snapshot!(command, text(&[command, "--help"]));
    }
    for (command, name) in [("approve", "device-approve"), ("tag", "device-tag")] {
        insta::assert_snapshot!(name, text(&["device", command, "--help"]));
    }
    for (args, name) in [(&["route"][..], "route"), (&["route", "approve"], "route-approve")] {
        insta::assert_snapshot!(name, text(&[args, &["--help"]].concat()));
    }
    for (command, name) in
        [("set", "policy-set"), ("test", "policy-test"), ("explain", "policy-explain")]
    {
        insta::assert_snapshot!(name, text(&["policy", command, "--help"]));
    }
    let verify = text(&["confidential", "verify", "--help"]);
    insta::assert_snapshot!("confidential-verify", verify);
    insta::assert_snapshot!("confidential-add", text(&["confidential", "add", "--help"]));
    insta::assert_snapshot!("passphrase-set", text(&["passphrase", "set", "--help"]));
    insta::assert_snapshot!("rooms-login", text(&["rooms", "login", "--help"]));
    insta::assert_snapshot!("model-pull", text(&["model", "pull", "--help"]));
    insta::assert_snapshot!("api-key-create", text(&["api-key", "create", "--help"]));
    insta::assert_snapshot!("key-create", text(&["key", "create", "--help"]));
}

#[test]
fn a_wrong_command_line_ends_with_2_and_a_failure_with_1() {
    assert_eq!(maru(&["frobnicate"]).status.code(), Some(2));
    assert_eq!(maru(&["key", "create"]).status.code(), Some(2));
    assert_eq!(maru(&["join", "not a link"]).status.code(), Some(2));
    assert_eq!(maru(&["route", "approve", "router", "192.168.1.7"]).status.code(), Some(2));

    let root = tempfile::tempdir().unwrap();
    let failed = maru(&["--root", root.path().to_str().unwrap(), "device", "list"]);
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(said.contains("sudo maru up"), "{said}");
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(text(&["completions", shell]).contains("approve"), "{shell}");
    }
}

#[test]
fn people_who_read_korean_get_korean_and_programs_what_they_always_get() {
    let root = tempfile::tempdir().unwrap();
    let korean = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maru"));
        command.arg("--root").arg(root.path()).args(args).env("LC_ALL", "ko_KR.UTF-8");
        command.output().unwrap()
    };
    let help = String::from_utf8(korean(&["device", "approve", "--help"]).stdout).unwrap();
    insta::assert_snapshot!("device-approve-korean", help);

    let failed = korean(&["device", "list"]);
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(
        said.contains("코디네이터가 실행되고 있지 않습니다") && said.contains("sudo maru up"),
        "{said}"
    );

    let table = String::from_utf8(korean(&["confidential", "list"]).stdout).unwrap();
    assert!(table.starts_with("이름"), "{table}");
    // The sentences of `doctor` are in its JSON, too.
    let json = String::from_utf8(korean(&["doctor", "--output", "json"]).stdout).unwrap();
    assert!(json.contains("\"id\": \"tools\""), "{json}");
    assert!(!json.chars().any(|c| ('\u{ac00}'..='\u{d7a3}').contains(&c)), "{json}");
}

#[test]
fn without_an_agent_a_command_ends_with_one_sentence() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().to_str().unwrap();
    let cases: [&[&str]; 6] = [
        &["ping", "phone"],
        &["ping", "phone", "--until-direct", "-o", "json"],
        &["whois", "100.64.0.2"],
        &["pause"],
        &["resume", "-o", "yaml"],
        &["status", "--watch"],
    ];
    for args in cases {
        let output = maru(&[&["--root", root], args].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{args:?}: {said}");
        assert!(said.contains("agent") && output.stdout.is_empty(), "{args:?}: {said}");
    }
    assert_eq!(maru(&["ping", "phone", "-c", "0"]).status.code(), Some(2));
}
