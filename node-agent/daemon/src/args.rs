//! The command line.

use chassis::args::DaemonArgs;
use clap::Parser;

use crate::dns::helper;

/// Connects this device to Maru's mesh: tunnel, names, services, and the local API.
#[derive(Debug, Parser)]
#[command(name = "maru-agent", version)]
pub struct Args {
    /// What daemons share.
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Runs a helper process; for the agent's own use.
    #[arg(long, hide = true, value_parser = helper::Part::of)]
    pub part: Option<helper::Part>,
}
