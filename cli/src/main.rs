//! `maru`: the one command that people type.

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cli::finish(cli::run(cli::args::Cli::parse()).await)
}
