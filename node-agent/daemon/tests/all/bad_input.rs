//! What cannot work on a machine is said in one sentence, at once, and nothing is left half-done.

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
fn an_unknown_offload_is_told_what_to_write() {
    for (value, says) in [
        ("\"on\"", "\"on\" is not a value of offload: write \"auto\" or \"off\""),
        (
            "[\"tso\"]",
            "\"tso\" is not an offload: list some of tso4, tso6, uso, udp_segment, udp_gro",
        ),
    ] {
        let root = root(&format!("offload = {value}\n"));
        let output = agent(root.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = sentence(&output);
        assert!(said.contains(says) && said.contains("line 1"), "{said}");
        assert!(!root.path().join("var").exists(), "nothing half-done");
    }
}

#[test]
fn wrong_usage_is_status_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_maru-agent")).arg("--rot").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// Starts the agent on a machine that was prepared, and returns what it said.
fn refused(machine: &Machine, settings: &str) -> String {
    refused_at(machine, root(settings).path())
}

fn refused_at(machine: &Machine, root: &Path) -> String {
    let interfaces = machine.sh("ip -o link; nft list tables").unwrap();
    let mut command = machine.command("timeout");
    command.arg("20").arg(env!("CARGO_BIN_EXE_maru-agent")).arg("--root").arg(root);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(machine.sh("ip -o link; nft list tables").unwrap(), interfaces, "left behind");
    sentence(&output)
}

#[test]
#[ignore = "needs: root"]
fn a_busy_udp_port_is_named() {
    let machine = Machine::new("bad").unwrap();
    let _busy = machine.in_network(|| std::net::UdpSocket::bind("0.0.0.0:41641").unwrap());
    let said = refused(&machine, "");
    assert!(said.contains("41641") && said.contains("listen_port"), "{said}");
}

#[test]
#[ignore = "needs: root"]
fn an_interface_name_that_is_taken_is_named() {
    let machine = Machine::new("bad").unwrap();
    machine.sh("ip link add mesh7 type veth peer name mesh8").unwrap();
    let said = refused(&machine, "interface = \"mesh7\"\n");
    assert!(said.contains("mesh7"), "{said}");
}

#[test]
#[ignore = "needs: root"]
fn a_missing_tun_device_is_named() {
    let machine = Machine::new("bad").unwrap();
    machine.sh("mount -t tmpfs none /dev/net").unwrap();
    let said = refused(&machine, "");
    assert!(said.contains("/dev/net/tun"), "{said}");
}

/// Root enters it, and the user that the agent becomes does not.
#[test]
#[ignore = "needs: root"]
fn a_root_below_a_private_folder_is_refused_with_that_folder_and_what_to_do() {
    let machine = Machine::new("bad").unwrap();
    let (private, own) = (tempfile::tempdir().unwrap(), root(""));
    let below = private.path().join("root");
    fs::create_dir(&below).unwrap();
    for (folder, mode) in [(private.path(), 0o700), (below.as_path(), 0o755), (own.path(), 0o700)] {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    }

    for (root, closed) in [(below.as_path(), private.path()), (own.path(), own.path())] {
        let said = refused_at(&machine, root);
        let shown = closed.display();
        assert!(
            said.contains(&format!("uid 61005, as which this program runs, cannot enter {shown};")),
            "{said}"
        );
        assert!(said.contains(&format!("`sudo chmod o+x {shown}`")), "{said}");
    }
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
