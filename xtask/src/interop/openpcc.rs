//! `cargo xtask interop openpcc`: OpenPCC's programs and packages with our confidential chain.
//!
//! What they are asked is in tests whose names hold `openpcc`; this builds both sides and runs those alone. `cargo xtask
//! test` runs them among all others.

use anyhow::Result;

use crate::{go, packages};

/// The tests that need these peers.
const TESTS: &str = "test(/^openpcc::/)";

/// Of `cargo xtask interop openpcc`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only tests whose name holds this
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
