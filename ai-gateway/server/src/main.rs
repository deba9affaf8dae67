//! `maru-gateway`: see the library.

use std::process::ExitCode;

use ai_gateway::arena::Allocator;
use chassis::{args::DaemonArgs, failure};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Opens sealed chats and asks the models.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    daemon: DaemonArgs,
}

// This thread is one of the workers; `run` starts the others.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let DaemonArgs { root, config, log } = Args::parse().daemon;
    log.start(&[]);
    failure::exit("maru-gateway", ai_gateway::run(&root, config).await)
}
