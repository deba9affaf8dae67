//! A machine with state and the product's binaries: what is typed there, and what is started.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{IpAddr, SocketAddr, TcpStream},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{Machine, Process, binaries, topology::HOME};

/// Where a machine sees its state, whatever it is called on the host.
pub const ROOT: &str = "/run/maru-lab/root";
/// Where a machine sees the workspace's binaries.
pub const BIN: &str = "/run/maru-lab/bin";

/// How long a start may take: images are built on the way, maybe with both cores busy.
const START: Duration = Duration::from_secs(300);
/// How long a clean stop may take.
pub const STOP: Duration = Duration::from_secs(30);
/// How long a join and an approval may take.
const JOIN: Duration = Duration::from_secs(60);

/// What systemd would name a daemon's standard error in `JOURNAL_STREAM`, so that it logs to the journal, where its machine
/// has one (`systemd.exec(5)`).
///
/// # Errors
///
/// The file cannot be asked.
pub fn stream(file: &fs::File) -> Result<String> {
    let meta = file.metadata()?;
    Ok(format!("{}:{}", meta.dev(), meta.ino()))
}

/// A machine with state and the product's binaries.
#[derive(Clone, Debug)]
pub struct Instance {
    /// The machine.
    pub machine: Arc<Machine>,
    /// Its state, as the host sees it.
    pub root: PathBuf,
}

impl Instance {
    /// Puts the state in `root` (made if missing) and the binaries on the machine.
    ///
    /// # Errors
    ///
    /// They cannot be mounted.
    pub fn new(machine: &Arc<Machine>, root: &Path) -> Result<Self> {
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
        Ok(Self { machine: Arc::clone(machine), root: root.to_owned() })
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

    /// As [`Instance::program`], on a clock that is so many seconds ahead (negative: behind).
    #[must_use]
    pub fn program_ahead(&self, seconds: i64, name: &str) -> Command {
        let mut command = self.program("lab-clock");
        command.arg(seconds.to_string()).arg(format!("{BIN}/{name}"));
        command
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

    /// Starts `maru up`, hands on what it prints, and returns when it is ready: the process, and
    /// what it prints from then on. `go_on` is asked ten times a second; its error ends the start.
    ///
    /// # Errors
    ///
    /// It ends before that, or takes too long; the error holds what it said.
    pub fn up(
        &self,
        args: &[&str],
        mut line: impl FnMut(&str),
        go_on: impl Fn() -> Result<()>,
    ) -> Result<(Process, mpsc::Receiver<String>)> {
        let mut command = self.maru(&["up", "--address", HOME]);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = self.machine.spawn(&mut command)?;
        let (sender, lines) = mpsc::channel();
        let child = process.child();
        forward(child.stdout.take().context("no pipe")?, sender.clone());
        forward(child.stderr.take().context("no pipe")?, sender);
        match ready(&lines, &mut line, &go_on) {
            Ok(()) => Ok((process, lines)),
            Err(why) => {
                let _ = process.stop(STOP)?;
                Err(why)
            }
        }
    }

    /// Puts a file of the host on the machine, read-only; returns its path there.
    ///
    /// # Errors
    ///
    /// It cannot be mounted.
    pub fn lend(&self, file: &Path) -> Result<String> {
        let name = file.file_name().and_then(|name| name.to_str()).context("a file has a name")?;
        let inside = format!("/run/maru-lab/{name}");
        self.machine.sh(&format!(
            "touch {inside}; mount --bind '{}' {inside}; mount -o remount,bind,ro {inside}",
            file.display()
        ))?;
        Ok(inside)
    }

    /// Connects from a member's device to a mesh port of the home node.
    ///
    /// # Errors
    ///
    /// The gateway's address is unknown, or it does not answer within twelve seconds: a tunnel's lost first message is
    /// sent again after five.
    pub fn dial(&self, port: u16) -> Result<TcpStream> {
        let address = SocketAddr::new(self.gateway()?, port);
        let dial = || TcpStream::connect_timeout(&address, Duration::from_secs(12));
        Ok(self.machine.in_network(dial)?)
    }

    /// The mesh address of the home node, where the gateway is.
    ///
    /// # Errors
    ///
    /// The gateway's place is not known.
    pub fn gateway(&self) -> Result<IpAddr> {
        let status = self.status()?;
        let address = status["gateway"]["addresses"][0].as_str().context("no gateway known")?;
        Ok(address.parse()?)
    }

    /// Starts a chat whose reply would go on for a minute or more, and waits for its first byte.
    ///
    /// # Errors
    ///
    /// It ends before that.
    pub fn long_chat(&self) -> Result<Process> {
        self.long_chat_with(&[])
    }

    /// As [`Instance::long_chat`], with more arguments for `maru chat`.
    ///
    /// # Errors
    ///
    /// It ends before that.
    pub fn long_chat_with(&self, args: &[&str]) -> Result<Process> {
        let mut command = self.maru(&["chat", "--ignore-eos", "--max-tokens", "7000"]);
        command.args(args).args(["--ask", "Tell a long story."]).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut chat = self.machine.spawn(&mut command)?;
        let mut first = [0];
        let out = chat.child().stdout.as_mut().context("no pipe")?;
        if out.read_exact(&mut first).is_err() {
            let mut said = String::new();
            if let Some(errors) = &mut chat.child().stderr {
                errors.read_to_string(&mut said)?;
            }
            bail!("no reply began: {said}");
        }
        Ok(chat)
    }

    /// Starts the agent, as a laptop's service manager would, and waits for its local API.
    ///
    /// # Errors
    ///
    /// It ends, or does not answer within 20 seconds.
    pub fn agent(&self) -> Result<Process> {
        self.agent_with(&[])
    }

    /// As [`Instance::agent`], with more arguments for it.
    ///
    /// # Errors
    ///
    /// As [`Instance::agent`].
    pub fn agent_with(&self, args: &[&str]) -> Result<Process> {
        let mut command = self.program("maru-agent");
        command.args(args);
        self.start_agent(command)
    }

    /// As [`Instance::agent`], on a clock that is so many seconds ahead (negative: behind).
    ///
    /// # Errors
    ///
    /// As [`Instance::agent`].
    pub fn agent_ahead(&self, seconds: i64) -> Result<Process> {
        self.start_agent(self.program_ahead(seconds, "maru-agent"))
    }

    fn start_agent(&self, mut command: Command) -> Result<Process> {
        let log =
            fs::File::options().create(true).append(true).open(self.root.join("agent.log"))?;
        command.args(["--root", ROOT]).stdin(Stdio::null());
        command.env("JOURNAL_STREAM", stream(&log)?);
        command.stdout(log.try_clone()?).stderr(log);
        let mut process = self.machine.spawn(&mut command)?;
        let socket = self.root.join("run/maru/agent/api.sock");
        let deadline = deadline(Duration::from_secs(20));
        while UnixStream::connect(&socket).is_err() {
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

    /// The output of `maru status` as JSON; it exits with 1 if the device is in no network.
    ///
    /// # Errors
    ///
    /// It prints no JSON.
    pub fn status(&self) -> Result<serde_json::Value> {
        let out = self.run(&["status", "-o", "json"])?;
        serde_json::from_slice(&out.stdout)
            .with_context(|| format!("no status: {}", String::from_utf8_lossy(&out.stderr)))
    }

    /// Asks to join with an invitation for `person` that the admin at `home` makes.
    ///
    /// # Errors
    ///
    /// No invitation is made, or the agent refuses it.
    pub fn ask_to_join(&self, home: &Self, person: &str) -> Result<()> {
        let invitation = home.ok(&["invite", person, "-o", "json"])?;
        let invitation: serde_json::Value = serde_json::from_str(&invitation)?;
        let url = invitation["url"].as_str().context("the invitation has no url")?;
        self.ok(&["join", url, "--hostname", self.machine.name()])?;
        Ok(())
    }

    /// The admin's part, at home: approves the device that waits under this name.
    ///
    /// # Errors
    ///
    /// No such device waits within a minute.
    pub fn approve(&self, hostname: &str) -> Result<()> {
        let id = self.wait_until(&["device", "list", "-o", "json"], JOIN, |text| {
            let devices: serde_json::Value = serde_json::from_str(text).ok()?;
            let waits = |device: &&serde_json::Value| {
                device["state"] == "pending" && device["hostname"] == hostname
            };
            Some(devices.as_array()?.iter().find(waits)?["id"].to_string())
        })?;
        self.ok(&["device", "approve", id.trim_matches('"')])?;
        Ok(())
    }

    /// Waits until this device is a node that knows the gateway.
    ///
    /// # Errors
    ///
    /// It is not within a minute.
    pub fn wait_for_network(&self) -> Result<()> {
        self.wait_until(&["status", "-o", "json"], JOIN, |text| {
            let status: serde_json::Value = serde_json::from_str(text).ok()?;
            (status["state"] == "running" && status["gateway"].is_object()).then_some(())
        })
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

/// Waits for the line with which `maru up` reports that everything runs.
fn ready(
    lines: &mpsc::Receiver<String>,
    line: &mut impl FnMut(&str),
    go_on: &impl Fn() -> Result<()>,
) -> Result<()> {
    let (deadline, mut said) = (deadline(START), Vec::new());
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(text) if text.trim() == "maru: ready" => return Ok(()),
            Ok(text) => {
                line(&text);
                said.push(text);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => go_on()?,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                bail!("maru up ended before it was ready; its output:\n{}", said.join("\n"))
            }
        }
        ensure!(
            now() < deadline,
            "maru up is not ready after {START:?}; it said:\n{}",
            said.join("\n")
        );
    }
}

#[allow(clippy::disallowed_methods, reason = "tests and demonstrations run on the real clock")]
pub(crate) fn now() -> Instant {
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
