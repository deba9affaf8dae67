//! `maru-agent`: a device's part in the mesh.

use std::process::ExitCode;

use chassis::{args::DaemonArgs, failure, log::LevelFilter};
use clap::Parser;
use node_agent::dns::helper;

/// Connects this device to Maru's mesh: tunnel, names, services, and the local API.
#[derive(Parser)]
#[command(name = "maru-agent", version)]
struct Args {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Runs a helper process; for the agent's own use.
    #[arg(long, hide = true, value_parser = helper::Part::of)]
    part: Option<helper::Part>,
}

fn main() -> ExitCode {
    let Args { daemon: DaemonArgs { root, config, log }, part } = Args::parse();
    // boringtun reports every idle peer as an error.
    log.start(&[("boringtun", LevelFilter::OFF)]);
    if let Some(part) = part {
        return helper::run(part, &root).unwrap_or(ExitCode::FAILURE);
    }
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::warn!("another TLS provider was installed before");
    }
    failure::exit("maru-agent", node_agent::run(root, config))
}
