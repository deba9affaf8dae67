//! `maru completions SHELL`.

use std::process::ExitCode;

use clap::Args;

use crate::output;

#[derive(Clone, Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// Prints the completion script of `command`.
pub(crate) fn run(args: &CompletionsArgs, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "maru", &mut script);
    output::raw(&script)?;
    Ok(ExitCode::SUCCESS)
}
