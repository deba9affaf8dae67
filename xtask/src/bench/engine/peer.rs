//! A program that serves the model.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testkit::blocking::http;

use crate::{
    bench::{
        process::{Running, done},
        reply::{Reply, Watch},
    },
    progress::Step,
    stop, workspace,
};

/// The model's name with every peer.
const MODEL: &str = "bench";
/// Tokens that a conversation may hold.
pub(super) const CONTEXT: u32 = 4096;
/// llama.cpp's server from PyPI.
const XLLAMACPP: &str = "2026.10.11549";
/// TCP ports of the others.
const PORTS: [u16; 2] = [18_994, 18_995];
/// Replies at once.
const SLOTS: usize = 2;
/// Memory for conversations without a slot, in MiB: for everyone what the engine takes by default.
const CACHE_MIB: u32 = 512;
/// How long a start may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The server of the package, which listens until it is ended.
const XLLAMACPP_SERVER: &str = "\
import sys, threading, xllamacpp
model, port, threads, context, slots, cache, name = sys.argv[1:]
params = xllamacpp.CommonParams()
params.model.path = model
params.hostnames = ['127.0.0.1']
params.port = int(port)
params.n_parallel = int(slots)
params.n_ctx = int(context) * int(slots)
params.cache_ram_mib = int(cache)
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
params.model_alias = {name}
server = xllamacpp.Server(params)
threading.Event().wait()
";

/// Bytes to and from a server.
pub(super) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Where a peer listens.
#[derive(Clone, Debug)]
enum Location {
    Unix(PathBuf),
    Port(u16),
}

/// A peer that runs.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: String,
    place: Location,
    running: Running,
}

impl Peer {
    /// Our engine.
    pub(super) fn maru(dir: &Path, model: &Path, threads: usize) -> Result<Self> {
        let (threads, cache) = (threads.to_string(), CACHE_MIB.to_string());
        let (slots, context) = (SLOTS.to_string(), CONTEXT.to_string());
        let args =
            ["--threads", &threads, "--ctx", &context, "--slots", &slots, "--cache-mib", &cache];
        Self::engine(dir, model, &args)
    }

    /// Our engine with options of its own.
    pub(super) fn engine(dir: &Path, model: &Path, args: &[&str]) -> Result<Self> {
        let root = dir.join("maru");
        fs::create_dir(&root)?;
        let mut command = Command::new(lab::binary("maru-llm")?);
        command.arg("--root").arg(&root).arg("--model").arg(model);
        command.args(["--alias", MODEL]).args(args);
        let place = Location::Unix(root.join("run/maru/inference/llm.sock"));
        Self::start("Maru", command, place, dir, "/health")
    }

    /// llama.cpp's server, installed if need be.
    pub(super) fn xllamacpp(dir: &Path, model: &Path, threads: usize) -> Result<Self> {
        let home = workspace::target()?.join(format!("peers/xllamacpp-{XLLAMACPP}"));
        let python = home.join("bin/python");
        if !python.exists() {
            let step = Step::new("installing xllamacpp from PyPI (34 MB)");
            done(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
            let wanted = format!("xllamacpp=={XLLAMACPP}");
            let mut pip = Command::new(home.join("bin/pip"));
            let installed =
                done(pip.args(["install", "--quiet", "--only-binary", ":all:", &wanted]));
            if installed.is_err() {
                fs::remove_dir_all(&home)?;
            }
            installed?;
            step.done("xllamacpp is installed");
        }
        let mut command = Command::new(python);
        command.args(["-c", XLLAMACPP_SERVER]).arg(model);
        command.args([PORTS[0].to_string(), threads.to_string(), CONTEXT.to_string()]);
        command.args([SLOTS.to_string(), CACHE_MIB.to_string(), MODEL.to_owned()]);
        let name = format!("xllamacpp {XLLAMACPP}");
        Self::start(&name, command, Location::Port(PORTS[0]), dir, "/health")
    }

    /// Ollama, with the file as its model.
    pub(super) fn ollama(program: &Path, dir: &Path, model: &Path, threads: usize) -> Result<Self> {
        let home = dir.join("ollama");
        fs::create_dir(&home)?;
        let address = format!("127.0.0.1:{}", PORTS[1]);
        let command = |what: &[&str]| {
            let mut command = Command::new(program);
            command.args(what).env("HOME", &home).env("OLLAMA_HOST", &address);
            command.env("OLLAMA_NO_CLOUD", "1").env("OLLAMA_KEEP_ALIVE", "-1");
            command.env("OLLAMA_NUM_PARALLEL", SLOTS.to_string());
            command.env("OLLAMA_CONTEXT_LENGTH", CONTEXT.to_string());
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let said = Command::new(program).arg("--version").env("OLLAMA_HOST", &address).output();
        let said = said.with_context(|| format!("cannot run {}", program.display()))?.stdout;
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        let version = said.rsplit(' ').next().unwrap_or_default().to_owned();
        let name = format!("Ollama {version}");
        let peer =
            Self::start(&name, command(&["serve"]), Location::Port(PORTS[1]), dir, "/api/version")?;
        let file = home.join("Modelfile");
        let text = format!(
            "FROM {}\nPARAMETER num_thread {threads}\nPARAMETER num_ctx {CONTEXT}\n",
            model.display()
        );
        fs::write(&file, text)?;
        done(command(&["create", MODEL, "-f"]).arg(file))?;
        Ok(peer)
    }

    /// Waits until this path answers 200.
    fn start(
        name: &str,
        mut command: Command,
        place: Location,
        dir: &Path,
        path: &str,
    ) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let running = Running::start(&mut command, &log)?;
        let mut peer = Self { name: name.to_owned(), place, running };
        let begin = Instant::now();
        while !peer.get(path).is_ok_and(|answer| answer.status == 200) {
            stop::check()?;
            let said = || fs::read_to_string(&log).unwrap_or_default();
            ensure!(peer.running.is_alive()?, "{name} ended: {}", said().trim());
            ensure!(begin.elapsed() < PATIENCE, "{name} is not ready: {}", said().trim());
            thread::sleep(Duration::from_millis(50));
        }
        Ok(peer)
    }

    pub(super) fn stream(&self) -> Result<Box<dyn Stream>> {
        Ok(match &self.place {
            Location::Unix(path) => Box::new(UnixStream::connect(path)?),
            Location::Port(port) => Box::new(TcpStream::connect(("127.0.0.1", *port))?),
        })
    }

    /// Reads something.
    pub(super) fn get(&self, path: &str) -> Result<http::Response<Box<dyn Stream>>> {
        http::request(self.stream()?, "GET", path, "localhost", &[], None)
    }

    /// The reply to messages in somebody's conversation.
    pub(super) fn ask(&self, messages: &Value, max_tokens: u32, owner: &str) -> Result<Reply> {
        let mut body = request(messages, max_tokens, owner);
        // Ollama ignores that: the tokens of its reply are counted as it says.
        body["ignore_eos"] = true.into();
        let watch = Watch::start();
        watch.ask(self.stream()?, "localhost", &body)
    }

    /// Memory of it and of what it started, in MiB.
    pub(super) fn resident_mib(&self) -> Result<f64> {
        Ok(f64::from(u32::try_from(self.running.memory_kib("VmRSS")?)?) / 1024.0)
    }
}

/// A request that is streamed, repeatably.
pub(super) fn request(messages: &Value, max_tokens: u32, owner: &str) -> Value {
    json!({
        "model": MODEL, "stream": true, "stream_options": { "include_usage": true },
        "max_tokens": max_tokens, "temperature": 0, "prompt_cache_key": owner, "messages": messages,
    })
}

/// As many as the engine takes by default: one that takes every core waits for whatever else runs.
pub(super) fn threads() -> usize {
    thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}
