//! A service as a Quadlet: `podman/maru-….container`, for an installed appliance.
//!
//! The images are in archives, which the package brings. A Quadlet of the kind `.image` copies each into Podman's storage before
//! its containers start, at each start of the target: an update needs nothing else, and neither does a storage that was emptied.
//!
//! The model of the engines is chosen later: their Quadlets take it from a file of [`variables`], which `maru prepare` writes
//! before they start. systemd replaces the variables in the command line (`systemd.service(5)`, command lines).

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use crate::{
    engine::{EngineOptions, OPTIONS, THREADS},
    entry::{Kind, Memory, Service},
    podman::{self, Limits, Model, Settings},
    rows::{GATEWAY_KEY, MODELS, RESTORING, SERVICES},
    seccomp,
    systemd::{GENERATED, LOG_LIMIT, PART_OF_TARGET, PREPARED, UPGRADE},
};

/// Limit of open files in a unit.
const OPEN_FILES: u64 = 8192;

/// Variable with the model's name in the folder of models.
const MODEL: &str = "MARU_MODEL";
/// Variable with the most memory of an engine, in MiB.
const MEMORY: &str = "MARU_MEMORY_MIB";

/// Folder of the images' archives, below the root.
pub const IMAGES: &str = "usr/lib/maru/images";

/// The programs that run in containers; each has an image of the same name.
#[must_use]
pub fn programs() -> BTreeSet<&'static str> {
    containers().map(|service| service.binary).collect()
}

/// The name of the image with the program `binary`.
#[must_use]
pub fn image_name(binary: &str) -> String {
    format!("localhost/{binary}:latest")
}

/// The archive of the image with the program `binary`, below the root.
#[must_use]
pub fn archive(binary: &str) -> String {
    format!("{IMAGES}/{binary}.tar")
}

/// Name and text of every Quadlet, and of the profile that they name.
#[must_use]
pub fn files() -> Vec<(String, String)> {
    let images = programs().into_iter().map(|binary| (format!("{binary}.image"), image(binary)));
    let containers =
        containers().map(|service| (format!("{}.container", service.unit()), quadlet(service)));
    let profile = (seccomp::FILE.to_owned(), seccomp::profile());
    images.chain(containers).chain([profile]).collect()
}

fn containers() -> impl Iterator<Item = &'static Service> {
    SERVICES.iter().filter(|service| service.kind == Kind::Container)
}

fn image(binary: &str) -> String {
    format!(
        "{GENERATED}\n\
         [Unit]\nDescription=The image of {binary}, from its archive\n{PART_OF_TARGET}After={UPGRADE}\n\n\
         [Image]\nImage=oci-archive:/{}\nImageTag={}\n",
        archive(binary),
        image_name(binary),
    )
}

/// The file of variables of a service that takes a model, below the root.
#[must_use]
pub fn variables_file(service: &Service) -> Option<String> {
    match service.memory {
        Memory::Model(_) => Some(format!("run/maru/{}.env", service.name)),
        Memory::Mib(_) => None,
    }
}

/// The text of a file of variables, as systemd reads it (`EnvironmentFile=` in `systemd.exec(5)`). `name` is the model's in the
/// folder of models, of letters, digits, dots, hyphens and underscores; it has `bytes`.
#[must_use]
pub fn variables(service: &Service, name: &str, bytes: u64, engine: &EngineOptions) -> String {
    let memory = service.memory.mib(Some((bytes, engine)));
    let (threads, options) = (engine.threads, engine.arguments(service.is_spare()).join(" "));
    format!("{MODEL}={name}\n{THREADS}={threads}\n{MEMORY}={memory}\n{OPTIONS}={options}\n")
}

fn quadlet(service: &Service) -> String {
    let variables = variables_file(service);
    let settings = Settings {
        root: PathBuf::from("/"),
        image: format!("{}.image", service.binary),
        seccomp: Path::new("/").join(seccomp::INSTALLED),
        // The limit of memory, which its size gives, is a variable, too.
        model: variables
            .is_some()
            .then(|| Model { path: PathBuf::from(format!("/{MODELS}/${{{MODEL}}}")), size: 0 }),
        engine: None,
        limits: Limits::full(OPEN_FILES),
    };
    let mut out = format!(
        "{GENERATED}\n\
         [Unit]\nDescription={}\n{PART_OF_TARGET}{PREPARED}ConditionPathExists=!/{RESTORING}\n",
        service.description,
    );
    if let Some(file) = &variables {
        let _ = writeln!(out, "ConditionPathExists=/{file}");
    }
    let _ = write!(
        out,
        "StartLimitIntervalSec=0\n\n[Container]\nContainerName={}\nImage={}\n",
        service.unit(),
        settings.image,
    );
    out.push_str("Pull=never\nLogDriver=journald\n");
    let _ = writeln!(out, "{}", key(podman::STOP));
    for arg in podman::isolation(service, &settings) {
        let arg = match (service.memory, arg.split_once('=')) {
            (Memory::Model(_), Some((name @ ("--memory" | "--memory-swap"), _))) => {
                format!("{name}=${{{MEMORY}}}m")
            }
            (Memory::Model(_) | Memory::Mib(_), _) => arg,
        };
        let _ = writeln!(out, "{}", key(&arg));
    }
    for volume in podman::volumes(service, &settings) {
        let _ = writeln!(out, "Volume={volume}");
    }
    let command = podman::run(service, &settings);
    if let Some(at) = command.iter().position(|arg| *arg == settings.image)
        && at + 1 < command.len()
    {
        let _ = writeln!(out, "Exec={}", command[at + 1..].join(" "));
    }
    out.push_str("\n[Service]\n");
    if let Some(file) = &variables {
        let _ = writeln!(out, "EnvironmentFile=/{file}");
    }
    if service.mounts.iter().any(|mount| mount.path == GATEWAY_KEY) {
        out.push_str("ExecStartPre=/usr/bin/maru passphrase unlock\n");
    }
    out.push_str("Restart=always\nRestartSec=1\nLimitCORE=0\n");
    out.push_str(LOG_LIMIT);
    out
}

/// An argument of `podman run` as a Quadlet's key, if there is one for it.
fn key(arg: &str) -> String {
    match arg.split_once('=').unwrap_or((arg, "")) {
        ("--network", network) => format!("Network={network}"),
        ("--cap-drop", _) => "DropCapability=all".to_owned(),
        ("--security-opt", "no-new-privileges") => "NoNewPrivileges=true".to_owned(),
        ("--security-opt", option) => match option.split_once('=') {
            Some(("seccomp", profile)) => format!("SeccompProfile={profile}"),
            Some(_) | None => format!("PodmanArgs={arg}"),
        },
        ("--read-only", _) => "ReadOnly=true".to_owned(),
        ("--read-only-tmpfs", value) => format!("ReadOnlyTmpfs={value}"),
        ("--user", user) => match user.split_once(':') {
            Some((user, group)) => format!("User={user}\nGroup={group}"),
            None => format!("User={user}"),
        },
        _ => format!("PodmanArgs={arg}"),
    }
}
