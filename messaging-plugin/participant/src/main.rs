//! `maru-participant`: see the library.

use std::{path::PathBuf, process::ExitCode};

use chassis::{
    failure,
    log::{LevelFilter, LogArgs},
};
use clap::Parser;

/// The AI as a member of rooms.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Directory that all of Maru's paths lie below
    #[arg(long, default_value = "/", value_name = "DIR")]
    root: PathBuf,
    /// What is logged.
    #[command(flatten)]
    log: LogArgs,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Args { root, log } = Args::parse();
    // Below that they describe messages.
    log.start(&[("matrix_sdk_crypto", LevelFilter::ERROR), ("vodozemac", LevelFilter::ERROR)]);
    failure::exit("maru-participant", maru_participant::run(&root).await)
}
