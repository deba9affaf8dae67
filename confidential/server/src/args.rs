//! The command line.

use std::{
    error::Error as StdError,
    path::{Path, PathBuf},
    process::ExitCode,
};

use chassis::{failure, log::LogArgs, notify, process, settings, signal::Termination};
use clap::{Parser, Subcommand};
use confidential_api::settings as files;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::{auth, deployment::Deployment, gateway, relay, router};

/// Relay, gateway, router and configuration of a confidential chain, each as a process of its own.
#[derive(Debug, Parser)]
#[command(name = "maru-confidential", version)]
pub struct Args {
    /// Root directory of all paths
    #[arg(long, global = true, default_value = "/", value_name = "DIR")]
    root: PathBuf,
    /// Settings [default: etc/maru/confidential-ROLE.toml below the root]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Forward sealed requests to the gateway: sees the client's address, but no content
    Relay,
    /// Remove the outer encryption: sees the requested nodes, but not the client's address
    Gateway,
    /// Keep a registry of nodes, and forward sealed requests to a live one
    Router,
    /// Serve the signed configuration
    Auth,
    /// Make and sign the keys, certificates and policy of a deployment; not to be run on a server
    Deployment(Deployment),
}

/// Runs the program to its end.
#[must_use]
pub fn run(args: Args) -> ExitCode {
    args.log.start(&[]);
    let ended = match &args.command {
        Command::Deployment(deployment) => print(deployment),
        role @ (Command::Relay | Command::Gateway | Command::Router | Command::Auth) => {
            serve(&args.root, args.config.as_deref(), role)
        }
    };
    failure::exit("maru-confidential", ended)
}

#[allow(clippy::print_stdout, reason = "it is the command's output")]
fn print(deployment: &Deployment) -> Result<(), Box<dyn StdError>> {
    println!("{}", deployment.run()?);
    Ok(())
}

fn serve(root: &Path, config: Option<&Path>, command: &Command) -> Result<(), Box<dyn StdError>> {
    process::raise_file_limit();
    process::forbid_dumps()?;
    chassis::root::check(root)?;
    // One thread: waking another one costs more than forwarding a request.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(role(root, config, command));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

async fn role(
    root: &Path,
    config: Option<&Path>,
    command: &Command,
) -> Result<(), Box<dyn StdError>> {
    let stop = CancellationToken::new();
    let mut termination = Termination::watch()?;
    let asked = stop.clone();
    tokio::spawn(async move {
        termination.asked().await;
        asked.cancel();
    });
    let (name, server) = match command {
        Command::Relay => {
            ("the relay", relay::start(root, &load(root, config, files::relay::FILE)?).await?)
        }
        Command::Gateway => {
            ("the gateway", gateway::start(root, &load(root, config, files::gateway::FILE)?).await?)
        }
        Command::Router => {
            ("the router", router::start(root, &load(root, config, files::router::FILE)?).await?)
        }
        Command::Auth => {
            ("auth", auth::start(root, &load(root, config, files::auth::FILE)?).await?)
        }
        // It has run already, and serves nothing.
        Command::Deployment(_) => return Ok(()),
    };
    notify::ready();
    tracing::info!("{name} is ready");
    server.serve(stop).await;
    tracing::info!("stopped");
    Ok(())
}

/// Loads the given settings file, or the default one, which may be missing.
fn load<T: DeserializeOwned + Default>(
    root: &Path,
    named: Option<&Path>,
    usual: &str,
) -> Result<T, settings::SettingsError> {
    settings::load(named, &root.join(usual), Ok)
}
