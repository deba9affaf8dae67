//! A coordinator and its relay alone, on the home machine of a topology: for tests in which nobody asks the AI.

use std::{fs, os::unix::net::UnixStream, path::Path, process::Stdio, time::Duration};

use lab::{
    Instance, Process, ROOT,
    topology::{HOME, Topology},
};
use serde_json::Value;

/// How long the coordinator may take to start.
const START: Duration = Duration::from_secs(60);

/// Both processes; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Control {
    /// Where they run, and where `maru` is typed.
    pub(crate) home: Instance,
    _processes: [Process; 2],
    _root: tempfile::TempDir,
}

impl Control {
    /// Starts them; `settings` is added to `coordinator.toml`.
    pub(crate) fn start(topology: &Topology, settings: &str) -> Self {
        Self::start_with(topology, |_| format!("server_url = \"{}\"\n{settings}", url()), &[])
    }

    /// Starts them, with the settings that `prepare` makes for their root, and these arguments besides.
    pub(crate) fn start_with(
        topology: &Topology,
        prepare: impl FnOnce(&Path) -> String,
        args: &[&str],
    ) -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = Instance::new(&topology.home, root.path()).unwrap();
        fs::create_dir_all(home.root.join("etc/maru")).unwrap();
        let text = prepare(&home.root);
        fs::write(home.root.join("etc/maru/coordinator.toml"), text).unwrap();
        let [mut coordinator, relay] = ["serve", "relay"].map(|what| {
            let log = fs::File::create(home.root.join(what)).unwrap();
            let mut command = home.program("maru-coordinator");
            command.env("JOURNAL_STREAM", lab::stream(&log).unwrap());
            command.args(["--root", ROOT, what]).args(args).stdin(Stdio::null()).stderr(log);
            home.machine.spawn(&mut command).unwrap()
        });
        let socket = home.root.join("run/maru/coordinator/admin.sock");
        let mut waited = Duration::ZERO;
        while UnixStream::connect(&socket).is_err() {
            let step = Duration::from_millis(50);
            let ended = coordinator.wait_for(step).unwrap();
            waited += step;
            let log = || fs::read_to_string(home.root.join("serve"));
            assert!(ended.is_none() && waited < START, "it does not start: {:?}", log());
        }
        Self { home, _processes: [coordinator, relay], _root: root }
    }

    /// Makes a pre-auth key whose device needs no approval.
    pub(crate) fn key(&self, args: &[&str]) -> String {
        let made = self.json(&[&["key", "create", "--approved"], args].concat());
        made["key"].as_str().unwrap().to_owned()
    }

    /// Runs `maru` and returns the JSON that it prints.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.home.ok(&[args, &["-o", "json"]].concat()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) fn set_policy(&self, text: &str) {
        fs::write(self.home.root.join("policy.json"), text).unwrap();
        self.home.ok(&["policy", "set", &format!("{ROOT}/policy.json")]).unwrap();
    }
}

/// Where devices reach the coordinator.
pub(crate) fn url() -> String {
    format!("http://{HOME}:8443")
}
