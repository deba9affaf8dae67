//! `maru-agent`: a device's part in the mesh.

use std::process::ExitCode;

use chassis::{args::DaemonArgs, failure, log::LevelFilter};
use clap::Parser;
use node_agent::dns::helper;

/// A device's part in Maru's mesh: tunnel, names, services, and the local API to join with.
#[derive(Parser)]
#[command(name = "maru-agent", version)]
struct Args {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// The agent starts itself so, for what root has to do.
    #[arg(long, hide = true, value_parser = helper::Part::of)]
    part: Option<helper::Part>,
}

fn main() -> ExitCode {
    let Args { daemon: DaemonArgs { root, config, log }, part } = Args::parse();
    // It reports every peer that is merely idle as an error.
    log.start(&[("boringtun", LevelFilter::OFF)]);
    if let Some(part) = part {
        return helper::run(part, &root).unwrap_or(ExitCode::FAILURE);
    }
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::warn!("another TLS provider was installed before");
    }
    failure::exit("maru-agent", node_agent::run(root, config))
}
