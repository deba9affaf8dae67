//! `maru`: the one command that people type.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    cli::finish(cli::run(cli::args::Cli::parse()))
}
