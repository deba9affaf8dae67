//! `maru-gateway`: see the library.

use std::{path::PathBuf, process::ExitCode};

use ai_gateway::arena::Allocator;
use chassis::{failure, log::LogArgs};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Opens sealed chats and asks the models.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Directory that all of Maru's paths lie below.
    #[arg(long, default_value = "/")]
    root: PathBuf,
    /// Settings [default: etc/maru/gateway.toml below the root].
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
}

// One of the threads that serve: `run` starts the others.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    args.log.start(&[]);
    failure::exit("maru-gateway", ai_gateway::run(&args.root, args.config).await)
}
