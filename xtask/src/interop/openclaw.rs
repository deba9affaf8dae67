//! `cargo xtask interop openclaw`: OpenClaw's own client, on a laptop, speaks to the gateway's WebSocket. Each frame that comes is
//! compared with OpenClaw's schema.
//!
//! The newest client that is published is tried as well, since the protocol moves by calendar: what differs is printed, and fails
//! nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Deployment, Member, STOP};

use super::{install::Installed, outcome::Outcome, steps};
use crate::{build, model, progress::Step};

/// The script, in the repository.
const SCRIPTS: &str = "interop/openclaw";
/// The client that is pinned.
const PINNED: &str = "OpenClaw 2026.9.1";
/// The newest one.
const NEWEST: &str = "OpenClaw, newest";
/// Its packages.
const PACKAGES: [&str; 2] =
    ["@openclaw/gateway-client@latest", "@openclaw/gateway-protocol@latest"];
/// What the client has to do.
const CASES: [&str; 11] = [
    "connect",
    "foreign_nonce",
    "chat",
    "history",
    "once",
    "abort",
    "copies",
    "sessions",
    "every_method",
    "unknown_method",
    "schema",
];

/// Of `cargo xtask interop openclaw`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Use the existing programs without building them
    #[arg(long)]
    no_build: bool,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<Outcome> {
    let model = if args.no_build { model::get()? } else { build::everything()? };
    let installed = Installed::get(SCRIPTS, "OpenClaw's client")?;
    let newest = newest(&installed)?;
    client(&model, &installed, newest.as_deref())
}

/// The part of `cargo xtask test`: the pinned client.
pub(super) fn stage(model: &Path) -> Result<Outcome> {
    client(model, &Installed::get(SCRIPTS, "OpenClaw's client")?, None)
}

fn client(model: &Path, installed: &Installed, newest: Option<&Path>) -> Result<Outcome> {
    let step = Step::new("a house");
    let mut deployment = Deployment::start_with_model(model, &[])?;
    fs::create_dir_all(deployment.state().join("tmp"))?;
    let mut laptop = deployment.member("laptop", "alice")?;
    step.done("the house is up, and a laptop is a member");
    let outcome = cases(PINNED, &deployment, installed, &laptop, None)?;
    if let Some(packages) = newest {
        let tried = cases(NEWEST, &deployment, installed, &laptop, Some(packages))?;
        println!(
            "{NEWEST}: {} as with the pinned one, {} otherwise",
            tried.passed,
            tried.failed.len()
        );
    }
    let _ = laptop.agent.stop(STOP)?;
    Ok(outcome)
}

/// Runs every case with the packages that are pinned, or with those of a folder.
fn cases(
    name: &str,
    deployment: &Deployment,
    installed: &Installed,
    laptop: &Member,
    packages: Option<&Path>,
) -> Result<Outcome> {
    let machine = &laptop.instance.machine;
    let tmp = deployment.state().join("tmp");
    let mut command = installed.command(machine, &installed.node(), &tmp);
    let address = laptop.instance.gateway()?;
    command
        .arg(installed.script("client.mjs"))
        .env("MARU_ADDRESS", format!("http://{address}:18789"));
    if let Some(packages) = packages {
        command.env("OPENCLAW_PACKAGES", packages);
    }
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.context("the client does not start")?;
    let outcome =
        steps::judge(name, &CASES, &steps::read(&String::from_utf8_lossy(&output.stdout)));
    if !outcome.failed.is_empty() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(outcome)
}

/// A folder with the newest packages; nothing where npm has none for this machine.
fn newest(installed: &Installed) -> Result<Option<PathBuf>> {
    let folder = installed.dir.join("newest");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("package.json"), "{\"private\": true}\n")?;
    let mut npm = Command::new(installed.node());
    npm.arg(installed.npm())
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"])
        .args(PACKAGES)
        .current_dir(&folder);
    let output = npm.stdin(Stdio::null()).output().context("npm does not start")?;
    if !output.status.success() {
        println!("{NEWEST}: npm has none: {}", String::from_utf8_lossy(&output.stderr));
        return Ok(None);
    }
    ensure!(folder.join("node_modules").exists(), "npm installed nothing");
    Ok(Some(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn the_script_has_each_case_that_is_expected_and_no_other() {
        let script = workspace::root().join(SCRIPTS).join("client.mjs");
        let script = fs::read_to_string(script).unwrap();
        let (_, cases) = script.split_once("const cases = {").unwrap();
        let name =
            |line: &str| Some(line.strip_prefix("  async ")?.strip_suffix("() {")?.to_owned());
        assert_eq!(cases.lines().filter_map(name).collect::<Vec<_>>(), CASES);
    }
}
