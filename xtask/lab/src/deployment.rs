//! A running appliance in a fresh root, for end-to-end tests.

use std::{os::unix::net::UnixStream, path::Path, time::Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    Process, inside,
    instance::{self, Instance},
    process,
    topology::Topology,
};
use testkit::blocking::http;

/// Cabled machines whose home runs `maru up`; dropping it ends and removes everything.
#[derive(Debug)]
pub struct Deployment {
    /// `maru up`.
    pub up: Process,
    /// Where it runs.
    pub home: Instance,
    /// The machines.
    pub topology: Topology,
    /// When `maru up` was started.
    pub began: Instant,
    state: TempDir,
}

/// A device with a running agent.
#[derive(Debug)]
pub struct Member {
    /// The agent.
    pub agent: Process,
    /// Where it runs.
    pub instance: Instance,
}

impl Deployment {
    /// Starts the appliance with the model that `MARU_TEST_MODEL` names.
    ///
    /// # Errors
    ///
    /// The model is not named, or `maru up` fails.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// As [`Deployment::start`], with more arguments for `maru up`.
    ///
    /// # Errors
    ///
    /// The model is not named, or `maru up` fails.
    pub fn start_with(args: &[&str]) -> Result<Self> {
        let model = std::env::var_os("MARU_TEST_MODEL")
            .context("MARU_TEST_MODEL is not set: `cargo xtask test` sets it")?;
        Self::start_with_model(Path::new(&model), args)
    }

    /// As [`Deployment::start_with`], with the given model.
    ///
    /// # Errors
    ///
    /// `maru up` fails.
    pub fn start_with_model(model: &Path, args: &[&str]) -> Result<Self> {
        let state = tempfile::tempdir()?;
        let topology = Topology::new(&[])?;
        let home = Instance::new(&topology.home, &state.path().join("home"))?;
        let model = home.lend(model)?;
        let began = instance::now();
        let args = [&["--model", &model], args].concat();
        let (up, _) = home.up(&args, |_| {}, || Ok(()))?;
        Ok(Self { up, home, topology, began, state })
    }

    /// Adds a laptop with a running agent that has not joined.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn stranger(&mut self, name: &str) -> Result<Member> {
        let instance = self.instance(name)?;
        Ok(Member { agent: instance.agent()?, instance })
    }

    /// As [`Deployment::stranger`], its agent on a clock that is so many seconds ahead (negative: behind).
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn stranger_ahead(&mut self, name: &str, seconds: i64) -> Result<Member> {
        let instance = self.instance(name)?;
        Ok(Member { agent: instance.agent_ahead(seconds)?, instance })
    }

    fn instance(&mut self, name: &str) -> Result<Instance> {
        let machine = self.topology.add(name)?;
        Instance::new(&machine, &self.state.path().join(name))
    }

    /// Adds a laptop of `person` that was invited, approved, and knows the gateway.
    ///
    /// # Errors
    ///
    /// Any of that fails.
    pub fn member(&mut self, name: &str, person: &str) -> Result<Member> {
        let member = self.stranger(name)?;
        member.instance.ask_to_join(&self.home, person)?;
        self.home.approve(name)?;
        member.instance.wait_for_network()?;
        Ok(member)
    }

    /// The coordinator's URL for devices, from its settings.
    ///
    /// # Errors
    ///
    /// They do not.
    pub fn server_url(&self) -> Result<String> {
        let text = std::fs::read_to_string(self.home.root.join("etc/maru/coordinator.toml"))?;
        let mut lines = text.lines();
        let url = lines.find_map(|line| line.strip_prefix("server_url = \"")?.strip_suffix('"'));
        Ok(url.context("the coordinator's settings have no server_url")?.to_owned())
    }

    /// Makes a pre-auth key whose device needs no approval; `args` say whose: `["--user", "alice"]`, `["--tag",
    /// "tag:printer"]`.
    ///
    /// # Errors
    ///
    /// The coordinator refuses.
    pub fn key(&self, args: &[&str]) -> Result<String> {
        let key = self.home.ok(&[&["key", "create", "--approved", "-o", "json"], args].concat())?;
        let key: serde_json::Value = serde_json::from_str(&key)?;
        Ok(key["key"].as_str().context("there is no key")?.to_owned())
    }

    /// The slots of an engine that are generating, as it describes them; the engine is `inference`
    /// or `inference-2`.
    ///
    /// # Errors
    ///
    /// The engine does not answer.
    pub fn generating(&self, engine: &str) -> Result<Vec<serde_json::Value>> {
        let socket = self.home.root.join(format!("run/maru/{engine}/llm.sock"));
        let stream = UnixStream::connect(socket)?;
        let slots = http::request(stream, "GET", "/slots", "localhost", &[], None)?.json()?;
        let mut slots = slots.as_array().context("no slots")?.clone();
        slots.retain(|slot| slot["is_processing"] == true);
        Ok(slots)
    }

    /// How many slots of an engine are generating.
    ///
    /// # Errors
    ///
    /// The engine does not answer.
    pub fn busy_slots(&self, engine: &str) -> Result<usize> {
        Ok(self.generating(engine)?.len())
    }

    /// The home's processes whose command line holds `text` and whose name is `name`.
    ///
    /// # Errors
    ///
    /// `/proc` cannot be read.
    pub fn processes(&self, name: &str, text: &str) -> Result<Vec<u32>> {
        let all = inside::processes(self.home.machine.pid())?.into_iter();
        // The kernel keeps 15 characters of a process's name.
        let short = &name[..name.len().min(15)];
        let named = all.filter(|(_, comm)| comm == short).map(|(pid, _)| pid);
        let holds = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
        };
        Ok(named.filter(holds).collect())
    }

    /// Kills such a process, as a crash would; there must be exactly one.
    ///
    /// # Errors
    ///
    /// There is none, or more than one.
    pub fn crash(&self, name: &str, text: &str) -> Result<()> {
        self.signal(name, text, Signal::KILL)
    }

    /// Sends such a process a signal; there must be exactly one.
    ///
    /// # Errors
    ///
    /// There is none, or more than one.
    pub fn signal(&self, name: &str, text: &str, signal: Signal) -> Result<()> {
        let found = self.processes(name, text)?;
        let [pid] = found[..] else { bail!("{} processes are {name} {text}", found.len()) };
        process::signal_pid(pid, signal);
        Ok(())
    }

    /// Where the state of home and laptops lies, on the host.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.state.path()
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        // Containers of a stopped `maru up` leave no control groups behind.
        let _ = self.up.stop(instance::STOP);
    }
}
