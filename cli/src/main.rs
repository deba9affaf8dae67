//! `maru`: the one command that people type.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
