//! Who stands between the callers and the model server.

use std::{fmt, fs, path::Path, process::Command, time::Instant};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::{
    load::{Load, PORT},
    place::ListenAddress,
};
use crate::{
    bench::{
        numbers::round,
        process::{Running, done},
    },
    packages, workspace,
};

/// A way to the model server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// The server itself
    Direct,
    /// nginx, which only passes on
    Nginx,
    /// Our gateway
    Maru,
    /// Our gateway, under the seal
    Sealed,
    /// LiteLLM's proxy (PyPI); only if named
    Litellm,
    /// Portkey's gateway (npm); only if named
    Portkey,
}

/// How much a peer is asked at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Thousands in a second.
    Large,
    /// What an interpreted program takes in some seconds.
    Small,
}

/// A peer that runs.
#[derive(Debug)]
pub(in crate::bench) struct Peer {
    pub(super) kind: Kind,
    pub(super) size: Size,
    pub(super) place: ListenAddress,
    /// What its callers say besides.
    pub(super) headers: Vec<String>,
    pub(super) version: String,
    /// From its start until it answered, in seconds.
    start_s: Option<f64>,
    idle_kib: Option<u64>,
    running: Option<Running>,
}

impl Kind {
    /// The server itself, which all are compared with, and those named; without a name, all that need no download.
    pub(super) fn chosen(named: &[Self]) -> Vec<Self> {
        let mut chosen = match named {
            [] => vec![Self::Nginx, Self::Maru, Self::Sealed],
            named => named.to_vec(),
        };
        chosen.push(Self::Direct);
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Maru => "maru",
            Self::Sealed => "maru, sealed",
            Self::Litellm => "LiteLLM",
            Self::Portkey => "Portkey",
        })
    }
}

impl Peer {
    /// Installs it if need be, and starts it.
    pub(super) fn start(kind: Kind, load: &Load) -> Result<Self> {
        let dir = load.dir.path().join(format!("{kind:?}").to_lowercase());
        fs::create_dir(&dir)?;
        let started = match kind {
            Kind::Direct => return Ok(Self::direct(load)),
            Kind::Nginx => nginx(&dir, load)?,
            Kind::Maru | Kind::Sealed => gateway(&dir, load)?,
            Kind::Litellm => litellm(&dir)?,
            Kind::Portkey => portkey()?,
        };
        Self::run(kind, started, &dir, load)
    }

    /// Our gateway under the seal. `prepare` gets its root before it starts.
    pub(in crate::bench) fn sealed(
        name: &str,
        load: &Load,
        prepare: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let dir = load.dir.path().join(name);
        fs::create_dir(&dir)?;
        let started = gateway(&dir, load)?;
        prepare(&dir)?;
        Self::run(Kind::Sealed, started, &dir, load)
    }

    /// Another program that listens at a port of 127.0.0.1, and asks for these headers.
    pub(in crate::bench) fn other(
        command: Command,
        (port, headers, version): (u16, Vec<String>, String),
        dir: &Path,
        load: &Load,
    ) -> Result<Self> {
        let (place, size) = (ListenAddress::port(port), Size::Small);
        Self::run(Kind::Direct, Started { command, place, size, headers, version }, dir, load)
    }

    fn run(kind: Kind, started: Started, dir: &Path, load: &Load) -> Result<Self> {
        let Started { mut command, place, size, headers, version } = started;
        let begun = Instant::now();
        let log = dir.join("log");
        let running = Running::start(&mut command, &log)?;
        load.wait_for(&place, &log)?;
        let start_s = begun.elapsed().as_secs_f64();
        let idle_kib = Some(running.memory_kib("VmRSS")?);
        let start_s = Some(round(start_s, 3));
        Ok(Self { kind, size, place, headers, version, start_s, idle_kib, running: Some(running) })
    }

    fn direct(load: &Load) -> Self {
        Self {
            kind: Kind::Direct,
            size: Size::Large,
            place: load.place(),
            headers: Vec::new(),
            version: String::new(),
            start_s: None,
            idle_kib: None,
            running: None,
        }
    }

    /// What is known once it runs.
    pub(in crate::bench) fn start_figures(&self) -> Map<String, Value> {
        let mut figures = Map::new();
        figures.extend(self.start_s.map(|seconds| ("start_s".to_owned(), seconds.into())));
        figures.extend(self.idle_kib.map(|kib| ("idle_kib".to_owned(), kib.into())));
        figures
    }

    /// Processor time so far, in milliseconds; none of the server itself.
    pub(super) fn processor_ms(&self) -> Result<f64> {
        self.running.as_ref().map_or(Ok(f64::NAN), Running::processor_ms)
    }

    /// Its kind.
    pub(in crate::bench) fn kind(&self) -> Kind {
        self.kind
    }

    /// Memory now.
    pub(in crate::bench) fn resident_kib(&self) -> Result<Option<u64>> {
        self.running.as_ref().map(|running| running.memory_kib("VmRSS")).transpose()
    }

    /// Most memory so far.
    pub(super) fn peak_kib(&self) -> Result<Option<u64>> {
        self.running.as_ref().map(|running| running.memory_kib("VmHWM")).transpose()
    }
}

/// How a peer is started.
struct Started {
    command: Command,
    place: ListenAddress,
    size: Size,
    headers: Vec<String>,
    version: String,
}

/// The gateway, with limits that are not reached here.
fn gateway(dir: &Path, load: &Load) -> Result<Started> {
    const SETTINGS: &str = "agent_uid = 0
telmeet_uid = 0
[keys]
remembered = 1_000_000
remembered_per_device = 1_000_000
[limits]
chats_per_minute = 4_000_000_000
burst = 4_000_000_000
connections = 4000
[line]
slots = 2000
";
    let ids = ["fast", "paced"].map(|id| json!({ "id": id, "contextWindow": 8192 }));
    let models = json!({
        "models": { "providers": { "bench": {
            "baseUrl": "unix:///model.sock",
            "api": "openai-completions",
            "models": ids,
        } } },
        "agents": { "defaults": { "model": { "primary": "bench/fast" } } },
    });
    for (path, text) in [
        ("etc/maru/gateway.toml", SETTINGS),
        ("var/lib/maru/gateway/config/openclaw.json", &models.to_string()),
    ] {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        fs::write(path, text)?;
    }
    // No link is followed there; a second name of the same socket is none.
    fs::hard_link(load.dir.path().join("model.sock"), dir.join("model.sock"))?;
    let program = lab::binary("maru-gateway")?;
    let mut command = Command::new(&program);
    command.arg("--root").arg(dir);
    Ok(Started {
        command,
        place: ListenAddress::agent(dir.join("run/maru/gateway/http.sock")),
        size: Size::Large,
        headers: Vec::new(),
        version: first_line(Command::new(program).arg("--version"))?,
    })
}

/// nginx as a bare proxy that keeps its connections and holds nothing back.
fn nginx(dir: &Path, load: &Load) -> Result<Started> {
    packages::for_comparing()?;
    let (here, model) = (dir.display(), load.dir.path().join("model.sock"));
    let settings = format!(
        "user root; daemon off; worker_processes 1; worker_rlimit_nofile 8192;
pid {here}/pid; error_log {here}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {here}/body; proxy_temp_path {here}/proxy;
  fastcgi_temp_path {here}/fastcgi; uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;
  upstream model {{ server unix:{}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen unix:{here}/http.sock; keepalive_requests 1000000;
    location / {{
      proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off;
    }}
  }}
}}
",
        model.display()
    );
    let file = dir.join("nginx.conf");
    fs::write(&file, settings)?;
    let mut command = Command::new("nginx");
    command.arg("-e").arg(dir.join("error.log")).arg("-c").arg(file);
    Ok(Started {
        command,
        place: ListenAddress::unix(dir.join("http.sock")),
        size: Size::Large,
        headers: Vec::new(),
        version: first_line(Command::new("nginx").arg("-v"))?,
    })
}

/// LiteLLM's proxy, with one worker.
fn litellm(dir: &Path) -> Result<Started> {
    const VERSION: &str = "1.106.2";
    const OWN: u16 = 18_991;
    // Without a key that looks like one it does not start. This one opens nothing but this bench's.
    let key = format!("sk-{}", "0123456789abcdef".repeat(4));
    let place = workspace::target()?.join("peers/litellm");
    let program = place.join("bin/litellm");
    if !program.exists() {
        done(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
        let wanted = format!("litellm[proxy]=={VERSION}");
        done(Command::new(place.join("bin/pip")).args(["install", "--quiet", &wanted]))?;
    }
    let models = ["fast", "paced"].map(|id| {
        json!({ "model_name": id, "litellm_params": {
            "model": format!("openai/{id}"), "api_key": "none",
            "api_base": format!("http://127.0.0.1:{PORT}/v1"),
        } })
    });
    let settings = dir.join("config.yaml");
    // JSON is YAML.
    fs::write(&settings, json!({ "model_list": models }).to_string())?;
    let mut command = Command::new(program);
    command.args([
        "--host",
        "127.0.0.1",
        "--port",
        &OWN.to_string(),
        "--telemetry",
        "False",
        "--config",
    ]);
    command.arg(settings).env("LITELLM_LOCAL_MODEL_COST_MAP", "True").current_dir(dir);
    command.env("LITELLM_MASTER_KEY", &key);
    Ok(Started {
        command,
        place: ListenAddress::port(OWN),
        size: Size::Small,
        headers: vec![format!("Authorization: Bearer {key}")],
        version: VERSION.to_owned(),
    })
}

/// Portkey's gateway, told by headers where the model server is.
fn portkey() -> Result<Started> {
    const VERSION: &str = "1.15.2";
    const OWN: u16 = 18_992;
    let place = workspace::target()?.join("peers/portkey");
    let program = place.join("node_modules/@portkey-ai/gateway/build/start-server.js");
    if !program.exists() {
        fs::create_dir_all(&place)?;
        let wanted = format!("@portkey-ai/gateway@{VERSION}");
        done(
            Command::new("npm").args(["install", "--no-save", "--prefix"]).arg(&place).arg(wanted),
        )?;
    }
    let mut command = Command::new("node");
    command.arg(program).arg("--headless").arg(format!("--port={OWN}"));
    let headers = vec![
        "x-portkey-provider: openai".to_owned(),
        format!("x-portkey-custom-host: http://127.0.0.1:{PORT}/v1"),
        "Authorization: Bearer none".to_owned(),
    ];
    let version = VERSION.to_owned();
    Ok(Started { command, place: ListenAddress::port(OWN), size: Size::Small, headers, version })
}
/// What a program says first, wherever it says it.
fn first_line(command: &mut Command) -> Result<String> {
    let out =
        command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let text = [out.stdout, out.stderr].concat();
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}
