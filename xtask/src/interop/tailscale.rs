//! `cargo xtask interop tailscale`: stock `tailscaled` and `tailscale` join a house.
//!
//! What they are asked is in tests of the walkthrough, in programs whose names begin with `tailscale`; this builds both
//! sides and runs those alone. `cargo xtask test` runs them among all others.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use super::foreign;
use crate::{build, go, model, nextest, packages};

/// The tests that need stock nodes.
const TESTS: &str = "package(walkthrough) & binary(/^tailscale/)";

/// Of `cargo xtask interop tailscale`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only tests whose name holds this
    #[arg(value_name = "NAME")]
    only: Option<String>,
    /// Record instead whom a stock node asks besides the house (five minutes)
    #[arg(long, conflicts_with = "only")]
    foreign_hosts: bool,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<()> {
    ensure!(
        super::is_possible(),
        "the lab's machines need root, Podman and /dev/net/tun: run it as root"
    );
    packages::for_testing()?;
    let model = model::get()?;
    let tailscale = go::tailscale()?;
    if args.foreign_hosts {
        build::programs()?;
        return foreign::run(&model, tailscale);
    }
    build::all()?;
    let programs = nextest::workspace_runner(&model)?.programs()?;
    let mut command = programs.run();
    command.args(["--filterset", TESTS]);
    if let Some(name) = &args.only {
        command.arg("--").arg(name);
    }
    let status = command.stdin(Stdio::null()).status().context("the tests do not start")?;
    ensure!(status.code() != Some(nextest::NO_TESTS), "there is no such test");
    ensure!(status.success(), "tests with stock nodes failed");
    Ok(())
}
