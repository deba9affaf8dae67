//! `maru wireguard add` at a home that an older version set up, on a machine whose `systemctl` is a script.
//!
//! Fails if the admin must write into `agent.toml` first, or if something that was there is lost. Blind to systemd.

use std::{fs, process::Stdio};

use lab::{BIN, Process};
use serde_json::Value;
use testkit::blocking::eventually;

use super::setup::TestMachine;

/// What systemd would do: units are installed, and a restart is done by whoever removes the file.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >> /run/calls
if [ "$1" = restart ]; then touch /run/restart; while [ -e /run/restart ]; do sleep 0.1; done; fi
"#;
const SETTINGS: &str = "# Mine.\nlisten_port = 41642\n";

fn start(home: &TestMachine, program: &str, args: &[&str]) -> Process {
    let machine = &home.instance.machine;
    let log = fs::File::create(machine.path(&format!("/run/{program}.log"))).unwrap();
    let mut command = machine.command(format!("{BIN}/{program}"));
    command.args(args).stdin(Stdio::null()).stderr(log);
    machine.spawn(&mut command).unwrap()
}

#[test]
#[ignore = "needs: root"]
fn a_home_of_an_older_version_routes_wireguard_devices_once_there_is_one() {
    let home = TestMachine::new();
    let machine = &home.instance.machine;
    home.sh("mkdir -p /etc/maru");
    fs::write(machine.path("/run/tools/systemctl"), SYSTEMCTL).unwrap();
    fs::write(machine.path("/etc/maru/agent.toml"), SETTINGS).unwrap();
    fs::write(
        machine.path("/etc/maru/coordinator.toml"),
        "server_url = \"http://127.0.0.1:8443\"\n",
    )
    .unwrap();
    let _control = ["relay", "serve"].map(|what| start(&home, "maru-coordinator", &[what]));
    let mut agent = start(&home, "maru-agent", &[]);
    let done = |args: &[&str]| {
        let said = home.run(args);
        if said.status.success() { Ok(said.stdout) } else { Err(said) }
    };
    eventually("a person", || done(&["user", "create", "ann"]));
    let key = done(&["key", "create", "--tag", "tag:home", "--approved", "-o", "json"]).unwrap();
    let key: Value = serde_json::from_slice(&key).unwrap();
    let key = key["key"].as_str().unwrap();
    eventually("it joins", || {
        done(&["join", "http://127.0.0.1:8443", "--key", key, "--hostname", "server"])
    });
    eventually("it is a node", || {
        let status = done(&["status", "-o", "json"]).unwrap_or_default();
        String::from_utf8_lossy(&status).contains("\"running\"")
    });

    let mut adds = home.maru(&["wireguard", "add", "phone", "--user", "ann", "--via", "server"]);
    let adds = adds.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let restart = machine.path("/run/restart");
    eventually("it asks for a restart of the agent", || restart.exists());
    agent.stop(lab::STOP).unwrap();
    let _agent = start(&home, "maru-agent", &[]);
    fs::remove_file(&restart).unwrap();
    let added = adds.wait_with_output().unwrap();

    let said = String::from_utf8_lossy(&added.stderr);
    assert!(added.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&added.stdout).contains("PrivateKey = "));
    assert!(said.contains("/etc/maru/agent.toml"), "{said}");
    assert_eq!(home.sh("grep -c '^restart maru-agent.service$' /run/calls").trim(), "1");
    let now = home.file("/etc/maru/agent.toml");
    assert!(now.starts_with(SETTINGS) && now.contains("\n[wireguard]\n"), "{now}");
    assert_eq!(home.file("/etc/maru/agent.toml.former"), SETTINGS);
}
