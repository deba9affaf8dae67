//! `maru-agent`: a device's part in the mesh.

use std::process::ExitCode;

use chassis::{args::DaemonArgs, failure, log::LevelFilter};
use clap::Parser as _;
use node_agent::{Args, dns::helper};

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
