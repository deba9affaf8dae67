//! Building the product's binaries.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{model, packages, progress::Step, stop, workspace};

/// Installs what is missing, builds all binaries and fetches the model; returns the model's path.
pub(crate) fn everything() -> Result<PathBuf> {
    packages::for_running()?;
    binaries()?;
    model::get()
}

/// Builds all binaries as they are shipped: release, static.
///
/// The tests are built with them: a build without them would choose other features of the crates
/// that they share, so that the next `cargo xtask test` compiled everything again.
pub(crate) fn binaries() -> Result<()> {
    let step = Step::new("building Maru (the first time takes many minutes)");
    cargo(&["build", "--release", "--workspace", "--all-targets"], &step)?;
    step.done("binaries built");
    Ok(())
}

/// Runs cargo in the workspace, showing what it compiles.
pub(crate) fn cargo(args: &[&str], step: &Step) -> Result<()> {
    let mut child = Command::new(env!("CARGO"))
        .args(args)
        .arg("--target-dir")
        .arg(workspace::target()?)
        .current_dir(workspace::root())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let mut said = Vec::new();
    let stderr = child.stderr.take().context("no pipe")?;
    for line in BufReader::new(stderr).lines() {
        let line = line?;
        match line.trim().strip_prefix("Compiling ") {
            Some(what) => step.now(&format!("compiling {what}")),
            None => said.push(line),
        }
    }
    if !child.wait()?.success() {
        stop::check()?;
        bail!("cargo {} failed:\n{}", args.join(" "), said.join("\n"));
    }
    Ok(())
}
