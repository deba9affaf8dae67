//! A service as a Quadlet: `podman/maru-….container`, for an installed appliance.

use std::{fmt::Write as _, path::PathBuf};

use crate::{
    entry::{Kind, Service},
    podman::{self, Limits, Settings},
    rows::{GATEWAY_KEY, RESTORING, SERVICES},
};

/// Limit of open files in a unit.
const OPEN_FILES: u64 = 8192;

/// Threads that an installed engine takes unless its unit is changed.
const THREADS: u16 = 4;

/// Name and text of every Quadlet and Containerfile.
#[must_use]
pub fn files() -> Vec<(String, String)> {
    let containers = || SERVICES.iter().filter(|service| service.kind == Kind::Container);
    let mut files: Vec<_> = containers()
        .map(|service| (format!("{}.container", service.unit()), quadlet(service)))
        .collect();
    for service in containers() {
        let name = format!("{}.Containerfile", service.binary);
        if files.iter().all(|file| file.0 != name) {
            files.push((name, podman::containerfile(service.binary)));
        }
    }
    files
}

fn quadlet(service: &Service) -> String {
    let settings = Settings {
        root: PathBuf::from("/"),
        image: format!("localhost/{}:latest", service.binary),
        model: None,
        threads: THREADS,
        limits: Limits::full(OPEN_FILES),
    };
    let mut out = format!(
        "# Generated from the service table by `cargo run --release -p cli --example units`.\n\
         [Unit]\nDescription={}\nConditionPathExists=!/{RESTORING}\n\
         StartLimitIntervalSec=0\n\n[Container]\nContainerName={}\nImage={}\n",
        service.description,
        service.unit(),
        settings.image,
    );
    out.push_str("Pull=never\nLogDriver=journald\n");
    for arg in podman::isolation(service, &settings) {
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
    if service.mounts.iter().any(|mount| mount.path == GATEWAY_KEY) {
        out.push_str("ExecStartPre=/usr/bin/maru passphrase unlock\n");
    }
    out.push_str(
        "Restart=always\nRestartSec=1\nLimitCORE=0\n\n[Install]\nWantedBy=multi-user.target\n",
    );
    out
}

/// An argument of `podman run` as a Quadlet's key, if there is one for it.
fn key(arg: &str) -> String {
    match arg.split_once('=').unwrap_or((arg, "")) {
        ("--network", network) => format!("Network={network}"),
        ("--cap-drop", _) => "DropCapability=all".to_owned(),
        ("--security-opt", "no-new-privileges") => "NoNewPrivileges=true".to_owned(),
        ("--read-only", _) => "ReadOnly=true".to_owned(),
        ("--read-only-tmpfs", value) => format!("ReadOnlyTmpfs={value}"),
        ("--user", user) => match user.split_once(':') {
            Some((user, group)) => format!("User={user}\nGroup={group}"),
            None => format!("User={user}"),
        },
        _ => format!("PodmanArgs={arg}"),
    }
}
