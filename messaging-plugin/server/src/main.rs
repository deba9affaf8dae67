//! `maru-telmeet`: see the library.

use std::process::ExitCode;

use chassis::{args::DaemonArgs, failure};
use clap::Parser;

/// Relays sealed chats between members of the mesh and the AI gateway.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    daemon: DaemonArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let DaemonArgs { root, config, log } = Args::parse().daemon;
    log.start(&[]);
    failure::exit("maru-telmeet", telmeet::run(&root, config).await)
}
