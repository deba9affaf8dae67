//! `cargo xtask interop tailscale`: stock `tailscaled` and `tailscale` join a deployment.
//!
//! The tests are in the walkthrough, in programs whose names begin with `tailscale`; this builds both sides and runs
//! only those. `cargo xtask test` runs them with all others.

use anyhow::Result;

use super::foreign;
use crate::{build, go, model, packages};

/// The tests that need stock nodes.
const TESTS: &str = "package(walkthrough) & test(/^tailscale/)";

/// Arguments of `cargo xtask interop tailscale`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only tests whose name contains this
    #[arg(value_name = "NAME")]
    only: Option<String>,
    /// Instead, record which other servers a stock node contacts (five minutes)
    #[arg(long, conflicts_with = "only")]
    foreign_hosts: bool,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<()> {
    super::stage::ensure_possible()?;
    packages::for_testing()?;
    let tailscale = go::tailscale()?;
    if args.foreign_hosts {
        build::programs()?;
        return foreign::run(&model::get()?, tailscale);
    }
    super::stage::tests(TESTS, args.only.as_deref())
}
