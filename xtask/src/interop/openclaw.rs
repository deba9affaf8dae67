//! `cargo xtask interop openclaw`: OpenClaw's own client, on a laptop, speaks to the gateway's WebSocket. Each frame that comes is
//! compared with OpenClaw's schema.
//!
//! The newest client that is published is tried as well, since the protocol moves by calendar: what differs is printed, and fails
//! nothing. With `--full`, people's own clients follow: OpenClaw on a terminal, and its Control UI in Chromium.

mod full;
mod programs;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use lab::{Deployment, Member, STOP};

use super::{install::Installed, outcome::Outcome};
use crate::{build, model, progress::Step};
use programs::{judged, npm_install, on_laptop};

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
const CASES: [&str; 12] = [
    "connect",
    "foreign_nonce",
    "chat",
    "history",
    "once",
    "agent",
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
    /// Also try OpenClaw on a terminal and its Control UI in Chromium (fetches 650 MB)
    #[arg(long)]
    full: bool,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<Outcome> {
    let model = if args.no_build { model::get()? } else { build::everything()? };
    let installed = Installed::get(SCRIPTS, "OpenClaw's client")?;
    if args.full {
        full::ensure_browser()?;
    }
    let newest = newest(&installed)?;
    let whole = args.full.then(|| full::install(&installed)).transpose()?;
    client(&model, &installed, newest.as_deref(), whole.as_deref())
}

/// The part of `cargo xtask test`: the pinned client.
pub(super) fn stage(model: &Path) -> Result<Outcome> {
    client(model, &Installed::get(SCRIPTS, "OpenClaw's client")?, None, None)
}

fn client(
    model: &Path,
    installed: &Installed,
    newest: Option<&Path>,
    whole: Option<&Path>,
) -> Result<Outcome> {
    let step = Step::new("a house");
    let mut deployment = Deployment::start_with_model(model, &[])?;
    fs::create_dir_all(deployment.state().join("tmp"))?;
    let mut laptop = deployment.member("laptop", "alice")?;
    step.done("the house is up, and a laptop is a member");
    let mut outcome = cases(PINNED, &deployment, installed, &laptop, None)?;
    if let Some(packages) = newest {
        let tried = cases(NEWEST, &deployment, installed, &laptop, Some(packages))?;
        println!(
            "{NEWEST}: {} as with the pinned one, {} otherwise",
            tried.passed,
            tried.failed.len()
        );
    }
    if let Some(packages) = whole {
        outcome.add(full::run(&deployment, installed, &laptop, packages)?);
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
    let mut command = on_laptop(deployment, installed, laptop, &installed.node())?;
    command.arg(installed.script("client.mjs"));
    if let Some(packages) = packages {
        command.env("OPENCLAW_PACKAGES", packages);
    }
    judged(name, &CASES, command)
}

/// A folder with the newest packages; nothing where npm has none for this machine.
fn newest(installed: &Installed) -> Result<Option<PathBuf>> {
    let folder = installed.dir.join("newest");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let output = npm_install(installed, &folder, &PACKAGES)?;
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
