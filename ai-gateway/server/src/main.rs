//! `maru-gateway`: see the library.

use std::{error::Error, io::IsTerminal as _, path::PathBuf, process::ExitCode};

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
    match ai_gateway::run(&args.root, args.config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints an error and what caused it, on one line.
#[allow(clippy::print_stderr, reason = "the one place where the daemon speaks to its starter")]
fn report(error: &dyn Error) {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<_> = chain.map(|error| error.to_string().trim().replace('\n', " ")).collect();
    eprintln!("maru-gateway: {}", texts.join(": "));
}
