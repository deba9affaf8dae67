//! OpenClaw's programs on a laptop: how they are installed, started and judged.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result};
use lab::{Deployment, Member};

use super::super::{install::Installed, outcome::Outcome, steps};

/// A command on the laptop, told where the gateway is.
pub(super) fn on_laptop(
    deployment: &Deployment,
    installed: &Installed,
    laptop: &Member,
    program: &Path,
) -> Result<Command> {
    let tmp = deployment.state().join("tmp");
    let mut command = installed.command(&laptop.instance.machine, program, &tmp);
    let address = laptop.instance.gateway()?;
    command.env("MARU_ADDRESS", format!("http://{address}:18789"));
    Ok(command)
}

/// Runs a client, and judges its steps.
pub(super) fn judged(name: &str, steps: &[&str], mut command: Command) -> Result<Outcome> {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.context("the client does not start")?;
    let outcome = steps::judge(name, steps, &steps::read(&String::from_utf8_lossy(&output.stdout)));
    if !outcome.failed.is_empty() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(outcome)
}

/// Installs packages in a new folder.
pub(super) fn npm_install(
    installed: &Installed,
    folder: &Path,
    packages: &[&str],
) -> Result<Output> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
    let mut npm = Command::new(installed.node());
    npm.arg(installed.npm())
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"])
        .args(packages)
        .current_dir(folder);
    npm.stdin(Stdio::null()).output().context("npm does not start")
}
