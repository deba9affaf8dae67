//! What people get wrong with `cargo xtask bench`: said in one sentence, before anything is installed, built or started.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

use std::process::{Command, Output};

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
}

#[test]
fn a_number_of_rounds_that_is_none_is_refused() {
    for rounds in ["0", "101", "many", "-1"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let out = command.args(["bench", "tunnel", "--rounds", rounds]).output().unwrap();
        assert_eq!(out.status.code(), Some(2), "{rounds}");
    }
}
