//! `maru-gateway`: see the library.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use ai_gateway::arena::Allocator;
use clap::Parser;
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

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
    /// What to log, as `level` or `module=level,…`.
    #[arg(long, default_value = "info")]
    log: Targets,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let ansi = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_ansi(ansi).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(args.log).with(lines).init();
    chassis::failure::exit("maru-gateway", ai_gateway::run(&args.root, args.config).await)
}
