//! The required packages of Debian, and the reason for each.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{progress::Step, stop};

/// A package, a path in it, and why Maru needs it.
type Package = (&'static str, &'static str, &'static str);

/// Packages for compiling everything but the engine, and for fetching tools.
const BUILD: &[Package] = &[
    ("build-essential", "/usr/bin/cc", "to link, and to compile what is written in C"),
    ("python3-pip", "/usr/bin/pip3", "to fetch tools and the small model"),
];

/// Further packages for compiling the engine.
const ENGINE: &[Package] = &[
    ("clang", "/usr/bin/clang", "to bind the engine (llama.cpp)"),
    ("cmake", "/usr/bin/cmake", "to compile the engine (llama.cpp)"),
    ("libclang-dev", "/usr/lib/llvm-14/lib/libclang.so", "to bind the engine (llama.cpp)"),
];

/// Further packages for compiling for arm64, and for trying it.
const ARM64: &[Package] = &[
    ("g++-aarch64-linux-gnu", "/usr/bin/aarch64-linux-gnu-g++", "to compile C++ for arm64"),
    (
        "gcc-aarch64-linux-gnu",
        "/usr/bin/aarch64-linux-gnu-gcc",
        "to compile C and to link for arm64",
    ),
    ("qemu-user-static", "/usr/bin/qemu-aarch64-static", "to try programs for arm64"),
];

const SWTPM: Package = ("swtpm", "/usr/bin/swtpm", "to stand in for a machine's TPM");

/// Further packages for running Maru.
const RUN: &[Package] = &[
    ("iproute2", "/usr/sbin/ip", "to cable the lab's machines"),
    ("nftables", "/usr/sbin/nft", "to keep strangers from posing as members"),
    ("podman", "/usr/bin/podman", "to hold gateway, messenger and engine in containers"),
    ("runc", "/usr/sbin/runc", "to run containers where crun cannot"),
    SWTPM,
    ("util-linux", "/usr/bin/nsenter", "to make the lab's machines"),
];

/// Further packages for tests and benches.
const TEST: &[Package] = &[
    ("chromium", "/usr/bin/chromium", "to test pages in a real browser"),
    ("curl", "/usr/bin/curl", "to ask the confidential chain's servers"),
    ("dbus-daemon", "/usr/bin/dbus-daemon", "to test names with systemd-resolved"),
    ("iperf3", "/usr/bin/iperf3", "to measure tunnels"),
    ("iputils-ping", "/usr/bin/ping", "to test tunnels"),
    ("miniupnpd-nftables", "/usr/sbin/miniupnpd", "to test the agent behind a real router"),
    ("nginx-light", "/usr/sbin/nginx", "to test the coordinator behind a reverse proxy"),
    ("postgresql", "/usr/lib/postgresql/15/bin/initdb", "to test the store on PostgreSQL"),
    ("prometheus", "/usr/bin/promtool", "to test the alert rules"),
    ("systemd", "/usr/bin/systemd-analyze", "to look for mistakes in the units"),
    ("tcpdump", "/usr/bin/tcpdump", "to look at what is on the wire"),
    ("tpm2-tools", "/usr/bin/tpm2_checkquote", "to check a TPM's quotes by another program"),
    ("wireguard-tools", "/usr/bin/wg", "to test devices that have only WireGuard"),
];

/// Further packages for measuring tunnels.
const TUNNELS: &[Package] = &[
    ("iperf3", "/usr/bin/iperf3", "to measure tunnels"),
    ("iproute2", "/usr/sbin/ip", "to cable the lab's machines"),
    ("nftables", "/usr/sbin/nft", "to keep strangers from posing as members"),
    ("util-linux", "/usr/bin/nsenter", "to make the lab's machines"),
];

/// Further packages for emulating a machine with another kernel.
const EMULATE: &[Package] = &[
    ("iproute2", "/usr/sbin/ip", "to cable the lab's machines"),
    ("nftables", "/usr/sbin/nft", "to keep strangers from posing as members"),
    ("qemu-system-x86", "/usr/bin/qemu-system-x86_64", "to emulate a machine"),
    ("util-linux", "/usr/bin/nsenter", "to make the lab's machines"),
];

/// Further packages for emulating a machine that runs Debian.
const DEBIAN: &[Package] = &[
    ("debootstrap", "/usr/sbin/debootstrap", "to make the emulated machine's disk"),
    ("e2fsprogs", "/usr/sbin/mke2fs", "to make the emulated machine's disk"),
    ("qemu-system-x86", "/usr/bin/qemu-system-x86_64", "to emulate a machine"),
    ("qemu-utils", "/usr/bin/qemu-img", "to keep the emulated machine's disk as it was"),
    SWTPM,
    ("util-linux", "/usr/bin/setpriv", "to end the machine with this program"),
];

const APT: &str = "/usr/bin/apt-get";

/// Gateways to compare with.
const COMPARE: &[Package] = &[("nginx-light", "/usr/sbin/nginx", "to compare our gateway with")];

/// Installs the gateways to compare with.
pub(crate) fn for_comparing() -> Result<()> {
    install(COMPARE)
}

/// Installs the packages for measuring tunnels.
pub(crate) fn for_tunnels() -> Result<()> {
    install(&[BUILD, TUNNELS].concat())
}

/// Installs the packages for emulating a machine.
pub(crate) fn for_emulating() -> Result<()> {
    install(&[BUILD, EMULATE].concat())
}

/// Installs the packages for building Maru and emulating a machine that runs Debian.
pub(crate) fn for_virtual_machines() -> Result<()> {
    install(&[BUILD, ENGINE, DEBIAN].concat())
}

/// Installs the packages for static checks.
pub(crate) fn for_checking() -> Result<()> {
    install(BUILD)
}

/// Installs the packages for compiling Maru.
pub(crate) fn for_compiling() -> Result<()> {
    install(&[BUILD, ENGINE].concat())
}

/// Installs what compiles for arm64.
pub(crate) fn for_arm64() -> Result<()> {
    install(ARM64)
}

/// Installs the packages for running Maru.
pub(crate) fn for_running() -> Result<()> {
    install(&[BUILD, ENGINE, RUN].concat())
}

/// Installs the packages for testing Maru.
pub(crate) fn for_testing() -> Result<()> {
    install(&[BUILD, ENGINE, RUN, TEST].concat())
}

/// Names of the missing packages for compiling the engine.
pub(crate) fn missing_for_the_engine() -> Vec<&'static str> {
    let missing = ENGINE.iter().filter(|(name, path, _)| !present(name, path));
    missing.map(|(name, ..)| *name).collect()
}

fn install(wanted: &[Package]) -> Result<()> {
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
    let done = apt(&["update"], &step).and_then(|()| {
        apt(&[&["install", "--yes", "--no-install-recommends"], names.as_slice()].concat(), &step)
    });
    done.with_context(|| format!("install {} by hand, then run this again", names.join(" ")))?;
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

/// Runs apt-get. Its status comes by a descriptor of its own: apt keeps the one that it writes to from its children,
/// and packages whose scripts have no standard output cannot be configured (`tpm-udev` is one).
fn apt(args: &[&str], step: &Step) -> Result<()> {
    stop::check()?;
    ensure!(
        std::path::Path::new(APT).exists(),
        "no apt-get: Maru's automation installs from Debian's packages"
    );
    let mut child = Command::new("sh")
        .args(["-c", "exec \"$0\" \"$@\" 3>&1 >/dev/null", APT])
        .args(["--quiet=2", "--option=APT::Status-Fd=3", "--option=Dpkg::Use-Pty=0"])
        // A new machine brings its lists up to date by itself meanwhile, and a mirror may be away for a moment.
        .args(["--option=DPkg::Lock::Timeout=300", "--option=Acquire::Retries=3"])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("sh does not start")?;
    let mut stderr = child.stderr.take().context("no pipe")?;
    let errors = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    let stdout = child.stdout.take().context("no pipe")?;
    for line in BufReader::new(stdout).lines() {
        if let Some((percent, what)) = status(&line?) {
            step.at(percent as f64 / 100.0, &what);
        }
    }
    if !child.wait()?.success() {
        let errors = errors.join().ok().and_then(Result::ok).unwrap_or_default();
        bail!("apt-get {} failed: {}", args.join(" "), errors.trim());
    }
    Ok(())
}

/// Reads a line of apt's status (README.progress-reporting in its documentation), such as
/// `pmstatus:runc:40.0000:Unpacking runc (amd64)`: percent of all, and what is done.
///
/// Downloading is the first half, installing the second.
fn status(line: &str) -> Option<(u64, String)> {
    let mut fields = line.splitn(4, ':');
    let half = match fields.next()? {
        "dlstatus" => 0,
        "pmstatus" => 50,
        _ => return None,
    };
    let percent = fields.nth(1)?.split('.').next()?.parse::<u64>().ok()?;
    Some((half + percent.min(100) / 2, fields.next()?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_apts_status() {
        let line = "pmstatus:runc:40.0000:Unpacking runc (amd64)";
        assert_eq!(status(line), Some((70, "Unpacking runc (amd64)".to_owned())));
        let line = "dlstatus:1:20.5:Retrieving file 1 of 7";
        assert_eq!(status(line), Some((10, "Retrieving file 1 of 7".to_owned())));
        assert_eq!(status("Setting up runc ..."), None);
        assert_eq!(status("pmstatus:runc:many:x"), None);
    }
}
