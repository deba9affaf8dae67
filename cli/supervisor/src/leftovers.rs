//! Removes what a killed run left behind.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::bail;
use messages::message;
use rustix::process::{Pid, Signal, kill_process};
use services::Instance;
use tokio::process::Command;

use crate::{
    binaries,
    engine::Podman,
    limits,
    lock::{self, Child, Lock, Record},
    parameters::Note,
};

/// File that exists while everything runs, below the root.
pub const READY: &str = "run/maru/ready";

/// How long a process that was left running may take to stop.
const PATIENCE: Duration = Duration::from_secs(6);

/// Ends processes and removes containers and tables of a killed run, with notes.
pub async fn clean(
    root: &Path,
    lock: &mut Lock,
    podman: &Podman,
    note: Note,
) -> anyhow::Result<()> {
    forget(root);
    let Some(previous) = lock.previous.take() else { return Ok(()) };
    note(&message!("killed-run", pid = previous.pid));
    let rebooted = previous.boot != lock::boot();
    if !rebooted {
        end_children(&previous, note).await?;
    }
    if !podman.is_new() {
        podman.prepare()?;
        if rebooted {
            podman.forget_run()?;
        }
        match podman.remove_containers().await {
            Ok(0) => {}
            Ok(count) => note(&message!("containers-removed", count)),
            Err(error) => {
                let error = format!("{error:#}");
                note(&message!("container-storage-anew", error));
                podman.forget_storage()?;
            }
        }
    }
    remove_table(root, note).await;
    Ok(())
}

/// Makes sure that nothing is left after a stop.
pub async fn after_stop(root: &Path, podman: &Podman, note: Note) {
    if !podman.is_new() {
        if let Err(error) = podman.remove_containers().await {
            note(&format!("{error:#}").into());
        }
        podman.unmount().await;
    }
    remove_table(root, note).await;
}

/// Removes the files that exist only while everything runs.
pub fn forget(root: &Path) {
    for file in [READY, limits::FILE] {
        let _ = std::fs::remove_file(root.join(file));
    }
}

async fn end_children(previous: &Record, note: Note) -> anyhow::Result<()> {
    let alive: Vec<_> = previous.children.iter().filter(|child| child.is_alive()).collect();
    for child in &alive {
        note(&message!("stopping-leftover", service = child.service, pid = child.pid));
        signal(child, Signal::TERM);
    }
    let started = Instant::now();
    while alive.iter().any(|child| child.is_alive()) {
        if started.elapsed() > PATIENCE * 2 {
            bail!(message!("leftovers-not-ended"));
        }
        if started.elapsed() > PATIENCE {
            alive.iter().for_each(|child| signal(child, Signal::KILL));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid.filter(|_| child.is_alive()) {
        let _ = kill_process(pid, signal);
    }
}

/// Removes the agent's nftables table if the agent could not.
async fn remove_table(root: &Path, note: Note) {
    let table = Instance::of(root).table();
    let Some(nft) = binaries::in_path("nft") else { return };
    let listed = Command::new(&nft).args(["list", "tables"]).stdin(Stdio::null()).output().await;
    let Ok(listed) = listed else { return };
    // Each line is `table FAMILY NAME`.
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let ["table", family, name] = words.as_slice()
            && *name == table
        {
            let _ = Command::new(&nft).args(["delete", "table", family, name]).output().await;
            note(&message!("table-removed", name));
        }
    }
}
