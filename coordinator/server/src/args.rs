//! The command line.

use std::{
    error::Error,
    fs::File,
    io::Write as _,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use chassis::{failure, log::LogArgs, process, signal::Termination};
use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::{admin::openapi, config::Config, relay, serve, store};

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
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The command to run.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Run the control plane.
    Serve,
    /// Print the `OpenAPI` document of the admin API.
    Openapi,
    /// Run the relay (DERP and STUN).
    Relay,
    /// Write a copy of the database to standard output, which must be a file. `maru backup` uses it.
    #[command(hide = true)]
    CopyDatabase,
}

/// Runs the program to its end.
#[must_use]
pub fn run(args: Args) -> ExitCode {
    if matches!(args.command, Command::Openapi) {
        let written = std::io::stdout().write_all(openapi::text().as_bytes());
        return failure::exit("maru-coordinator", written);
    }
    args.log.start(&[]);
    process::raise_file_limit();
    failure::exit("maru-coordinator", start(&args.root, args.config.as_deref(), args.command))
}

fn start(root: &Path, config: Option<&Path>, command: Command) -> Result<(), Box<dyn Error>> {
    chassis::root::check(root)?;
    let config = Config::load(root, config)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signal(&stop)?;
        match command {
            Command::Serve => {
                serve::serve(root, config, stop).await.map_err(Box::<dyn Error>::from)
            }
            // Handled before the configuration was loaded.
            Command::Openapi => Ok(()),
            Command::Relay => {
                relay::relay(root, &config, stop).await.map_err(Box::<dyn Error>::from)
            }
            Command::CopyDatabase => {
                let mut out = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
                let database = config.database(root)?;
                store::copy(&database, &mut out).await.map_err(Box::<dyn Error>::from)
            }
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

fn stop_on_signal(stop: &CancellationToken) -> std::io::Result<()> {
    let mut termination = Termination::watch()?;
    let stop = stop.clone();
    tokio::spawn(async move {
        termination.asked().await;
        stop.cancel();
    });
    Ok(())
}
