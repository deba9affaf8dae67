//! Programs of others that speak WireGuard, told by a socket what to do (wireguard.com/xplatform).
//!
//! `cargo xtask` builds wireguard-go and names the program in `MARU_STOCK_WIREGUARD`.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{Machine, Process, instance::now};

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
    let program = std::env::var_os(PROGRAM)
        .with_context(|| format!("{PROGRAM} is not set: `cargo xtask test` sets it"))?;
    let mut command = machine.command(program);
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

fn connect(machine: &Machine, interface: &str) -> std::io::Result<UnixStream> {
    UnixStream::connect(machine.path(&format!("/run/wireguard/{interface}.sock")))
}
