//! The command line, and what it starts.

use std::{
    error::Error as StdError,
    path::{Path, PathBuf},
    process::ExitCode,
};

use chassis::{failure, log::LogArgs, process, settings, signal::Termination};
use clap::{Parser, Subcommand};
use confidential_api::settings as files;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::{auth::Auth, deployment::Deployment, gateway::Gateway, relay::Relay, router::Router};

/// Relay, gateway, router and configuration of a confidential chain, each as a process of its own.
#[derive(Debug, Parser)]
#[command(name = "maru-confidential", version)]
pub struct Args {
    /// Directory that every path is below
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
    /// Passes sealed requests on: knows who asks, and not what
    Relay,
    /// Opens the outer encryption: knows which nodes are asked, and not who asks
    Gateway,
    /// Knows the nodes, and passes sealed requests to one that lives
    Router,
    /// Serves the signed configuration
    Auth,
    /// Makes and signs what a deployment is of; for whoever is responsible for it, on no server
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

#[allow(clippy::print_stdout, reason = "what was made is the answer to whoever asked for it")]
fn print(deployment: &Deployment) -> Result<(), Box<dyn StdError>> {
    println!("{}", deployment.run()?);
    Ok(())
}

fn serve(root: &Path, config: Option<&Path>, command: &Command) -> Result<(), Box<dyn StdError>> {
    process::raise_file_limit();
    process::forbid_dumps()?;
    chassis::root::check(root)?;
    // A request is passed on by one thread: waking another one costs more than what is done for it.
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
    match command {
        Command::Relay => {
            let role = Relay::start(root, &load(root, config, files::relay::FILE)?).await?;
            tracing::info!("the relay is ready");
            role.serve(stop).await;
        }
        Command::Gateway => {
            let role = Gateway::start(root, &load(root, config, files::gateway::FILE)?).await?;
            tracing::info!("the gateway is ready");
            role.serve(stop).await;
        }
        Command::Router => {
            let role = Router::start(root, &load(root, config, files::router::FILE)?).await?;
            tracing::info!("the router is ready");
            role.serve(stop).await;
        }
        Command::Auth => {
            let role = Auth::start(root, &load(root, config, files::auth::FILE)?).await?;
            tracing::info!("auth is ready");
            role.serve(stop).await;
        }
        // It serves nothing, and has been done.
        Command::Deployment(_) => return Ok(()),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Loads the settings that were named, or those below the root, which may be missing.
fn load<T: DeserializeOwned + Default>(
    root: &Path,
    named: Option<&Path>,
    usual: &str,
) -> Result<T, settings::SettingsError> {
    settings::load(named, &root.join(usual), Ok)
}
