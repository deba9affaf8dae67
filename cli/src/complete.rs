//! `maru completions SHELL`.

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::{args::Cli, output};

/// Prints the completion script.
pub(crate) fn run(shell: clap_complete::Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "maru", &mut script);
    output::raw(&script)?;
    Ok(ExitCode::SUCCESS)
}
