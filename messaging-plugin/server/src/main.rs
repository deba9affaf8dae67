//! `maru-telmeet`: see the library.

use std::{path::PathBuf, process::ExitCode};

use chassis::{failure, log::LogArgs};
use clap::Parser;

/// Relays sealed chats between members of the mesh and the AI gateway.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Directory that all of Maru's paths lie below.
    #[arg(long, default_value = "/")]
    root: PathBuf,
    /// Settings [default: etc/maru/telmeet.toml below the root].
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    args.log.start(&[]);
    failure::exit("maru-telmeet", telmeet::run(&args.root, args.config).await)
}
