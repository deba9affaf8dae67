//! `maru completions SHELL`.

use std::process::ExitCode;

use clap::Args;

use crate::output;

/// Of `maru completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Prints the completion script of `command`.
pub(crate) fn run(args: &CompletionsArgs, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "maru", &mut script);
    output::raw(&script)?;
    Ok(ExitCode::SUCCESS)
}
