//! The README's first command, as its reader runs it: it leaves nothing behind.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process_group};

use super::stage::Count;
use crate::traces::Traces;

/// What it prints when it stays up until Ctrl-C.
const STAYS: &str = "Maru is up.";
/// What it prints in the end, when it has looked.
const LOOKED: &str = "Nothing is left behind";
/// What it prints where the laptop needs no approval.
const BEFORE: &str = "approved before";

/// Runs it twice on one root, the second time with a laptop that is a member, then with `--once`.
pub(super) fn run() -> Result<Count> {
    let root = tempfile::tempdir()?;
    let before = Traces::now()?;
    let said = until_ctrl_c(root.path(), &before)?;
    ensure!(!said.contains(BEFORE), "the laptop was a member before it joined");
    Traces::now()?.nothing_remains_since(&before)?;
    let said = until_ctrl_c(root.path(), &before)?;
    ensure!(said.contains(BEFORE), "after the second start the laptop is not a member");
    let status = xtask()?.arg("--once").status()?;
    ensure!(status.success(), "cargo xtask up --once failed ({status})");
    Traces::now()?.nothing_remains_since(&before)?;
    Ok(Count::passed(3))
}

/// This program, by its path: its own file was replaced if the build made it anew.
fn xtask() -> Result<Command> {
    let mut command = Command::new(lab::binary("xtask")?);
    command.arg("up");
    Ok(command)
}

/// Runs it until it stays up, then does what Ctrl-C on a terminal does; returns what it printed.
///
/// While it is up the host is what it was `before`.
fn until_ctrl_c(root: &Path, before: &Traces) -> Result<String> {
    // A terminal sends the signal to the whole group.
    let mut up = xtask()?;
    up.arg("--root").arg(root).process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut up = up.spawn()?;
    let group = i32::try_from(up.id()).ok().and_then(Pid::from_raw).context("no process")?;
    let (mut said, mut asked, mut host) = (String::new(), false, Ok(()));
    for line in BufReader::new(up.stdout.take().context("no pipe")?).lines() {
        let line = line?;
        println!("{line}");
        if !asked && line.contains(STAYS) {
            host = Traces::now().and_then(|now| now.host_is_as(before));
            kill_process_group(group, Signal::INT)?;
            asked = true;
        }
        said.push_str(&line);
        said.push('\n');
    }
    let status = up.wait()?;
    ensure!(asked, "cargo xtask up ended by itself ({status})");
    ensure!(status.success(), "cargo xtask up did not stop cleanly ({status})");
    host.context("while cargo xtask up was up")?;
    ensure!(said.contains(LOOKED), "cargo xtask up does not report that nothing is left behind");
    Ok(said)
}
