//! What people get wrong: `maru up` on a machine or with files that do not do, `maru join` with
//! another's link, `maru policy set` with a typo.
//!
//! Fails if such a start makes or leaves anything, or if what is said is not one sentence that
//! names the mistake. Blind to what only a running model shows.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use lab::{BIN, Instance, Machine, ROOT, inside};
use services::{Arg, PARTICIPANT_SERVICE, SERVICES, Service};
use testkit::{blocking::eventually, equal};

use super::control_plane::{ControlPlane, URL, last_word, says};

/// A machine on which nothing of Maru ran yet.
struct TestRoot {
    instance: Instance,
    folder: tempfile::TempDir,
}

impl TestRoot {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = Arc::new(Machine::new("home").unwrap());
        let instance = Instance::new(&machine, &folder.path().join("home")).unwrap();
        Self { instance, folder }
    }

    /// Puts a file on the machine whose content is `bytes`; its path there.
    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        self.instance.lend(&path).unwrap()
    }

    /// Writes a configuration file.
    fn configure(&self, name: &str, text: &str) {
        let folder = self.instance.root.join("etc/maru");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }

    /// Everything below the root.
    fn files(&self) -> Vec<PathBuf> {
        let (mut found, mut next) = (Vec::new(), vec![self.instance.root.clone()]);
        while let Some(folder) = next.pop() {
            for entry in fs::read_dir(&folder).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    next.push(entry.path());
                }
                found.push(entry.path());
            }
        }
        found.sort();
        found
    }

    /// `maru up ARGS`.
    fn up(&self, args: &[&str]) -> Command {
        self.instance.maru(&[&["up", "--address", "192.0.2.7"], args].concat())
    }

    /// Runs a start that must fail; what it says of that. Daemons may have warned before.
    fn fails(&self, mut up: Command) -> String {
        last_word(&up.stdin(Stdio::null()).output().unwrap(), 1, usize::MAX)
    }

    /// Runs a start that must be refused with one sentence, and make nothing below the root.
    fn refused(&self, mut up: Command, status: i32) -> String {
        let before = self.files();
        let said = last_word(&up.stdin(Stdio::null()).output().unwrap(), status, 1);
        assert_eq!(self.files(), before, "{said}");
        said
    }

    /// Runs a program that must end by itself: its status, and what it said.
    fn ends(&self, program: &str, args: &[&str]) -> (Option<i32>, String) {
        let mut command = self.instance.program(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = self.instance.machine.spawn(&mut command).unwrap();
        let Some(status) = process.wait_for(Duration::from_secs(30)).unwrap() else {
            panic!("{program} {args:?} runs");
        };
        let mut said = String::new();
        process.child().stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status.code(), said)
    }

    /// Fails if a process, an interface, a table, a mount or a container of Maru's is left.
    fn is_clean(&self) {
        let machine = &self.instance.machine;
        let ours = |name: &str| name.starts_with("maru") || name.contains("conmon");
        let left = || {
            let processes = inside::processes(machine.pid()).unwrap();
            processes.into_iter().filter(|process| ours(&process.1)).collect::<Vec<_>>()
        };
        let mounts =
            || machine.sh("grep ' /run/maru-lab/root/' /proc/self/mounts || true").unwrap();
        // The keeper of a container ends a moment after it, and podman unmounts what it had after that.
        eventually("nothing runs", || equal(left(), vec![]));
        eventually("nothing is mounted", || equal(mounts(), String::new()));
        assert_eq!(machine.sh("ip -o link | wc -l").unwrap().trim(), "1", "more than lo");
        assert_eq!(machine.sh("nft list tables").unwrap(), "");
        let containers = machine.sh(&format!(
            "cd {ROOT}/run/maru/containers 2>/dev/null || exit 0
            CONTAINERS_CONF=$PWD/containers.conf CONTAINERS_STORAGE_CONF=$PWD/storage.conf \\
            podman --root={ROOT}/var/lib/maru/containers --runroot=$PWD/run --tmpdir=$PWD/tmp ps -aq"
        ));
        assert_eq!(containers.unwrap(), "");
    }
}

/// What the check of a model takes for one.
fn small_model() -> Vec<u8> {
    model_sample::tiny().bytes()
}

/// What the check of a model takes for one and the engine does not: a layer lacks a part.
fn incomplete_model() -> Vec<u8> {
    let mut model = model_sample::tiny();
    model.tensors.pop();
    model.bytes()
}

#[test]
#[ignore = "needs: root, podman"]
fn a_start_that_cannot_be_leaves_nothing() {
    let home = TestRoot::new();
    let machine = &home.instance.machine;
    let model = home.file("model.gguf", &small_model());
    let good = ["--model", model.as_str()];
    let with = |args: &[&str]| home.up(&[&good, args].concat());

    let said = home.refused(with(&["--network", "home"]), 2);
    says(&said, "--network \"home\" is not a domain", &["such as maru.home.arpa"]);
    let said = home.refused(with(&["--user", "Ann Lee"]), 2);
    says(&said, "--user \"Ann Lee\": a user's name is", &[]);
    let mut up = home.instance.maru(&["up", "--address", "192.0.2.7:8443"]);
    up.args(good);
    let said = home.refused(up, 2);
    says(
        &said,
        "--address \"192.0.2.7:8443\" is neither a name nor an address",
        &["without a port"],
    );

    let said = home.refused(with(&["--ollama"]), 1);
    says(&said, "no Ollama answers at http://127.0.0.1:11434", &["nothing is changed"]);

    let held = machine.in_network(|| TcpListener::bind("0.0.0.0:8443").unwrap());
    let udp = machine.in_network(|| UdpSocket::bind("0.0.0.0:41641").unwrap());
    let said = home.refused(with(&[]), 1);
    says(
        &said,
        "TCP port 8443, which the coordinator needs, is held by",
        &["UDP port 41641, which the agent", "stop it, or", "`listen_port` in etc/maru/agent.toml"],
    );
    drop((held, udp));

    let text = home.file("notes.txt", b"not a model");
    let said = home.refused(home.up(&["--model", &text]), 1);
    says(
        &said,
        &format!("{text} cannot be used: it is not a GGUF model"),
        &["have to be converted"],
    );
    let said = home.refused(home.up(&["--model", "/none.gguf"]), 1);
    says(&said, "there is no model at /none.gguf", &[]);
    let said = home.refused(home.up(&[]), 1);
    says(&said, "there is no model yet", &["--model FILE.gguf"]);

    machine.sh("mkdir /run/tools; ln -s $(command -v setpriv) /run/tools").unwrap();
    let mut up = machine.command("env");
    up.args(["PATH=/run/tools", &format!("{BIN}/maru"), "--root", ROOT, "up"]).args(good);
    let said = home.refused(up, 1);
    says(&said, "missing: podman", &["`sudo apt-get install podman`"]);

    machine.sh("mount -t tmpfs none /dev/net").unwrap();
    let said = home.refused(with(&[]), 1);
    says(&said, "/dev/net/tun cannot be opened", &["`sudo modprobe tun`"]);
    home.is_clean();
}

#[test]
#[ignore = "needs: root, podman"]
fn what_a_daemon_cannot_use_is_said_in_its_words_and_the_start_ends_clean() {
    let home = TestRoot::new();
    let model = home.file("model.gguf", &incomplete_model());
    let good = ["--model", model.as_str()];

    home.configure("coordinator.toml", "# ours\nlisen = \"0.0.0.0:1\"\n");
    let said = home.refused(home.up(&good), 1);
    says(
        &said,
        "cannot use ",
        &["etc/maru/coordinator.toml, line 2, column 1: unknown field `lisen`"],
    );
    let images = home.instance.root.join("var/lib/maru/containers/libpod");
    assert!(!images.exists(), "images are made before the control plane runs");
    home.is_clean();

    home.configure("coordinator.toml", &format!("server_url = {URL:?}\n"));
    let said = home.fails(home.up(&good));
    says(&said, "the inference", &["service does not start: ", "model.gguf", "correct that"]);
    let remembered = home.instance.root.join("var/lib/maru/up.json");
    assert!(!remembered.exists(), "a model that no engine loaded is remembered");
    home.is_clean();
}

#[test]
#[ignore = "needs: root, podman, model"]
fn an_unknown_key_of_the_gateway_is_named() {
    let home = TestRoot::new();
    let model = std::env::var_os("MARU_TEST_MODEL").unwrap();
    let model = home.instance.lend(Path::new(&model)).unwrap();
    home.configure("gateway.toml", "[limits]\nburts = 3\n");
    let said = home.fails(home.up(&["--model", &model]));
    let words = ["etc/maru/gateway.toml, line 2, column 1: unknown field `burts`", "correct that"];
    says(&said, "the gateway service does not start: cannot use ", &words);
    home.is_clean();
}

#[test]
#[ignore = "needs: root"]
fn another_coordinators_invitation_and_a_damaged_one_join_nothing() {
    let plane = ControlPlane::start();
    let link = plane.invitation("ann");
    let (url, fragment) = link.split_once("#1.").unwrap();
    let (key, secret) = fragment.split_once('.').unwrap();
    let other = format!("{url}#1.{}.{secret}", "5a".repeat(32));
    let _agent = plane.instance.agent().unwrap();
    let before = plane.state();

    // Cut by one character, or by all of the key.
    for cut in [1, secret.len()] {
        let said = plane.refused(&["join", &link[..link.len() - cut]], 2);
        says(&said, "the invitation is cut short", &["copy all of it", "ask for another"]);
    }
    let said = plane.refused(&["join", &format!("{url}#1.{}.{secret}", &key[1..])], 2);
    says(&said, "the invitation is cut short", &[]);
    let said = plane.refused(&["join", &other], 1);
    says(&said, "this invitation is for another coordinator", &[URL, "ask the admin"]);
    assert_eq!(plane.instance.status().unwrap()["state"], "needs_join");
    assert_eq!(plane.state(), before);

    // The one that it should have been still works, even broken by a messenger, and then no other does.
    let mut join = plane.instance.maru(&["join", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let (start, end) = link.split_at(link.len() - 20);
    join.stdin.take().unwrap().write_all(format!("{start}\n  {end}\n").as_bytes()).unwrap();
    assert!(join.wait().unwrap().success());
    let devices = plane.json(&["device", "list"]);
    plane.json(&["device", "approve", &devices[0]["id"].to_string()]);
    let runs = |text: &str| text.contains("\"running\"").then_some(());
    plane.instance.wait_until(&["status", "-o", "json"], Duration::from_secs(60), runs).unwrap();
    let before = plane.state();
    let said = plane.refused(&["join", &other], 1);
    says(
        &said,
        "this device has joined already: this invitation is for another coordinator",
        &["`maru leave`"],
    );
    assert_eq!(plane.instance.status().unwrap()["state"], "running");
    assert_eq!(plane.state()[0], before[0]);
}

#[test]
#[ignore = "needs: root"]
fn a_policy_with_a_typo_changes_nothing() {
    let plane = ControlPlane::start();
    let before = plane.state();
    let typo =
        "{ \"acls\": [\n  { \"action\": \"accept\", \"src\": [\"*\"], \"dts\": [\"*:*\"] },\n] }";
    fs::write(plane.instance.root.join("policy.json"), typo).unwrap();

    let said = plane.refused(&["policy", "set", &format!("{ROOT}/policy.json")], 1);

    let words =
        ["line 2, column 39: acls[0]: unknown field: \"dts\": take it out", "nothing was changed"];
    says(&said, "the policy is invalid: ", &words);
    assert_eq!(plane.state(), before);
}

#[test]
#[ignore = "needs: root"]
fn a_root_that_others_could_replace_is_refused_by_every_program() {
    let home = TestRoot::new();
    let machine = &home.instance.machine;
    machine
        .sh("mkdir -p /run/open/maru /run/mallorys/maru; chmod 777 /run/open; chown 61901 /run/mallorys")
        .unwrap();
    for (root, words) in [
        ("/run/open/maru", "everybody may write /run/open,"),
        ("/run/mallorys/maru", "/run/mallorys belongs to uid 61901,"),
    ] {
        let commands = [("maru", vec!["status"]), ("maru", vec!["up"])];
        let services = SERVICES.iter().map(|service| (service.binary, args(service)));
        for (program, args) in commands.into_iter().chain(services) {
            let (status, said) = home.ends(program, &[&args[..], &["--root", root]].concat());
            assert_eq!(status, Some(1), "{program}: {said}");
            let start = format!("{program}: --root {root} is not safe: {words}");
            says(&said, &start, &["choose another folder", "`sudo ch"]);
        }
    }
    let made = machine.sh("find /run/open /run/mallorys -mindepth 2").unwrap();
    assert_eq!(made, "");
    // Whoever asked for root's rights may use a folder of their own.
    let mine =
        "env SUDO_UID=61901 /run/maru-lab/bin/maru --root /run/mallorys/maru status 2>&1 || true";
    let said = machine.sh(mine).unwrap();
    assert!(said.contains("the agent is not running here"), "{said}");
}

/// Whether the program becomes its user by itself, or is started as that.
#[test]
#[ignore = "needs: root"]
fn a_root_that_a_daemons_user_cannot_enter_is_named_with_what_to_do() {
    let home = TestRoot::new();
    let machine = &home.instance.machine;
    machine.sh("mkdir -m 700 /run/private; mkdir /run/private/root").unwrap();
    for service in SERVICES {
        let (program, user, args) = (service.binary, service.uid, args(service).join(" "));
        let starts = if service.starts_as_root() { 0 } else { user };
        let said = machine
            .sh(&format!(
                "setpriv --reuid={starts} --regid={starts} --clear-groups timeout 20 \\
                 {BIN}/{program} {args} --root /run/private/root 2>&1 >/dev/null && exit 1; true"
            ))
            .unwrap();
        let start = format!("{program}: --root /run/private/root cannot be used: uid {user},");
        says(&said, &start, &["cannot enter /run/private;", "`sudo chmod o+x /run/private`"]);
    }
}

/// What the program of a service needs to start, with a model that is not there.
fn args(service: &Service) -> Vec<&'static str> {
    let arg = |arg: &Arg| {
        Some(match *arg {
            Arg::Text(text) => text,
            Arg::Socket => "/run/none.sock",
            Arg::Model => "/none.gguf",
            Arg::Threads => "1",
            Arg::Options => return None,
        })
    };
    service.args.iter().filter_map(arg).collect()
}

#[test]
#[ignore = "needs: root"]
fn settings_that_are_named_and_missing_are_refused_by_every_daemon() {
    let home = TestRoot::new();
    let before = home.files();
    // Engines and the participant have no settings.
    let has_settings = |service: &&Service| {
        !service.args.contains(&Arg::Model) && service.name != PARTICIPANT_SERVICE.name
    };
    for service in SERVICES.iter().filter(has_settings) {
        let (program, args) = (service.binary, args(service));
        let named = ["--root", ROOT, "--config", "/run/none.toml"];
        let (status, said) = home.ends(program, &[&args[..], &named].concat());
        assert_eq!((status, said.lines().count()), (Some(1), 1), "{program}: {said}");
        says(&said, &format!("{program}: "), &["/run/none.toml"]);
        assert_eq!(home.files(), before, "{program}: {said}");
    }
    home.is_clean();
}

#[test]
#[ignore = "needs: root, podman"]
fn state_that_is_torn_older_or_newer_is_refused_and_stays() {
    let home = TestRoot::new();
    let model = home.file("model.gguf", &small_model());
    let up = ["up", "--address", "192.0.2.7", "--model", &model];
    let files: [(&str, &[&str], &str); 4] = [
        ("maru-agent", &[], "var/lib/maru/agent/state.json"),
        ("maru-gateway", &[], "var/lib/maru/gateway/devices.json"),
        ("maru-gateway", &[], "var/lib/maru/gateway/epoch.json"),
        ("maru", &up, "var/lib/maru/up.json"),
    ];
    for (program, args, file) in files {
        let path = home.instance.root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for (text, word) in [
            ("{\"version\":1,", "damaged"),
            ("{\"version\":0}", "version"),
            ("{\"version\":99}", "version"),
        ] {
            fs::write(&path, text).unwrap();
            let (status, said) = home.ends(program, &[args, &["--root", ROOT]].concat());
            assert_eq!(status, Some(1), "{program}: {said}");
            let own: Vec<_> = said.lines().filter(|line| line.starts_with(program)).collect();
            assert_eq!(own.len(), 1, "{said}");
            says(own[0], &format!("{program}: "), &[file, word]);
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "{said}");
            assert_eq!(home.instance.machine.sh(&format!("find {ROOT} -type s")).unwrap(), "");
        }
        fs::remove_file(&path).unwrap();
    }
    home.is_clean();
}
