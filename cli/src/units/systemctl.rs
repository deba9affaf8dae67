//! `systemctl`, the only way by which systemd is asked for anything.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use anyhow::{Context as _, bail};
use messages::message;
pub(crate) use services::systemd::{PREPARE, TARGET, UPGRADE};
use tokio::process::Command;

/// Exists if systemd is this machine's first process (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";

/// Whether systemd is this machine's first process.
pub(crate) fn is_booted() -> bool {
    Path::new(BOOTED).exists()
}

/// Whether at least one of these units runs.
pub(crate) async fn is_any_active(units: &[String]) -> bool {
    let mut args = vec!["is-active", "--quiet"];
    args.extend(units.iter().map(String::as_str));
    is_booted() && output(&args).await.is_ok_and(|said| said.status.success())
}

/// Whether this unit is installed.
pub(crate) async fn is_installed(unit: &str) -> bool {
    output(&["cat", "--no-pager", unit]).await.is_ok_and(|said| said.status.success())
}

/// Starts the target now and at each boot.
pub(crate) async fn enable_now() -> anyhow::Result<()> {
    call(&["enable", "--now", TARGET]).await
}

/// Those of these units that run, or wait for their next start.
pub(crate) async fn active(units: &[String]) -> Vec<String> {
    let mut active = Vec::new();
    if is_booted() {
        for unit in units {
            let said = output(&["is-active", unit]).await.map(|said| said.stdout);
            if said.is_ok_and(|said| [b"active\n".as_slice(), b"activating\n"].contains(&&*said)) {
                active.push(unit.clone());
            }
        }
    }
    active
}

/// Has the target start at each boot.
pub(crate) async fn enable() -> anyhow::Result<()> {
    call(&["enable", TARGET]).await
}

/// Whether a unit starts at each boot.
pub(crate) async fn is_enabled(unit: &str) -> bool {
    let said = output(&["is-enabled", "--quiet", unit]).await;
    is_booted() && said.is_ok_and(|said| said.status.success())
}

/// Begins to start units; whoever needs them waits until they are ready.
pub(crate) async fn start(units: &[&str]) -> anyhow::Result<()> {
    call(&[&["start", "--no-block"], units].concat()).await
}

/// Stops units; a pattern means those that are loaded.
pub(crate) async fn stop(units: &[&str]) -> anyhow::Result<()> {
    call(&[&["stop"], units].concat()).await
}

/// Reads all unit files again.
pub(crate) async fn reload() -> anyhow::Result<()> {
    call(&["daemon-reload"]).await
}

/// Restarts a unit, or starts it.
pub(crate) async fn restart(unit: &str) -> anyhow::Result<()> {
    call(&["restart", unit]).await
}

/// Restarts a unit, or starts it, and no unit that requires it.
pub(crate) async fn restart_alone(unit: &str) -> anyhow::Result<()> {
    call(&["restart", "--job-mode=ignore-dependencies", unit]).await
}

/// The units of this pattern that run, or wait for their next start.
pub(crate) async fn loaded(pattern: &str) -> anyhow::Result<Vec<String>> {
    let said = output(&["list-units", "--plain", "--no-legend", "--no-pager", pattern]).await?;
    let text = String::from_utf8_lossy(&said.stdout);
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}

/// How often systemd has restarted a unit by itself since it was last started.
pub(crate) async fn restarts(unit: &str) -> u32 {
    let said = output(&["show", "--property=NRestarts", "--value", unit]).await;
    let count = said.map(|said| String::from_utf8_lossy(&said.stdout).trim().parse());
    count.ok().and_then(Result::ok).unwrap_or_default()
}

async fn call(args: &[&str]) -> anyhow::Result<()> {
    let said = output(args).await?;
    if said.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&said.stderr);
    let last = errors.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let error = last.map_or_else(|| said.status.to_string(), str::to_owned);
    bail!(message!("systemctl-failed", args = args.join(" "), error))
}

async fn output(args: &[&str]) -> anyhow::Result<Output> {
    let mut systemctl = Command::new("systemctl");
    systemctl.args(args).stdin(Stdio::null()).kill_on_drop(true);
    systemctl.output().await.context(message!("no-systemctl"))
}
