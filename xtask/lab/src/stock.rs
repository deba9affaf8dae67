//! A machine with stock Tailscale: `tailscaled` with a real TUN, and `tailscale` to talk to it.
//!
//! `cargo xtask` builds both and names their folder in `MARU_STOCK_TAILSCALE`.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use lab::{Deployment, nat::Nat, stock::StockNode};
//!
//! let mut house = Deployment::start()?;
//! let mut site = house.topology.site(Nat::PortRestricted)?;
//! let phone = StockNode::start(&site.add("phone")?)?;
//! phone.join(&house.server_url()?, &house.key(&["--user", "alice"])?, &[])?;
//! println!("{}", phone.status()?);
//! # Ok(())
//! # }
//! ```

use std::{
    ffi::OsStr,
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{Machine, Process, instance::now};

/// Names the folder with both programs.
pub const FOLDER: &str = "MARU_STOCK_TAILSCALE";
/// The interface that the daemon makes.
pub const INTERFACE: &str = "tailscale0";
/// Everything that the daemon keeps, in the machine's own `/run`: it ends with the machine.
const STATE: &str = "/run/stock";
/// How long a daemon may take to start, and a command to be done.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const POLL: Duration = Duration::from_millis(100);

/// A machine with a running `tailscaled`.
#[derive(Debug)]
pub struct StockNode {
    /// The machine.
    pub machine: Arc<Machine>,
    /// The daemon.
    pub daemon: Process,
    programs: Programs,
}

impl StockNode {
    /// Starts the daemon, logged out.
    ///
    /// # Errors
    ///
    /// It was not built, or does not start.
    pub fn start(machine: &Arc<Machine>) -> Result<Self> {
        Self::start_with(machine, &[])
    }

    /// As [`StockNode::start`], with more environment variables for the daemon and every command.
    ///
    /// # Errors
    ///
    /// It was not built, or does not start.
    pub fn start_with(machine: &Arc<Machine>, environment: &[(&str, &str)]) -> Result<Self> {
        let folder = std::env::var_os(FOLDER).with_context(|| {
            format!("{FOLDER} names no folder: `cargo xtask interop tailscale` sets it")
        })?;
        Self::start_from(folder.into(), machine, environment)
    }

    /// As [`StockNode::start_with`], with the programs of a folder.
    ///
    /// # Errors
    ///
    /// They are not there, or the daemon does not start.
    pub fn start_from(
        folder: PathBuf,
        machine: &Arc<Machine>,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        machine.sh(&format!("mkdir -p {STATE}"))?;
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = environment.iter().map(own).collect();
        let programs = Programs { folder, environment };
        let daemon = programs.daemon(machine)?;
        Ok(Self { machine: Arc::clone(machine), daemon, programs })
    }

    /// Ends the daemon, as a service manager would, and starts it again with the state it had.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.daemon.stop(PATIENCE)?;
        self.daemon = self.programs.daemon(&self.machine)?;
        Ok(())
    }

    /// `tailscale …` on this machine.
    #[must_use]
    pub fn tailscale<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = self.programs.tailscale(&self.machine);
        command.args(args);
        command
    }

    /// Runs `tailscale` to its end, whatever its status.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn run(&self, args: &[&str]) -> Result<Output> {
        Ok(self.tailscale(args).output()?)
    }

    /// Runs `tailscale` and returns what it printed.
    ///
    /// # Errors
    ///
    /// It fails; the error holds what it said, and the daemon's last words.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        let out = self.run(args)?;
        let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
        ensure!(
            out.status.success(),
            "`tailscale {}` on {} failed ({})\n{stdout}{}\nthe daemon's log ends:\n{}",
            args.join(" "),
            self.machine.name(),
            out.status,
            String::from_utf8_lossy(&out.stderr),
            self.log_end()
        );
        Ok(stdout)
    }

    /// The common arguments of `tailscale up`: the coordinator, a name, and not to change nftables.
    fn up_args(&self, server: &str) -> Vec<String> {
        [
            "up".to_owned(),
            format!("--login-server={server}"),
            format!("--hostname={}", self.machine.name()),
            format!("--timeout={}s", PATIENCE.as_secs()),
            "--accept-dns=false".to_owned(),
            "--netfilter-mode=off".to_owned(),
        ]
        .into()
    }

    /// Joins with a pre-auth key, and returns once the node is one; `more` is for `tailscale up`.
    ///
    /// # Errors
    ///
    /// It does not join within a minute.
    pub fn join(&self, server: &str, key: &str, more: &[&str]) -> Result<()> {
        let mut args = self.up_args(server);
        args.push(format!("--auth-key={key}"));
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.ok(&args).map(drop)
    }

    /// Asks to join without a key; the command ends once the admin has approved the node.
    ///
    /// # Errors
    ///
    /// The command cannot be started, or shows no address within a minute.
    pub fn ask_to_join(&self, server: &str, more: &[&str]) -> Result<Process> {
        let mut command = self.tailscale(&self.up_args(server));
        command.args(more).stdout(Stdio::null()).stderr(Stdio::null());
        let process = self.machine.spawn(&mut command)?;
        self.wait("an address to approve it at", |status| {
            !status["AuthURL"].as_str().unwrap_or_default().is_empty()
        })?;
        Ok(process)
    }

    /// What `tailscale status --json` says.
    ///
    /// # Errors
    ///
    /// It prints no JSON.
    pub fn status(&self) -> Result<Value> {
        let out = self.run(&["status", "--json"])?;
        serde_json::from_slice(&out.stdout).with_context(|| {
            format!("no status: {}\n{}", String::from_utf8_lossy(&out.stderr), self.log_end())
        })
    }

    /// The peer whose DNS name begins with this label, as the status has it.
    ///
    /// # Errors
    ///
    /// There is no status.
    pub fn peer(&self, name: &str) -> Result<Option<Value>> {
        let status = self.status()?;
        let peers = status["Peer"].as_object().cloned().unwrap_or_default();
        Ok(peers.into_values().find(|peer| label(peer) == name))
    }

    /// The first labels of the DNS names of all peers, sorted.
    ///
    /// # Errors
    ///
    /// There is no status.
    pub fn peers(&self) -> Result<Vec<String>> {
        let status = self.status()?;
        let peers = status["Peer"].as_object().cloned().unwrap_or_default();
        let mut names: Vec<_> = peers.values().map(label).collect();
        names.sort();
        Ok(names)
    }

    /// The node's IPv4 address in the network.
    ///
    /// # Errors
    ///
    /// It has none.
    pub fn address(&self) -> Result<Ipv4Addr> {
        let status = self.status()?;
        let address = status["Self"]["TailscaleIPs"][0].as_str().context("no address")?;
        Ok(address.parse()?)
    }

    /// Waits until the status is as `is` wants it.
    ///
    /// # Errors
    ///
    /// It is not within a minute; the error holds `what`, the status and the end of the daemon's log.
    pub fn wait(&self, what: &str, is: impl Fn(&Value) -> bool) -> Result<()> {
        let deadline = now() + PATIENCE;
        loop {
            let status = self.status()?;
            if is(&status) {
                return Ok(());
            }
            if now() >= deadline {
                bail!(
                    "{} still waits for {what}: {status:#}\n{}",
                    self.machine.name(),
                    self.log_end()
                );
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until the node runs and has a peer by each of these names, and no other.
    ///
    /// # Errors
    ///
    /// It is not so within a minute.
    pub fn wait_for_peers(&self, names: &[&str]) -> Result<()> {
        let mut wanted: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        wanted.sort();
        self.wait(&format!("the peers {wanted:?}"), |status| {
            let peers = status["Peer"].as_object().cloned().unwrap_or_default();
            let mut found: Vec<_> = peers.values().map(label).collect();
            found.sort();
            status["BackendState"] == "Running" && found == wanted
        })
    }

    /// Waits until packets to a peer go directly; asks by disco pings, as `tailscale ping` does.
    ///
    /// # Errors
    ///
    /// They do not within a minute.
    pub fn wait_for_direct(&self, address: Ipv4Addr) -> Result<()> {
        let address = address.to_string();
        self.ok(&["ping", "--until-direct", "--c=30", "--timeout=2s", &address]).map(drop)
    }

    /// Everything that the daemon logged.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.log_path())?).into_owned())
    }

    fn log_path(&self) -> PathBuf {
        self.machine.path(&format!("{STATE}/log"))
    }

    fn log_end(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// The first label of a peer's DNS name.
fn label(peer: &Value) -> String {
    let name = peer["DNSName"].as_str().unwrap_or_default();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// The folder of both programs, and their environment.
#[derive(Clone, Debug)]
struct Programs {
    folder: PathBuf,
    environment: Vec<(String, String)>,
}

impl Programs {
    /// One of them, which sends nothing to its maker.
    fn command(&self, machine: &Machine, name: &str) -> Command {
        let mut command = machine.command(self.folder.join(name));
        command.env("TS_NO_LOGS_NO_SUPPORT", "true").env("HOME", STATE).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn tailscale(&self, machine: &Machine) -> Command {
        let mut command = self.command(machine, "tailscale");
        command.arg(format!("--socket={STATE}/socket"));
        command
    }

    /// Starts the daemon and waits until it answers.
    fn daemon(&self, machine: &Machine) -> Result<Process> {
        let log = machine.path(&format!("{STATE}/log"));
        let log = fs::File::options().create(true).append(true).open(log)?;
        let mut command = self.command(machine, "tailscaled");
        command.args([
            &format!("--tun={INTERFACE}"),
            &format!("--statedir={STATE}"),
            &format!("--socket={STATE}/socket"),
            "--port=41641",
        ]);
        command.stdout(log.try_clone()?).stderr(log);
        let mut process = machine.spawn(&mut command)?;
        let deadline = now() + PATIENCE;
        loop {
            let out = self.tailscale(machine).args(["status", "--json"]).output()?;
            if serde_json::from_slice::<Value>(&out.stdout).is_ok() {
                return Ok(process);
            }
            let ended = process.wait_for(POLL)?;
            ensure!(
                ended.is_none() && now() < deadline,
                "tailscaled on {} did not start ({ended:?}): {}",
                machine.name(),
                String::from_utf8_lossy(&out.stderr)
            );
        }
    }
}
