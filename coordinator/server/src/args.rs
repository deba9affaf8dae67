//! The command line, and what it starts.

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{
    filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{config::Config, files::Paths, relay, serve};

/// The control plane of a Maru network, and its relay.
#[derive(Debug, Parser)]
#[command(name = "maru-coordinator", version)]
pub struct Args {
    /// Directory that every path is below.
    #[arg(long, global = true, default_value = "/", value_name = "DIR")]
    pub root: PathBuf,
    /// Configuration file; default: etc/maru/coordinator.toml below the root.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What is logged, such as `info` or `coordinator=debug`.
    #[arg(long, global = true, default_value = "info", value_name = "FILTER")]
    pub log: Targets,
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
}

/// What to run.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Registers devices and tells them of each other.
    Serve,
    /// Passes packets between devices that cannot reach each other, and tells them their addresses.
    Relay,
}

/// Runs the program to its end.
#[must_use]
pub fn run(args: Args) -> ExitCode {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(args.log).with(lines).init();
    raise_file_limit();
    let config = args.config.unwrap_or_else(|| Paths::new(&args.root).config());
    chassis::failure::exit("maru-coordinator", start(&args.root, &config, args.command))
}

fn start(root: &Path, config: &Path, command: Command) -> Result<(), Box<dyn Error>> {
    chassis::root::check(root)?;
    let config = Config::load(config)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signal(&stop)?;
        match command {
            Command::Serve => {
                serve::serve(root, config, stop).await.map_err(Box::<dyn Error>::from)
            }
            Command::Relay => {
                relay::relay(root, &config, stop).await.map_err(Box::<dyn Error>::from)
            }
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// Raises the soft limit of open files to the hard one, since each connection is an open file. (The soft limit is low
/// for the sake of programs that use `select`.)
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

fn stop_on_signal(stop: &CancellationToken) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::*;

    #[test]
    fn as_many_files_as_may_be_are_opened() {
        let before = getrlimit(Resource::Nofile);
        let low = before.current.map(|files| files - 1);
        setrlimit(Resource::Nofile, Rlimit { current: low, ..before }).unwrap();
        raise_file_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    }
}
