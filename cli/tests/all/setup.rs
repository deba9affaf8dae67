//! `maru setup`, `maru prepare`, and `maru up` beside the units, on a machine whose `systemctl` is a script.
//!
//! Fails if a refusal writes anything or is not one sentence that names the mistake, if a second run does not end what an
//! interrupted one began, or if both ways to run the services work at once. Blind to what systemd makes of the units.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    process::{Command, Output, Stdio},
    sync::Arc,
};

use lab::{BIN, Instance, Machine};

use super::control_plane::{last_word, says};

/// What systemd would do. Each call is a line of `/run/calls`; files in `/run/fake` say how it goes.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >> /run/calls
case "$1" in
cat) [ -e /run/fake/installed ] ;;
is-active) [ -e /run/fake/active ] && echo active ;;
is-enabled) [ ! -e /run/fake/disabled ] ;;
enable)
    if [ -e /run/fake/broken ]; then echo "Failed to start maru.target." >&2; exit 1; fi
    touch /run/fake/active ;;
show) cat /run/fake/restarts ;;
esac
"#;

/// For `env`: finds this `systemctl` first.
pub(super) const PATH: &str = "PATH=/run/tools:/usr/sbin:/usr/bin:/sbin:/bin";

/// A machine with systemd and the units, whose `/etc`, `/run` and `/var/lib` are its own.
pub(super) struct TestMachine {
    pub(super) instance: Instance,
    _folder: tempfile::TempDir,
}

impl TestMachine {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = Arc::new(Machine::new("home").unwrap());
        let instance = Instance::new(&machine, folder.path()).unwrap();
        machine
            .sh("mount -t tmpfs none /var/lib
                mkdir -p /var/backups; mount -t tmpfs none /var/backups
                rm -rf /etc/maru
                printf 'ID=debian\\nVERSION_ID=13\\n' > /run/release
                mount --bind /run/release /etc/os-release
                mkdir -p /run/systemd/system /run/tools /run/fake
                echo 0 > /run/fake/restarts
                touch /run/calls /run/fake/installed")
            .unwrap();
        fs::write(machine.path("/run/tools/systemctl"), SYSTEMCTL).unwrap();
        machine.sh("chmod +x /run/tools/systemctl").unwrap();
        Self { instance, _folder: folder }
    }

    pub(super) fn sh(&self, script: &str) -> String {
        self.instance.machine.sh(script).unwrap()
    }

    /// Puts a model into the folder of models.
    fn model(&self, name: &str, bytes: &[u8]) {
        self.sh("mkdir -p /var/lib/maru/models");
        let path = self.instance.machine.path(&format!("/var/lib/maru/models/{name}"));
        fs::write(path, bytes).unwrap();
    }

    pub(super) fn maru(&self, args: &[&str]) -> Command {
        let mut command = self.instance.machine.command("env");
        command.args([PATH, &format!("{BIN}/maru")]);
        command.args(args).stdin(Stdio::null());
        command
    }

    pub(super) fn run(&self, args: &[&str]) -> Output {
        self.maru(args).output().unwrap()
    }

    /// Runs a command that must be refused with one sentence, and change no file and no unit.
    fn refused(&self, args: &[&str], status: i32) -> String {
        let before = self.state();
        let said = last_word(&self.run(args), status, 1);
        assert_eq!(self.state(), before, "{said}");
        said
    }

    /// Files and their content, and whether the target was started.
    fn state(&self) -> String {
        self.sh("find /etc/maru /var/lib /var/backups /run/maru -type f 2>/dev/null | sort | xargs -r sha256sum
            find /etc/maru /var/lib /var/backups /run/maru 2>/dev/null | sort
            ls /run/fake")
    }

    pub(super) fn file(&self, path: &str) -> String {
        fs::read_to_string(self.instance.machine.path(path)).unwrap()
    }
}

/// Options that answer all questions.
const ALL: &[&str] =
    &["setup", "--network", "maru.internal", "--user", "ann", "--address", "192.0.2.7"];

fn small() -> Vec<u8> {
    model_sample::tiny().bytes()
}

#[test]
#[ignore = "needs: root, podman"]
fn a_machine_or_an_answer_that_does_not_do_is_refused_and_nothing_is_written() {
    let home = TestMachine::new();
    home.model("small.gguf", &small());
    let with = |more: &[&'static str]| [ALL, more].concat();

    let said = home.refused(&["setup"], 2);
    says(
        &said,
        "there is no terminal to ask at; give --network NAME, --user NAME, --lan, --domain NAME",
        &[],
    );
    let said = home.refused(&["setup", "--network", "home", "--user", "ann", "--lan"], 2);
    says(&said, "--network \"home\" is not a domain", &["such as maru.home.arpa"]);
    let said = home.refused(&["setup", "--domain", "192.0.2.7"], 2);
    says(&said, "--domain \"192.0.2.7\" is not a name in public DNS", &["--lan"]);
    let said = home.refused(&with(&["--model", "none.gguf"]), 1);
    says(&said, "there is no model at none.gguf", &[]);
    home.model("cut.gguf", &small()[..9000]);
    let said = home.refused(&with(&["--model", "cut.gguf"]), 1);
    says(&said, "/var/lib/maru/models/cut.gguf cannot be used: ", &["the file was cut"]);
    let said = home.refused(ALL, 2);
    says(&said, "there is no terminal to ask at; give --model MODEL", &[]);

    let said = home.refused(&with(&["--model", "small.gguf", "--backups", "/home/ann"]), 2);
    says(&said, "/home/ann cannot hold the daily backups", &["/var/backups, /mnt"]);
    let said = home.refused(&with(&["--model", "small.gguf", "--backups", "/mnt/none/maru"]), 1);
    says(&said, "the folder of the daily backups, /mnt/none, is not there", &["mounted"]);
    home.sh("mkdir -m 777 /var/backups/open");
    let said =
        home.refused(&with(&["--model", "small.gguf", "--backups", "/var/backups/open/maru"]), 1);
    says(&said, "/var/backups/open/maru cannot hold backups", &["/var/backups/open"]);
    let meminfo = "MemTotal: 1200000 kB\nMemAvailable: 9000000 kB\n";
    home.sh(&format!("printf '{meminfo}' > /run/meminfo; mount --bind /run/meminfo /proc/meminfo"));
    let said = home.refused(&with(&["--model", "small.gguf"]), 1);
    let words = ["none of the models here does; one of at most 1B in Q4 would"];
    says(&said, "small.gguf does not fit into this machine's memory; ", &words);
    home.sh("umount /proc/meminfo");

    let machine = &home.instance.machine;
    let held = machine.in_network(|| TcpListener::bind("0.0.0.0:8443").unwrap());
    let said = home.refused(&with(&["--model", "small.gguf"]), 1);
    says(&said, "TCP port 8443, which the coordinator needs, is held by", &["stop it, or"]);
    drop(held);

    let said = home.refused(&["--root", "/srv/maru", "setup"], 1);
    says(&said, "`maru setup` sets up the units, which serve the root / alone", &["maru up"]);
    home.sh("printf 'PRETTY_NAME=\"Debian GNU/Linux 12\"\\nID=debian\\nVERSION_ID=12\\n' > /run/release");
    let said = home.refused(ALL, 1);
    says(&said, "Debian GNU/Linux 12 is too old for the units of Maru", &["`sudo maru up`"]);
    home.sh("rm /run/fake/installed");
    let said = home.refused(ALL, 1);
    says(&said, "maru.target is not installed", &["maru-home", "`sudo maru up`"]);
    home.sh("rmdir /run/systemd/system");
    let said = home.refused(ALL, 1);
    says(&said, "systemd does not run here", &["`sudo maru up`"]);
}

#[test]
#[ignore = "needs: root, podman"]
fn a_second_run_ends_what_an_interrupted_one_began_and_changes_what_is_named() {
    let home = TestMachine::new();
    let outside = home.instance.root.join("small.gguf");
    fs::File::create(&outside).unwrap().write_all(&small()).unwrap();
    let outside = home.instance.lend(&outside).unwrap();
    let all = [ALL, &["--model", outside.as_str()]].concat();

    let before = home.state();
    let shown = home.run(&[&all[..], &["--dry-run"]].concat());
    let shown = String::from_utf8(shown.stdout).unwrap();
    for words in ["maru.internal", "http://192.0.2.7:8443", "ann", "/etc/maru/coordinator.toml"] {
        assert!(shown.contains(words), "{words:?} in: {shown}");
    }
    assert_eq!(home.state(), before);
    let meminfo = "MemTotal: 9000000 kB\nMemAvailable: 1000 kB\n";
    home.sh(&format!("printf '{meminfo}' > /run/meminfo; mount --bind /run/meminfo /proc/meminfo"));
    let crowded = home.run(&[&all[..], &["--dry-run"]].concat());
    let said = String::from_utf8(crowded.stderr).unwrap();
    assert!(crowded.status.success() && said.contains("other programs leave 1000"), "{said}");
    home.sh("umount /proc/meminfo");

    home.sh("touch /run/fake/broken");
    let said = last_word(&home.run(&all), 1, usize::MAX);
    says(&said, "`systemctl enable --now maru.target` failed: Failed to start maru.target.", &[]);
    let written = home.state();
    assert!(written.contains("/var/lib/maru/models/small.gguf"), "{written}");
    let key = home.file("/var/lib/maru/machine-key.json");

    // Systemd starts it, and every service ends again and again: there are none.
    home.sh("rm /run/fake/broken; echo 10 > /run/fake/restarts");
    for again in [&all[..], &["setup"]] {
        let said = last_word(&home.run(again), 1, usize::MAX);
        says(&said, "maru-coordinator ends again and again", &["journalctl -u maru-coordinator"]);
        assert_eq!(home.file("/var/lib/maru/machine-key.json"), key);
    }
    assert_eq!(home.sh("grep -c restart /run/calls || true").trim(), "0", "nothing had changed");

    home.run(&["setup", "--domain", "home.example.org"]);
    let toml = home.file("/etc/maru/coordinator.toml");
    for words in ["\"https://home.example.org\"", "network = \"maru.internal\"", "[tls.acme]"] {
        assert!(toml.contains(words), "{words:?} in: {toml}");
    }
    assert_eq!(home.sh("grep -c 'restart maru-prepare.service' /run/calls").trim(), "1");
    let said = home.refused(&["setup", "--network", "other.internal"], 2);
    says(&said, "--network other.internal cannot be used", &["maru.internal"]);
}

#[test]
#[ignore = "needs: root, podman"]
fn units_and_maru_up_refuse_to_run_beside_each_other() {
    let home = TestMachine::new();
    home.model("small.gguf", &small());
    home.sh("mkdir -p /etc/maru; : > /etc/maru/coordinator.toml");

    let done = home.run(&["prepare"]);
    assert!(done.status.success(), "{done:?}");
    let variables = home.file("/run/maru/inference.env");
    assert!(variables.starts_with("MARU_MODEL=small.gguf\n"), "{variables}");
    for (settings, is_relay) in [("[relay]\nembedded = true\n", true), ("", false)] {
        fs::write(home.instance.machine.path("/etc/maru/coordinator.toml"), settings).unwrap();
        assert!(home.run(&["prepare"]).status.success());
        assert_eq!(home.instance.machine.path("/run/maru/relay-embedded").exists(), is_relay);
    }
    home.sh("touch /run/fake/active");
    let said = home.refused(&["up", "--address", "192.0.2.7"], 1);
    says(&said, "systemd runs Maru here already", &["sudo systemctl stop maru.target"]);

    home.sh("rm /run/fake/active");
    let mut up = home.instance.machine.command("flock");
    up.args(["/run/maru/up.pid", "sh", "-c", "echo held; sleep 60"]).stdout(Stdio::piped());
    let mut up = home.instance.machine.spawn(&mut up).unwrap();
    let mut word = [0; 4];
    std::io::Read::read_exact(up.child().stdout.as_mut().unwrap(), &mut word).unwrap();
    let said = home.refused(&["prepare"], 1);
    says(&said, "`maru up` already runs here", &[]);
}

#[test]
#[ignore = "needs: root, podman"]
fn an_engine_that_does_not_start_with_a_model_returns_to_the_former_one() {
    let home = TestMachine::new();
    home.model("small.gguf", &small());
    home.model("other.gguf", &small());
    home.sh("mkdir -p /etc/maru; : > /etc/maru/coordinator.toml; echo 10 > /run/fake/restarts");
    assert!(home.run(&["model", "use", "small.gguf"]).status.success());
    assert!(home.run(&["prepare"]).status.success());
    home.sh("touch /run/fake/active");

    let said = last_word(&home.run(&["model", "use", "other.gguf"]), 1, usize::MAX);

    says(&said, "maru-inference-2 ends again and again", &["the former model"]);
    assert!(home.file("/run/maru/inference.env").starts_with("MARU_MODEL=small.gguf\n"));
    assert!(home.file("/var/lib/maru/up.json").contains("small.gguf"));
    assert_eq!(home.sh("grep -c 'restart maru-inference-2.service' /run/calls").trim(), "2");
}

#[test]
#[ignore = "needs: root, podman"]
fn repairs_are_made_when_somebody_agreed_and_change_nothing_that_is_stored() {
    let home = TestMachine::new();
    home.model("small.gguf", &small());
    home.sh("mkdir -p /etc/maru; : > /etc/maru/coordinator.toml; touch /run/fake/active /run/fake/disabled");
    home.sh("mkdir -p -m 777 /run/maru/plugin");
    let said = home.refused(&["doctor", "--fix"], 2);
    says(&said, "there is no terminal to ask at, so nothing was repaired", &["--yes"]);
    let settings = || home.sh("sha256sum /etc/maru/* /var/lib/maru/models/*");
    let before = settings();

    let done = home.run(&["doctor", "--fix", "--yes"]);

    let said = String::from_utf8(done.stderr).unwrap();
    for words in [
        "Done: make the folders of Maru, and set their owners and modes.",
        "Done: start maru.target at each boot.",
        "Done: restart maru-gateway.service, which does not answer.",
        // Nothing runs here that has a database.
        "Failed: make a backup now, and verify it: ",
    ] {
        assert!(said.contains(words), "{words:?} in: {said}");
    }
    assert_eq!(home.sh("stat --format='%a %u %g' /run/maru/plugin").trim(), "2750 61002 61003");
    assert_eq!(home.sh("grep -c '^enable maru.target' /run/calls").trim(), "1");
    assert_eq!(home.sh("grep -c '^restart maru-gateway.service' /run/calls").trim(), "1");
    assert_eq!(settings(), before);
}
