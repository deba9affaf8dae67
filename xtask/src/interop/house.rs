//! A deployment whose gateway has a real model, a scripted one behind each kind of provider, and an Ollama if there is
//! one.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Deployment, Machine, Member, Process, STOP};
use serde_json::Value;
use testkit::blocking::http;

use super::{install::Installed, tokens::Tokens};
use crate::{progress::Step, stop};

/// Where the gateway answers OpenAI's and Ollama's clients.
const URL: &str = "http://chat.maru.home.arpa:18789";
/// Where the scripted backend listens, at home.
const SCRIPTED: u16 = 18080;
/// Where llama.cpp's server listens, at home.
const LLAMACPP: u16 = 18081;
/// Where Ollama listens, at home.
pub(super) const OLLAMA: u16 = 11434;
/// What Ollama calls the small model.
pub(super) const MODEL: &str = "smollm2";
/// How often a state is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(100);
/// How many looks it may take: half a minute.
const LOOKS: usize = 300;

/// The dials to the scripted backend and to llama.cpp's server, for the gateway's user (`docs/configuration.md`).
const DIALS: &str = r#"
[[dial]]
name = "scripted"
socket = "run/maru/dial/scripted/http.sock"
uid = 61002
to = "127.0.0.1:18080"

[[dial]]
name = "cached"
socket = "run/maru/dial/cached/http.sock"
uid = 61002
to = "127.0.0.1:18081"
"#;
/// The scripted backend as two providers, and llama.cpp's server.
const PROVIDERS: &str = r#"providers: {
      scripted: {
        baseUrl: "unix:///run/maru/dial/scripted/http.sock",
        models: [{ id: "all", contextWindow: 8192, compat: { supportsInsert: true } }],
      },
      cached: {
        baseUrl: "unix:///run/maru/dial/cached/http.sock",
        models: [{ id: "smollm2", contextWindow: 4096, maxTokens: 16 }],
      },
      home: {
        api: "ollama",
        baseUrl: "unix:///run/maru/dial/scripted/http.sock",
        models: [{ id: "all", contextWindow: 8192 }, { id: "plain", contextWindow: 8192 }],
      },
"#;

/// One person asks as many questions here as otherwise many do, and answers begin soon, before a slow model's first
/// token.
const LIMITS: &str = "\n[limits]\nchats_per_minute = 6000\nburst = 3000\nheaders_seconds = 1\n";

/// A running deployment; ended when dropped.
#[derive(Debug)]
pub(super) struct TestDeployment {
    laptop: Member,
    scripted: Process,
    llamacpp: Process,
    ollama: Option<Process>,
    deployment: Deployment,
    pub(super) installed: Installed,
    /// The program of the Ollama that is there.
    pub(super) program: Option<PathBuf>,
}

/// What the scripted backend says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replies {
    /// Under way.
    pub(super) open: u64,
    /// That their callers left.
    pub(super) left: u64,
}

impl TestDeployment {
    /// Starts it, and waits until the laptop is a member.
    pub(super) fn start(
        installed: &Installed,
        model: &Path,
        program: Option<&Path>,
    ) -> Result<Self> {
        let step = Step::new("a house with a real and a scripted model");
        let mut deployment = Deployment::start_with_model(model, &[])?;
        let home = &deployment.home.machine;
        let mut python = home.command("python3");
        python.arg(installed.script("scripted.py")).arg(SCRIPTED.to_string());
        let scripted = ready(home, &mut python, "ready")?;
        let mut python = home.command("python3");
        python.arg(installed.script("llamacpp.py")).arg(model).arg(LLAMACPP.to_string());
        python.env("PYTHONPATH", installed.python());
        let llamacpp = ready(home, &mut python, "ready")?;
        let ollama = program.map(|program| ollama(&deployment, program, model)).transpose()?;
        append(&deployment.home.root.join("etc/maru/agent.toml"), DIALS)?;
        append(&deployment.home.root.join("etc/maru/gateway.toml"), LIMITS)?;
        fs::create_dir_all(deployment.state().join("tmp"))?;
        let settings = openclaw(&deployment);
        let text = fs::read_to_string(&settings)?;
        let text = text.replacen("providers: {\n", PROVIDERS, 1);
        ensure!(text.contains("scripted:"), "openclaw.json has unexpected contents");
        fs::write(settings, text)?;
        stop::check()?;
        // What was written holds from the next start on.
        let status = deployment.up.stop(STOP)?;
        ensure!(status.success(), "maru up did not stop cleanly ({status})");
        let url = format!("http://127.0.0.1:{OLLAMA}");
        let args = if ollama.is_some() { vec!["--ollama", &url] } else { vec![] };
        (deployment.up, _) = deployment.home.up(&args, |line| step.line(line), stop::check)?;
        let laptop = deployment.member("laptop", "alice")?;
        step.done("the house is up, and a laptop is a member");
        let (installed, program) = (installed.clone(), program.map(Path::to_owned));
        Ok(Self { laptop, scripted, llamacpp, ollama, deployment, installed, program })
    }

    /// A command on the laptop, told where the gateway is, and nothing of this machine's own settings.
    pub(super) fn on_laptop(&self, program: &Path) -> Result<Command> {
        let mut command = self.clean(&self.laptop.instance.machine, program);
        let address = SocketAddr::new(self.laptop.instance.gateway()?, 18789);
        command.env("MARU_URL", URL).env("MARU_ADDRESS", format!("http://{address}"));
        Ok(command)
    }

    /// The same at home, where the real Ollama is.
    pub(super) fn at_home(&self, program: &Path) -> Command {
        let mut command = self.clean(&self.deployment.home.machine, program);
        command.env("MARU_URL", format!("http://127.0.0.1:{OLLAMA}"));
        command
    }

    fn clean(&self, machine: &Machine, program: &Path) -> Command {
        self.installed.command(machine, program, &self.deployment.state().join("tmp"))
    }

    /// How many replies the scripted backend has under way.
    pub(super) fn replies(&self) -> Result<Replies> {
        let state = http::request(self.at(SCRIPTED)?, "GET", "/state", "localhost", &[], None)?;
        let state = state.json()?;
        let count =
            |name: &str| state[name].as_u64().with_context(|| format!("no {name}: {state}"));
        Ok(Replies { open: count("open")?, left: count("left")? })
    }

    /// A connection to a server at home.
    fn at(&self, port: u16) -> Result<TcpStream> {
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(self.deployment.home.machine.in_network(|| TcpStream::connect(to))?)
    }

    /// How many tokens of prompts llama.cpp's server has read.
    pub(super) fn tokens(&self) -> Result<Tokens> {
        let metrics = http::request(self.at(LLAMACPP)?, "GET", "/metrics", "localhost", &[], None)?;
        Tokens::of(&metrics.body()?)
    }

    /// The gateway's `openclaw.json`.
    pub(super) fn openclaw(&self) -> PathBuf {
        openclaw(&self.deployment)
    }

    /// What the laptop's person is answered in a session.
    pub(super) fn say(&self, session: &str, text: &str) -> Result<String> {
        let mut maru = self.laptop.instance.maru(&["chat", "--session", session, "--ask", text]);
        let out = maru.stdin(Stdio::null()).output()?;
        ensure!(out.status.success(), "maru chat: {}", String::from_utf8_lossy(&out.stderr).trim());
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// Waits for a state.
    pub(super) fn until(&self, what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        for _ in 0..LOOKS {
            if is_so()? {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        anyhow::bail!("not so after half a minute: {what}")
    }

    /// Waits until no reply is under way, which is when every caller that left was noticed.
    pub(super) fn quiet(&self) -> Result<Replies> {
        self.until("the reply to a disconnected client is cancelled", || {
            Ok(self.replies()?.open == 0)
        })?;
        self.replies()
    }

    /// Ends it in order.
    pub(super) fn stop(mut self) -> Result<()> {
        let _ = self.laptop.agent.stop(STOP)?;
        if let Some(ollama) = &mut self.ollama {
            let _ = ollama.stop(STOP)?;
        }
        let _ = self.scripted.stop(STOP)?;
        let _ = self.llamacpp.stop(STOP)?;
        Ok(())
    }
}

/// The settings of a deployment's gateway.
fn openclaw(deployment: &Deployment) -> PathBuf {
    deployment.home.root.join("var/lib/maru/gateway/config/openclaw.json")
}

/// `ollama serve` at home, with the small model.
fn ollama(deployment: &Deployment, program: &Path, model: &Path) -> Result<Process> {
    let home = &deployment.home.machine;
    let folder = deployment.state().join("ollama");
    fs::create_dir_all(&folder)?;
    let file = folder.join("Modelfile");
    fs::write(&file, format!("FROM {}\nPARAMETER num_ctx 2048\n", model.display()))?;
    let command = |args: &[&str]| {
        let mut command = home.command(program);
        command.args(args).stdin(Stdio::null()).env("HOME", &folder);
        command.env("OLLAMA_MODELS", folder.join("models")).env("OLLAMA_NO_CLOUD", "1");
        command.env("OLLAMA_HOST", format!("127.0.0.1:{OLLAMA}"));
        command
    };
    let serve = ready(home, &mut command(&["serve"]), "Listening on")?;
    let out = command(&["create", MODEL, "-f", &file.display().to_string()]).output()?;
    ensure!(out.status.success(), "ollama create: {}", String::from_utf8_lossy(&out.stderr));
    Ok(serve)
}

/// Starts a server and waits until a line that it prints holds `word`.
fn ready(machine: &Machine, command: &mut Command, word: &str) -> Result<Process> {
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let process = machine.spawn(command)?;
    // The command holds the pipe's writing end as well; it must be dropped for the reader to end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut lines = BufReader::new(reader).lines();
    let found = lines.by_ref().map_while(Result::ok).any(|line| line.contains(word));
    ensure!(found, "{} ended before it was ready", command.get_program().display());
    // Reading goes on so that the writer never blocks.
    thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Ok(process)
}

fn append(path: &Path, text: &str) -> Result<()> {
    let before = fs::read_to_string(path).with_context(|| format!("no {}", path.display()))?;
    Ok(fs::write(path, before + text)?)
}

/// Reads a JSON file.
pub(super) fn json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("no {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}
