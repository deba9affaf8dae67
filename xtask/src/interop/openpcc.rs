//! `cargo xtask interop openpcc`: OpenPCC's programs and packages with our confidential chain.
//!
//! The tests have names that contain `openpcc`; this builds both sides and runs only those. `cargo xtask test` runs
//! them with all others.

use anyhow::Result;

use crate::{go, packages};

/// The tests that need these peers.
const TESTS: &str = "test(/^openpcc::/)";

/// Arguments of `cargo xtask interop openpcc`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only tests whose name contains this
    #[arg(value_name = "NAME")]
    only: Option<String>,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<()> {
    super::stage::ensure_possible()?;
    packages::for_testing()?;
    go::openpcc()?;
    super::stage::tests(TESTS, args.only.as_deref())
}
