//! A service as a container: the arguments of `podman run`.

use std::path::{Path, PathBuf};

use crate::{
    engine::{EngineOptions, OPTIONS, THREADS},
    entry::{Arg, Service},
    instance::Instance,
    link::Link,
    mount::Access,
    rows::MODELS,
};

/// Most open files of a container.
const OPEN_FILES: u64 = 8192;

/// A container that has not stopped after these seconds is killed.
pub(crate) const STOP: &str = "--stop-timeout=5";

/// Settings of one machine and instance, beside the table.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The instance's root.
    pub root: PathBuf,
    /// Image to run.
    pub image: String,
    /// The model, if the service takes one.
    pub model: Option<Model>,
    /// The profile of system calls ([`seccomp`](crate::seccomp)).
    pub seccomp: PathBuf,
    /// Options of an engine; [`None`] in a Quadlet, which has variables for them.
    pub engine: Option<EngineOptions>,
    /// Limits that this host enforces.
    pub limits: Limits,
}

/// A model's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its path on the host, without symbolic links.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// The limits that a host enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `--memory`.
    pub memory: bool,
    /// `--memory-swap`: no memory of a container goes to swap.
    pub swap: bool,
    /// `--pids-limit`.
    pub pids: bool,
    /// Whether control groups can be used at all.
    pub cgroups: bool,
    /// The most open files that `maru up` itself may have (`RLIMIT_NOFILE`, hard).
    pub open_files: u64,
}

impl Limits {
    /// All limits.
    #[must_use]
    pub fn full(open_files: u64) -> Self {
        Self { memory: true, swap: true, pids: true, cgroups: true, open_files }
    }
}

/// Isolation of every container, required on every host.
pub const ISOLATION: &[&str] = &[
    "--network=none",
    "--ipc=none",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--read-only",
    "--read-only-tmpfs=false",
    "--systemd=false",
    "--no-hosts",
    "--http-proxy=false",
];

/// Arguments after `podman … run` that run `service`.
#[must_use]
pub fn run(service: &Service, settings: &Settings) -> Vec<String> {
    let name = Instance::of(&settings.root).container(service.name);
    let mut args = vec![
        "--rm".to_owned(),
        "--pull=never".to_owned(),
        format!("--name={name}"),
        format!("--hostname={}", service.name),
        "--log-driver=none".to_owned(),
        STOP.to_owned(),
        // Logs go to files, not to a terminal.
        "--env=NO_COLOR=1".to_owned(),
    ];
    args.extend(isolation(service, settings));
    for volume in volumes(service, settings) {
        args.push(format!("--volume={volume}"));
    }
    args.push(settings.image.clone());
    args.extend(command(service, settings));
    args
}

/// Isolation and limits of `service`.
#[must_use]
pub fn isolation(service: &Service, settings: &Settings) -> Vec<String> {
    let limits = settings.limits;
    let mut args: Vec<String> = ISOLATION.iter().map(|&arg| arg.to_owned()).collect();
    args.push(format!("--security-opt=seccomp={}", settings.seccomp.display()));
    args.push(format!("--user={}:{}", service.uid, service.gid));
    let size = settings.model.as_ref().map(|model| model.size);
    let memory = service.memory.mib(size.zip(settings.engine.as_ref()));
    if limits.memory {
        args.push(format!("--memory={memory}m"));
    }
    if limits.memory && limits.swap {
        args.push(format!("--memory-swap={memory}m"));
    }
    if limits.pids {
        args.push(format!("--pids-limit={}", service.pids));
    }
    if !limits.cgroups {
        args.push("--cgroups=disabled".to_owned());
    }
    // Podman's own defaults are above what some hosts let anyone raise.
    let files = OPEN_FILES.min(limits.open_files);
    args.extend([
        "--ulimit=core=0:0".to_owned(),
        format!("--ulimit=fsize={0}:{0}", service.disk_mib << 20),
        format!("--ulimit=nofile={files}:{files}"),
        format!("--ulimit=nproc={0}:{0}", service.pids * 2),
    ]);
    args
}

/// The volumes of `service`, as `HOST:INSIDE:OPTIONS`.
#[must_use]
pub fn volumes(service: &Service, settings: &Settings) -> Vec<String> {
    let below = |path: &str| format!("{}", settings.root.join(path).display());
    let mut volumes = Vec::new();
    for (links, options) in [(service.listens, "rw"), (service.calls, "ro")] {
        for path in links.iter().map(Link::directory) {
            volumes.push(format!("{}:/{path}:{options}", below(&path)));
        }
    }
    for mount in service.mounts {
        let options = match mount.access {
            Access::Read => "ro",
            Access::Write => "rw",
            Access::Inherited => continue,
        };
        match &settings.model {
            Some(model) if mount.path == MODELS => {
                let (host, inside) = model_mount(&settings.root, model);
                volumes.push(format!("{}:{inside}:ro", host.display()));
            }
            Some(_) | None => {
                volumes.push(format!("{}:/{}:{options}", below(mount.path), mount.path));
            }
        }
    }
    volumes
}

/// The folder of models if the model is in it, else the model's file alone.
fn model_mount(root: &Path, model: &Model) -> (PathBuf, String) {
    let folder = root.join(MODELS);
    if model.path.starts_with(&folder) {
        (folder, format!("/{MODELS}"))
    } else {
        (model.path.clone(), inside(root, model))
    }
}

/// Where the container finds the model.
fn inside(root: &Path, model: &Model) -> String {
    match model.path.strip_prefix(root.join(MODELS)) {
        Ok(below) => format!("/{MODELS}/{}", below.display()),
        Err(_) => {
            let name = model.path.file_name().unwrap_or_default();
            format!("/{MODELS}/{}", Path::new(name).display())
        }
    }
}

fn command(service: &Service, settings: &Settings) -> Vec<String> {
    let arg = |arg: &Arg| match *arg {
        Arg::Text(text) => vec![text.to_owned()],
        // Where the container finds it.
        Arg::Socket => {
            vec![service.socket(Path::new("/")).unwrap_or_default().display().to_string()]
        }
        Arg::Threads => vec![match &settings.engine {
            Some(engine) => engine.threads.to_string(),
            None => format!("${{{THREADS}}}"),
        }],
        Arg::Options => match &settings.engine {
            Some(engine) => engine.arguments(service.is_spare()),
            // systemd takes none, one or several words from it.
            None => vec![format!("${OPTIONS}")],
        },
        Arg::Model => vec![settings.model.as_ref().map_or_else(
            || format!("/{MODELS}/model.gguf"),
            |model| inside(&settings.root, model),
        )],
    };
    service.args.iter().flat_map(arg).collect()
}

/// The image's recipe for `binary`.
#[must_use]
pub fn containerfile(binary: &str) -> String {
    format!(
        "# {binary} and nothing else: it is static.\n\
         FROM scratch\nCOPY {binary} /{binary}\nENTRYPOINT [\"/{binary}\"]\n"
    )
}
