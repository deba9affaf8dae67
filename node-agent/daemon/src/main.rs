//! `maru-agent`: a device's part in the mesh.

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// A device's part in Maru's mesh: tunnel, names, services, and the local API to join with.
#[derive(Parser)]
#[command(name = "maru-agent", version)]
struct Args {
    /// Directory below which all files and sockets lie.
    #[arg(long, default_value = "/")]
    root: PathBuf,
    /// Settings file, instead of etc/maru/agent.toml below the root.
    #[arg(long)]
    config: Option<PathBuf>,
    /// What to log: error, warn, info, debug, trace, or a filter such as `node_agent=debug`.
    #[arg(long, default_value = "info")]
    log: EnvFilter,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt().with_env_filter(args.log).with_writer(std::io::stderr).init();
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::warn!("another TLS provider was installed before");
    }
    match node_agent::run(args.root, args.config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut sentence = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                sentence.push_str(&format!(": {error}"));
                cause = error.source();
            }
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("maru-agent: {sentence}\n").as_bytes(),
            );
            ExitCode::FAILURE
        }
    }
}
