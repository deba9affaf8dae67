//! A coordinator and its relay on a server that all sites reach.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    Instance, Process, ROOT,
    internet::{Internet, Server},
};
use serde_json::Value;

/// How long it may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both, on a machine of their own.
#[derive(Debug)]
pub(super) struct Control {
    instance: Instance,
    server: Server,
    _processes: [Process; 2],
}

impl Control {
    /// Starts them, with a network whose members reach each other.
    pub(super) fn start(internet: &mut Internet, state: &Path) -> Result<Self> {
        let server = internet.server("server")?;
        let instance = Instance::new(&server.machine, &state.join("server"))?;
        let Server { v4, v6, .. } = &server;
        fs::create_dir_all(instance.root.join("etc/maru"))?;
        fs::write(
            instance.root.join("etc/maru/coordinator.toml"),
            format!(
                "server_url = \"http://{v4}:8443\"\n[relay]\nhost = \"{v4}\"\nipv6 = \"{v6}\"\n"
            ),
        )?;
        let start = |part: &str| -> Result<Process> {
            let log = fs::File::create(state.join(format!("{part}.log")))?;
            let mut command = instance.program("maru-coordinator");
            command.args(["--root", ROOT, part]).stdin(Stdio::null());
            command.stdout(log.try_clone()?).stderr(log);
            server.machine.spawn(&mut command)
        };
        let (relay, mut serve) = (start("relay")?, start("serve")?);
        let socket = instance.root.join("run/maru/coordinator/admin.sock");
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(&socket).is_err() {
            let ended = serve.wait_for(Duration::from_millis(50))?;
            ensure!(
                ended.is_none() && Instant::now() < deadline,
                "the coordinator does not start: {}",
                fs::read_to_string(state.join("serve.log")).unwrap_or_default().trim()
            );
        }
        instance.ok(&["user", "create", "alice"])?;
        let policy = r#"{"acls":[{"action":"accept","src":["*"],"dst":["*:*"]}]}"#;
        fs::write(instance.root.join("policy.json"), policy)?;
        instance.ok(&["policy", "set", "--yes", &format!("{ROOT}/policy.json")])?;
        Ok(Self { instance, server, _processes: [serve, relay] })
    }

    /// Where devices reach it, with IPv6 alone or not.
    pub(super) fn url(&self, v6: bool) -> String {
        let Server { v4, v6: address, .. } = &self.server;
        if v6 { format!("http://[{address}]:8443") } else { format!("http://{v4}:8443") }
    }

    /// Makes a key with which one device joins.
    pub(super) fn key(&self) -> Result<String> {
        let args = ["key", "create", "--approved", "--user", "alice", "-o", "json"];
        let key: Value = serde_json::from_str(&self.instance.ok(&args)?)?;
        Ok(key["key"].as_str().context("there is no key")?.to_owned())
    }
}
