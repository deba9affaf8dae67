//! The network that `cargo xtask up` and the end-to-end tests share: a home, a router, laptops.
//!
//! ```text
//!  home 10.77.1.2 ── 10.77.1.1 router 10.77.2.1 ── 10.77.2.2 laptop
//!                               (masquerades)  3.1 ── 3.2   second laptop …
//! ```
//!
//! Only the product's own binaries run on the machines. A laptop has one route, to the home machine.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{Machine, Process, binaries, link};

/// Address of the home machine.
pub const HOME: &str = "10.77.1.2";
/// Where a machine sees its state, whatever it is called on the host.
pub const ROOT: &str = "/run/maru-lab/root";
/// Where a machine sees the workspace's binaries.
pub const BIN: &str = "/run/maru-lab/bin";

/// How long a start may take: images are built on the way, maybe with both cores busy.
const START: Duration = Duration::from_secs(300);

/// Three or more cabled machines.
#[derive(Debug)]
pub struct Household {
    /// Where `maru up` runs.
    pub home: Machine,
    /// Between them; captures are taken here.
    pub router: Machine,
    /// Everybody else.
    pub laptops: Vec<Machine>,
}

impl Household {
    /// Makes a home, a router and one laptop by each name.
    ///
    /// # Errors
    ///
    /// A machine cannot be made.
    pub fn new(laptops: &[&str]) -> Result<Self> {
        let home = Machine::new("home")?;
        let router = Machine::new("router")?;
        link((&home, "eth0", "10.77.1.2/24"), (&router, "home0", "10.77.1.1/24"))?;
        home.sh("ip route add default via 10.77.1.1")?;
        router.sh("echo 1 > /proc/sys/net/ipv4/ip_forward
            nft add table ip nat
            nft 'add chain ip nat out { type nat hook postrouting priority 100; }'
            nft add rule ip nat out oifname home0 masquerade")?;
        let mut household = Self { home, router, laptops: Vec::new() };
        for name in laptops {
            household.add(name)?;
        }
        Ok(household)
    }

    /// Adds a laptop behind the router.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn add(&mut self, name: &str) -> Result<&Machine> {
        let net = self.laptops.len() + 2;
        let laptop = Machine::new(name)?;
        link(
            (&laptop, "eth0", &format!("10.77.{net}.2/24")),
            (&self.router, &format!("lap{net}"), &format!("10.77.{net}.1/24")),
        )?;
        laptop.sh(&format!("ip route add {HOME}/32 via 10.77.{net}.1"))?;
        self.laptops.push(laptop);
        self.laptops.last().context("just added")
    }
}

/// A machine with state and the product's binaries.
#[derive(Debug)]
pub struct Seat<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// Its state, as the host sees it.
    pub root: PathBuf,
}

impl<'a> Seat<'a> {
    /// Puts the state in `root` (made if missing) and the binaries on the machine.
    ///
    /// # Errors
    ///
    /// They cannot be mounted.
    pub fn new(machine: &'a Machine, root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
        fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
        let bin = binaries()?;
        machine.sh(&format!(
            "mkdir -p {ROOT} {BIN}
            mountpoint -q {BIN} || mount --bind '{}' {BIN}
            mountpoint -q {ROOT} || mount --bind '{}' {ROOT}",
            bin.display(),
            root.display()
        ))?;
        Ok(Self { machine, root: root.to_owned() })
    }

    /// `maru --root …` on this machine.
    #[must_use]
    pub fn maru(&self, args: &[&str]) -> Command {
        let mut command = self.program("maru");
        command.args(["--root", ROOT]).args(args);
        command
    }

    /// One of the workspace's programs on this machine.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        self.machine.command(format!("{BIN}/{name}"))
    }

    /// Runs `maru` to its end, whatever its status.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn run(&self, args: &[&str]) -> Result<Output> {
        Ok(self.maru(args).stdin(Stdio::null()).output()?)
    }

    /// Runs `maru` and returns what it printed.
    ///
    /// # Errors
    ///
    /// It fails; the error holds what it said.
    pub fn ok(&self, args: &[&str]) -> Result<String> {
        let out = self.run(args)?;
        let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
        ensure!(
            out.status.success(),
            "`maru {}` on {} failed ({})\n{stdout}{}",
            args.join(" "),
            self.machine.name(),
            out.status,
            String::from_utf8_lossy(&out.stderr)
        );
        Ok(stdout)
    }

    /// Starts `maru up`, hands on what it prints, and returns when it is ready.
    ///
    /// # Errors
    ///
    /// It ends before that, or takes too long.
    pub fn up(&self, args: &[&str], mut line: impl FnMut(&str)) -> Result<Process> {
        let mut command = self.maru(&["up", "--address", HOME]);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = self.machine.spawn(&mut command)?;
        let (sender, lines) = mpsc::channel();
        let child = process.child();
        forward(child.stdout.take().context("no pipe")?, sender.clone());
        forward(child.stderr.take().context("no pipe")?, sender);
        let deadline = deadline(START);
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(now())) {
                Ok(text) if text.trim() == "maru: ready" => {
                    // Whoever reads the pipes must go on doing so, or `maru up` would block.
                    thread::spawn(move || lines.into_iter().for_each(drop));
                    return Ok(process);
                }
                Ok(text) => line(&text),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("maru up is not ready after {START:?}")
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    bail!("maru up ended before it was ready")
                }
            }
        }
    }

    /// Starts the agent, as a laptop's service manager would, and waits for its local API.
    ///
    /// # Errors
    ///
    /// It ends, or its socket does not appear.
    pub fn agent(&self) -> Result<Process> {
        let log =
            fs::File::options().create(true).append(true).open(self.root.join("agent.log"))?;
        let mut command = self.program("maru-agent");
        command.args(["--root", ROOT]).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        let mut process = self.machine.spawn(&mut command)?;
        let socket = self.root.join("run/maru/agent/api.sock");
        let deadline = deadline(Duration::from_secs(20));
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            let ended = process.wait_for(Duration::from_millis(50))?;
            ensure!(
                ended.is_none() && now() < deadline,
                "the agent on {} did not start ({ended:?}): see {}",
                self.machine.name(),
                self.root.join("agent.log").display()
            );
        }
        Ok(process)
    }

    /// Waits until `maru ARGS` prints something in which `found` finds what it looks for.
    ///
    /// # Errors
    ///
    /// It does not within `limit`; the error holds what was printed last.
    pub fn wait_until<T>(
        &self,
        args: &[&str],
        limit: Duration,
        found: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = deadline(limit);
        loop {
            let out = self.run(args)?;
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            if let Some(result) = found(&text) {
                return Ok(result);
            }
            if now() >= deadline {
                bail!(
                    "`maru {}` on {} still says: {text}{}",
                    args.join(" "),
                    self.machine.name(),
                    String::from_utf8_lossy(&out.stderr)
                );
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "tests and demonstrations run on the real clock")]
fn now() -> Instant {
    Instant::now()
}

fn deadline(limit: Duration) -> Instant {
    now() + limit
}

fn forward(pipe: impl std::io::Read + Send + 'static, to: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                // The listener has gone; reading goes on so that the writer never blocks.
            }
        }
    });
}
