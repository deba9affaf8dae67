//! What cannot work on a machine is said in one sentence, at once, and nothing is left half-done.
#![allow(clippy::disallowed_methods, reason = "an end-to-end test runs on the real clock")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "nothing to do but fail")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use lab::Machine;

fn root(settings: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(root.path().join("etc/maru")).unwrap();
    fs::write(root.path().join("etc/maru/agent.toml"), settings).unwrap();
    root
}

fn agent(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru-agent"));
    command.arg("--root").arg(root);
    command
}

/// The one sentence on stderr; the log's lines begin with a time.
fn sentence(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let said: Vec<&str> = text.lines().filter(|line| line.starts_with("maru-agent: ")).collect();
    assert_eq!(said.len(), 1, "{text}");
    said[0].to_owned()
}

#[test]
fn an_unknown_key_is_named() {
    let root = root("listen_prot = 1\n");
    let output = agent(root.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = sentence(&output);
    assert!(said.contains("listen_prot") && said.contains("line 1"), "{said}");
    assert!(!root.path().join("var").exists(), "nothing half-done");
}

#[test]
fn wrong_usage_is_status_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_maru-agent")).arg("--rot").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// Prepares a machine with `before`, starts the agent there, and returns what it said.
fn refused(before: &str, settings: &str) -> String {
    let machine = Machine::new("bad").unwrap();
    let root = root(settings);
    machine.sh(before).unwrap();
    let interfaces = machine.sh("ip -o link; nft list tables").unwrap();
    let mut command = machine.command("timeout");
    command.arg("20").arg(env!("CARGO_BIN_EXE_maru-agent")).arg("--root").arg(root.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(machine.sh("ip -o link; nft list tables").unwrap(), interfaces, "left behind");
    sentence(&output)
}

#[test]
#[ignore = "needs: root"]
fn a_busy_udp_port_is_named() {
    let said = refused(
        "nohup python3 -c 'import socket,time
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind((\"0.0.0.0\",41641)); time.sleep(60)' >/dev/null 2>&1 &
        sleep 0.5",
        "",
    );
    assert!(said.contains("41641") && said.contains("listen_port"), "{said}");
}

#[test]
#[ignore = "needs: root"]
fn an_interface_name_that_is_taken_is_named() {
    let said = refused("ip link add mesh7 type veth peer name mesh8", "interface = \"mesh7\"\n");
    assert!(said.contains("mesh7"), "{said}");
}

#[test]
#[ignore = "needs: root"]
fn a_missing_tun_device_is_named() {
    let said = refused("mount -t tmpfs none /dev/net", "");
    assert!(said.contains("/dev/net/tun"), "{said}");
}

#[test]
#[ignore = "needs: root"]
fn a_missing_nft_is_named() {
    let machine = Machine::new("bad").unwrap();
    let root = root("");
    machine.sh("mkdir /run/none; mount --bind /run/none /usr/sbin").unwrap();
    let mut command = machine.command("/usr/bin/timeout");
    command.arg("20").arg(env!("CARGO_BIN_EXE_maru-agent")).arg("--root").arg(root.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(sentence(&output).contains("nftables"), "{output:?}");
}
