//! What Debian has to bring, and what for.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{progress::Step, stop};

/// Package, a path that it brings, and what Maru needs it for.
const RUN: &[(&str, &str, &str)] = &[
    ("build-essential", "/usr/bin/cc", "to link and to compile the engine"),
    ("clang", "/usr/bin/clang", "to bind the engine (llama.cpp)"),
    ("cmake", "/usr/bin/cmake", "to compile the engine (llama.cpp)"),
    ("iproute2", "/usr/sbin/ip", "to cable the lab's machines"),
    ("libclang-dev", "/usr/lib/llvm-14/lib/libclang.so", "to bind the engine (llama.cpp)"),
    ("nftables", "/usr/sbin/nft", "to keep strangers from posing as members"),
    ("podman", "/usr/bin/podman", "to hold gateway, messenger and engine in containers"),
    ("python3-pip", "/usr/bin/pip3", "to fetch the small model"),
    ("runc", "/usr/sbin/runc", "to run containers where crun cannot"),
    ("util-linux", "/usr/bin/nsenter", "to make the lab's machines"),
];

/// What only tests and benches need.
const TEST: &[(&str, &str, &str)] = &[
    ("iperf3", "/usr/bin/iperf3", "to measure tunnels"),
    ("iputils-ping", "/usr/bin/ping", "to test tunnels"),
    ("postgresql", "/usr/lib/postgresql/15/bin/initdb", "to test the store on PostgreSQL"),
    ("tcpdump", "/usr/bin/tcpdump", "to look at what is on the wire"),
];

/// Installs what running Maru needs.
pub(crate) fn for_running() -> Result<()> {
    install(RUN)
}

/// Installs what testing Maru needs besides.
pub(crate) fn for_testing() -> Result<()> {
    install(RUN)?;
    install(TEST)
}

fn install(wanted: &[(&str, &str, &str)]) -> Result<()> {
    let missing: Vec<_> = wanted.iter().filter(|(name, path, _)| !present(name, path)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for (name, _, why) in &missing {
        eprintln!("missing: {name}, {why}");
    }
    let names: Vec<&str> = missing.iter().map(|(name, _, _)| *name).collect();
    ensure!(
        rustix::process::geteuid().is_root(),
        "not root: run `sudo apt-get install {}`, then this again",
        names.join(" ")
    );
    let step = Step::new(&format!("installing {} from Debian's packages", names.join(", ")));
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], names.as_slice()].concat())?;
    step.done("packages installed");
    Ok(())
}

/// By its file, or, where another Debian puts that elsewhere, by the package database.
fn present(name: &str, path: &str) -> bool {
    if std::path::Path::new(path).exists() {
        return true;
    }
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", name])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|out| out.stdout == b"installed")
}

fn apt(args: &[&str]) -> Result<()> {
    stop::check()?;
    let out = Command::new("apt-get")
        .arg("--quiet=2")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .context("no apt-get: Maru's automation installs from Debian's packages")?;
    if !out.status.success() {
        bail!("apt-get {} failed: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}
