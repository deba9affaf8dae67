//! `maru-agent`: a device's part in the mesh.

use std::{path::PathBuf, process::ExitCode};

use chassis::{
    failure,
    log::{LevelFilter, LogArgs},
};
use clap::Parser;
use node_agent::dns::helper;

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
    #[command(flatten)]
    log: LogArgs,
    /// The agent starts itself so, for what root has to do.
    #[arg(long, hide = true, value_parser = helper::Part::of)]
    part: Option<helper::Part>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // It reports every peer that is merely idle as an error.
    args.log.start(&[("boringtun", LevelFilter::OFF)]);
    if let Some(part) = args.part {
        return helper::run(part, &args.root).unwrap_or(ExitCode::FAILURE);
    }
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::warn!("another TLS provider was installed before");
    }
    failure::exit("maru-agent", node_agent::run(args.root, args.config))
}
