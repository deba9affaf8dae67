//! What people get wrong with `cargo xtask bench`, and what a machine lacks: said in one sentence, and nothing is left
//! running.

use std::{
    fs,
    process::{Command, Output},
};

use lab::Machine;

fn refused(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let Output { status, stdout, stderr } = command.arg("bench").args(args).output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stdout.as_slice()), (Some(1), [].as_slice()), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn an_unknown_peer_is_told_with_those_that_there_are() {
    let said = refused(&["tunnel", "--peers", "maru,openvpn"]);
    assert!(said.contains("\"openvpn\"") && said.contains("wireguard-go"), "{said}");
    let said = refused(&["gateway", "--peers", "wireguard-go"]);
    assert!(said.contains("\"wireguard-go\"") && said.contains("nginx"), "{said}");
}

#[test]
fn options_of_another_bench_are_refused() {
    for args in [["sealed", "--peers", "maru"], ["chat", "--rounds", "2"]] {
        assert!(refused(&args).contains("leave"), "{args:?}");
    }
    assert!(refused(&["memory", "--short"]).contains("leave"));
    assert!(refused(&["memory", "--agents", "4"]).contains("leave"));
    let named = ["coordinator", "--url", "http://127.0.0.1:1", "--key", "k", "--rounds", "2"];
    assert!(refused(&named).contains("leave out --rounds"));
}

#[test]
fn a_number_of_rounds_that_is_none_is_refused() {
    for rounds in ["0", "101", "many", "-1"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let out = command.args(["bench", "tunnel", "--rounds", rounds]).output().unwrap();
        assert_eq!(out.status.code(), Some(2), "{rounds}");
    }
}

/// Measures peers on a machine without these programs and without builds; returns the final message.
fn fails_without(programs: &[&str], peers: &str) -> String {
    let machine = Machine::new("bare").unwrap();
    let files: Vec<String> = programs.iter().map(|name| format!("/usr/bin/{name}")).collect();
    // Only this machine sees it so.
    machine
        .sh(&format!(
            "mkdir /run/upper /run/work
            mount -t overlay -o lowerdir=/usr/bin,upperdir=/run/upper,workdir=/run/work maru-lab /usr/bin
            rm -f {}
            if [ -d /usr/local/go ]; then mount -t tmpfs maru-lab /usr/local/go; fi",
            files.join(" ")
        ))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("target-of-its-own/release/xtask");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_xtask"), &program).unwrap();
    let running = || machine.sh("cat /proc/[0-9]*/comm").unwrap();
    let before = running();
    let mut command = machine.command("env");
    command.arg("PATH=/usr/sbin:/usr/bin").arg(&program);
    command.args(["bench", "tunnel", "--short", "--no-build", "--peers", peers]);
    let Output { status, stderr, .. } = command.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert_eq!(running(), before, "left running");
    let errors: Vec<_> = said.split("error: ").skip(1).collect();
    assert!(matches!(errors[..], [error] if error.lines().count() == 1), "{said}");
    errors[0].trim_end().to_owned()
}

#[test]
#[ignore = "needs: root"]
fn without_iperf3_it_is_said_what_to_install() {
    // Nor can it be installed.
    let said = fails_without(&["iperf3", "dpkg-query", "apt-get"], "veth");
    assert!(said.starts_with("install ") && said.contains("iperf3"), "{said}");
    assert!(said.contains(" by hand, then run this again: "), "{said}");
}

#[test]
#[ignore = "needs: root"]
fn without_go_it_is_said_what_to_install() {
    // Nor can it be fetched. Without `unshare` there is nothing to measure: that it goes on with the others is tested elsewhere.
    let said = fails_without(&["go", "python3", "apt-get", "unshare"], "wireguard-go");
    let why = said.split("; ").find(|why| why.starts_with("wireguard-go: ")).unwrap();
    assert!(why.starts_with("wireguard-go: no Go 1."), "{said}");
    assert!(why.ends_with("install it from go.dev, then run this again"), "{said}");
}
