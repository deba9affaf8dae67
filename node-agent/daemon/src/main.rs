//! `maru-agent`: a device's part in the mesh.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use node_agent::dns::helper;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

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
    log: Targets,
    /// The agent starts itself so, for what root has to do.
    #[arg(long, hide = true, value_parser = helper::Part::of)]
    part: Option<helper::Part>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // It reports every peer that is merely idle as an error.
    let log = args.log.with_target("boringtun", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(log).with(lines).init();
    if let Some(part) = args.part {
        return helper::run(part, &args.root).unwrap_or(ExitCode::FAILURE);
    }
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::warn!("another TLS provider was installed before");
    }
    chassis::failure::exit("maru-agent", node_agent::run(args.root, args.config))
}
