//! A coordinator on a lab machine, and what is typed there.
#![allow(clippy::disallowed_methods, reason = "a test connects to what it started")]

use std::{
    fs,
    os::unix::net::UnixStream,
    path::Path,
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use lab::{Instance, Machine, Process, ROOT};
use serde_json::Value;

/// Where the devices reach it.
pub(crate) const URL: &str = "http://127.0.0.1:8443";

/// A running `maru-coordinator serve` and the relay beside it; dropping it ends and removes everything.
pub(crate) struct ControlPlane {
    /// Where it runs.
    pub(crate) instance: Instance,
    _processes: [Process; 2],
    _root: tempfile::TempDir,
}

impl ControlPlane {
    /// Starts one on a new machine and waits for its admin socket.
    pub(crate) fn start() -> Self {
        Self::reached_at(URL)
    }

    /// The same, with this address in invitations.
    pub(crate) fn reached_at(url: &str) -> Self {
        Self::with(&format!("server_url = {url:?}\n"), |_| {})
    }

    /// The same with these settings, and with what `prepare` puts below the root before.
    pub(crate) fn with(settings: &str, prepare: impl FnOnce(&Path)) -> Self {
        let root = tempfile::tempdir().unwrap();
        let instance =
            Instance::new(&Arc::new(Machine::new("admin").unwrap()), root.path()).unwrap();
        fs::create_dir_all(instance.root.join("etc/maru")).unwrap();
        prepare(&instance.root);
        fs::write(instance.root.join("etc/maru/coordinator.toml"), settings).unwrap();
        let [mut coordinator, relay] =
            [("serve", "coordinator.log"), ("relay", "relay.log")].map(|(what, log)| {
                let log = fs::File::create(instance.root.join(log)).unwrap();
                let mut command = instance.program("maru-coordinator");
                command.args(["--root", ROOT, what]).stdin(Stdio::null()).stderr(log);
                instance.machine.spawn(&mut command).unwrap()
            });
        let socket = instance.root.join("run/maru/coordinator/admin.sock");
        while UnixStream::connect(&socket).is_err() {
            let ended = coordinator.wait_for(Duration::from_millis(50)).unwrap();
            let log = || fs::read_to_string(instance.root.join("coordinator.log"));
            assert!(ended.is_none(), "{:?}", log());
        }
        Self { instance, _processes: [coordinator, relay], _root: root }
    }

    /// Runs `maru` and returns the JSON that it prints.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.instance.ok(&[args, &["-o", "json"]].concat()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// An invitation for a device of `person`.
    pub(crate) fn invitation(&self, person: &str) -> String {
        self.json(&["invite", person])["url"].as_str().unwrap().to_owned()
    }

    /// All that the admin can see.
    pub(crate) fn state(&self) -> [Value; 4] {
        [["user", "list"], ["key", "list"], ["device", "list"], ["policy", "get"]]
            .map(|args| self.json(&args))
    }

    /// Runs `maru`, which must refuse with `status` and one sentence; returns that.
    pub(crate) fn refused(&self, args: &[&str], status: i32) -> String {
        let output = self.instance.run(args).unwrap();
        assert_eq!(output.stdout, b"", "{args:?}");
        last_word(&output, status, 1)
    }
}

/// The sentence with which a command failed, after less than `lines` other lines.
pub(crate) fn last_word(output: &Output, status: i32, lines: usize) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(said.lines().count() <= lines, "{said}");
    let own: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("maru: ")).collect();
    assert_eq!(own.len(), 1, "{said}");
    own[0].to_owned()
}

/// The start of a sentence, and what else it must say.
pub(crate) fn says(said: &str, start: &str, words: &[&str]) {
    assert!(said.starts_with(start), "{said}");
    for words in words {
        assert!(said.contains(words), "{words:?} in: {said}");
    }
}
