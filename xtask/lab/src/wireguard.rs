//! Programs of others that speak WireGuard: told by a socket what to do (wireguard.com/xplatform), or by a configuration
//! of `wg-quick(8)`, as people do it.
//!
//! `cargo xtask` builds wireguard-go and names the program in `MARU_STOCK_WIREGUARD`; `wg` and `wg-quick` are Debian's.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{Machine, Process, instance::now, resolvers};

/// Names wireguard-go.
pub const PROGRAM: &str = "MARU_STOCK_WIREGUARD";
/// How long a program may take to start, and to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const POLL: Duration = Duration::from_millis(20);

/// Starts wireguard-go on a machine; its interface is there, down and without address.
///
/// # Errors
///
/// It was not built, or does not start.
pub fn start(machine: &Machine, interface: &str) -> Result<Process> {
    let mut command = machine.command(program()?);
    // Otherwise it ends where the kernel knows WireGuard's name.
    command.env("WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD", "1");
    command.args(["-f", interface]).stdin(Stdio::null());
    let mut process = machine.spawn(&mut command)?;
    let deadline = now() + PATIENCE;
    while !is_there(machine, interface) {
        let ended = process.wait_for(POLL)?;
        ensure!(ended.is_none() && now() < deadline, "wireguard-go does not start ({ended:?})");
    }
    Ok(process)
}

/// Whether a program takes settings for this interface.
#[must_use]
pub fn is_there(machine: &Machine, interface: &str) -> bool {
    connect(machine, interface).is_ok()
}

/// Hands settings to the program that has this interface: lines of `key=value`.
///
/// # Errors
///
/// It has gone, or does not take them.
pub fn set(machine: &Machine, interface: &str, settings: &str) -> Result<()> {
    let mut socket = connect(machine, interface).context("its socket is gone")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(format!("set=1\n{}\n\n", settings.trim()).as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).context("its socket does not answer")?;
        answer.push(byte[0]);
    }
    let answer = String::from_utf8_lossy(&answer);
    ensure!(answer.trim() == "errno=0", "it does not take its settings: {}", answer.trim());
    Ok(())
}

/// A device that has only WireGuard: `wg-quick` sets it up, with wireguard-go where the kernel has no WireGuard.
#[derive(Debug)]
pub struct Device {
    /// The machine, whose resolver is openresolv.
    pub machine: Arc<Machine>,
}

impl Device {
    /// The interface, which `wg-quick` names like its file.
    pub const INTERFACE: &str = "wg0";

    /// Does on a machine what a configuration says; it needs a way to the peer already.
    ///
    /// # Errors
    ///
    /// The tools are not there, or the configuration is none.
    pub fn up(machine: &Arc<Machine>, configuration: &str) -> Result<Self> {
        resolvers::openresolv(machine)?;
        machine.sh("mkdir -p -m 700 /etc/wireguard")?;
        let device = Self { machine: Arc::clone(machine) };
        device.change(configuration)?;
        Ok(device)
    }

    /// Ends the tunnel, and sets it up by another configuration.
    ///
    /// # Errors
    ///
    /// The configuration is none.
    pub fn change(&self, configuration: &str) -> Result<()> {
        let file = format!("/etc/wireguard/{}.conf", Self::INTERFACE);
        let program = program()?;
        let mut command = self.machine.command("bash");
        // The configuration goes by standard input: a command line is no place for a private key.
        let script = format!(
            "ip link show {0} >/dev/null 2>&1 && wg-quick down {0}
            umask 077; cat > {file}; exec wg-quick up {0} 2>&1",
            Self::INTERFACE
        );
        command.args(["-c", &script]).env("WG_QUICK_USERSPACE_IMPLEMENTATION", program);
        command.env("WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("nsenter does not run")?;
        child.stdin.take().context("no pipe")?.write_all(configuration.as_bytes())?;
        let out = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        ensure!(out.status.success(), "wg-quick on {} failed: {said}", self.machine.name());
        Ok(())
    }

    /// When the last handshake with the only peer was, in seconds since 1970; nothing if there was none.
    ///
    /// # Errors
    ///
    /// There is no tunnel, or no peer.
    pub fn last_handshake(&self) -> Result<Option<u64>> {
        let text = self.machine.sh(&format!("wg show {} latest-handshakes", Self::INTERFACE))?;
        let seconds = text.split_whitespace().nth(1).context("wg names no peer")?;
        Ok(Some(seconds.parse()?).filter(|seconds| *seconds > 0))
    }
}

/// What names wireguard-go.
fn program() -> Result<std::ffi::OsString> {
    std::env::var_os(PROGRAM)
        .with_context(|| format!("{PROGRAM} is not set: `cargo xtask test` sets it"))
}

fn connect(machine: &Machine, interface: &str) -> std::io::Result<UnixStream> {
    UnixStream::connect(machine.path(&format!("/run/wireguard/{interface}.sock")))
}
