//! Exit status and errors of a command.

use std::process::ExitCode;

use messages::Message;

use crate::output;

/// An error of the command line itself; exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) Message);

/// Turns a command's result into its exit status; an error is printed once, with its causes.
pub(crate) fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            output::note(format!("maru: {error:#}"));
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
