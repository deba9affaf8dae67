//! A machine of the deployment, and the servers that are started on it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{BIN, Instance, Process, ROOT, instance::now, topology::Topology};

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(60);

/// A machine of the deployment.
#[derive(Clone, Debug)]
pub struct Host {
    /// The machine and its state.
    pub instance: Instance,
    /// Where everybody reaches it.
    pub address: Ipv4Addr,
}

impl Host {
    /// Makes it, with its state below `state`.
    pub(super) fn new(topology: &mut Topology, state: &Path, name: &str) -> Result<Self> {
        let (machine, address) = topology.server(name)?;
        let instance = Instance::new(&machine, &state.join(name))?;
        let host = Self { instance, address };
        for path in ["etc/maru", "etc/maru/confidential", "run/maru", "var/lib/maru"] {
            host.directory(path, 0, 0, 0o755)?;
        }
        Ok(host)
    }

    /// A path below its root, as the host of the lab sees it.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.instance.root.join(below)
    }

    /// Makes a directory below its root, and those above it.
    pub(super) fn directory(&self, below: &str, uid: u32, gid: u32, mode: u32) -> Result<()> {
        let path = self.path(below);
        fs::create_dir_all(&path)?;
        chown(&path, Some(uid), Some(gid))?;
        // After the owner, whose change takes the group's bit away.
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .with_context(|| path.display().to_string())
    }

    /// Writes a file that everybody may read.
    pub(super) fn file(&self, below: &str, text: &str) -> Result<()> {
        fs::write(self.path(below), text).with_context(|| below.to_owned())
    }

    /// Gives a file to a user, who alone may read it.
    pub(super) fn give(&self, below: &str, uid: u32) -> Result<()> {
        let path = self.path(below);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        chown(&path, Some(uid), Some(uid)).with_context(|| path.display().to_string())
    }

    /// Starts a command of [`crate::Machine::command`]; what it says goes to `NAME.log`.
    pub(super) fn spawn(&self, name: &str, mut command: Command) -> Result<Process> {
        let log = self.path(&format!("{name}.log"));
        let log = fs::File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.instance.machine.spawn(&mut command)
    }

    /// Starts one of the workspace's programs as a user who has no right of root's.
    pub(super) fn start(
        &self,
        name: &str,
        uid: u32,
        program: &str,
        args: &[&str],
    ) -> Result<Process> {
        let mut command = self.instance.machine.command("setpriv");
        command
            .args([&format!("--reuid={uid}"), &format!("--regid={uid}")])
            .args(["--clear-groups", "--bounding-set=-all", "--inh-caps=-all"])
            .args(["--ambient-caps=-all", "--no-new-privs", "--"])
            .arg(format!("{BIN}/{program}"))
            .args(args);
        self.spawn(name, command)
    }

    /// As [`Host::start`], of a daemon that finds its settings below its root.
    pub(super) fn daemon(
        &self,
        name: &str,
        uid: u32,
        program: &str,
        part: &str,
    ) -> Result<Process> {
        self.start(name, uid, program, &[part, "--root", ROOT])
    }

    /// Waits until a process listens on a TCP port.
    pub(super) fn wait_for_port(&self, port: u16, name: &str, process: &mut Process) -> Result<()> {
        let address = SocketAddr::from((self.address, port));
        self.wait(name, process, || {
            let dial = || TcpStream::connect_timeout(&address, Duration::from_secs(1));
            self.instance.machine.in_network(dial).is_ok()
        })
    }

    /// Waits until so, as long as the process that makes it so runs.
    pub(super) fn wait(
        &self,
        name: &str,
        process: &mut Process,
        so: impl Fn() -> bool,
    ) -> Result<()> {
        let deadline = now() + START;
        while !so() {
            let ended = process.wait_for(Duration::from_millis(20))?;
            ensure!(
                ended.is_none() && now() < deadline,
                "{name} on {} did not start ({ended:?}); it said:\n{}",
                self.instance.machine.name(),
                self.log(name)
            );
        }
        Ok(())
    }

    /// What a server said so far.
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }
}
