//! `maru-agent`: a device's part in the mesh.

use std::process::ExitCode;

use chassis::{args::DaemonArgs, failure, log::LevelFilter};
use clap::Parser as _;
use node_agent::{Action, Args, dns::helper};

fn main() -> ExitCode {
    let Args { daemon: DaemonArgs { root, config, log }, action, part, scope } = Args::parse();
    // boringtun reports every idle peer as an error.
    log.start(&[("boringtun", LevelFilter::OFF)]);
    if let (Some(part), Some(scope)) = (part, scope) {
        return helper::run(part, scope, &root).unwrap_or(ExitCode::FAILURE);
    }
    match action {
        Some(Action::Restore) => {
            let restored = node_agent::restore(&root, config.as_deref());
            return failure::exit("maru-agent", restored);
        }
        Some(Action::KillSwitch) => {
            let closed = node_agent::kill_switch(&root, config.as_deref());
            return failure::exit("maru-agent", closed);
        }
        None => {}
    }
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::warn!("another TLS provider was installed before");
    }
    failure::exit("maru-agent", node_agent::run(root, config))
}
