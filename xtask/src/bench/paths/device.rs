//! A device with our agent or stock Tailscale.

use std::{
    fmt, fs,
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Instance, Machine, Process, stock::StockNode};

/// How long a device may take until it is a node.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a device runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Program {
    Maru,
    Tailscaled,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Maru => "maru",
            Self::Tailscaled => "tailscaled",
        })
    }
}

/// A machine with a daemon that has not joined.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) machine: Arc<Machine>,
    daemon: Daemon,
}

#[derive(Debug)]
enum Daemon {
    Maru { instance: Instance, _agent: Process },
    Tailscaled(StockNode),
}

impl Device {
    /// Starts the daemon; `stock` is the folder with stock Tailscale.
    pub(super) fn start(
        program: Program,
        machine: &Arc<Machine>,
        state: &Path,
        stock: &Path,
    ) -> Result<Self> {
        let daemon = match program {
            Program::Maru => {
                let instance = Instance::new(machine, &state.join(machine.name()))?;
                fs::create_dir_all(instance.root.join("etc/maru"))?;
                fs::write(instance.root.join("etc/maru/agent.toml"), "dns = \"off\"\n")?;
                let agent = instance.agent()?;
                Daemon::Maru { instance, _agent: agent }
            }
            Program::Tailscaled => {
                Daemon::Tailscaled(StockNode::start_from(stock.to_owned(), machine, &[])?)
            }
        };
        Ok(Self { machine: Arc::clone(machine), daemon })
    }

    /// Joins with a key; our agent goes on after this returns.
    pub(super) fn join(&self, url: &str, key: &str) -> Result<()> {
        match &self.daemon {
            Daemon::Maru { instance, .. } => {
                instance.ok(&["join", url, "--key", key, "--hostname", self.machine.name()])?;
                Ok(())
            }
            Daemon::Tailscaled(node) => node.join(url, key, &[]),
        }
    }

    /// Its address in the mesh, once it is a node.
    pub(super) fn address(&self) -> Result<Ipv4Addr> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match &self.daemon {
                Daemon::Tailscaled(node) => return node.address(),
                Daemon::Maru { instance, .. } => {
                    let status = instance.status()?;
                    if status["state"] == "running" {
                        let address = status["node"]["addresses"][0].as_str();
                        return Ok(address.context("a node has an address")?.parse()?);
                    }
                }
            }
            ensure!(Instant::now() < deadline, "{} does not join", self.machine.name());
            thread::sleep(Duration::from_millis(100));
        }
    }
}
