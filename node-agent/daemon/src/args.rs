//! The command line.

use chassis::args::DaemonArgs;
use clap::{Parser, ValueEnum};

use crate::dns::helper;

/// Connects this device to Maru's mesh: tunnel, names, services, and the local API.
#[derive(Debug, Parser)]
#[command(name = "maru-agent", version)]
pub struct Args {
    /// What daemons share.
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// What to do instead of running the agent
    pub action: Option<Action>,
    /// Runs a helper process; for the agent's own use.
    #[arg(long, hide = true, value_parser = helper::Part::of, requires = "scope")]
    pub part: Option<helper::Part>,
    /// What the helper may do.
    #[arg(long, hide = true)]
    pub scope: Option<helper::Scope>,
}

/// What the agent's program does beside running the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Undo what an agent left in this machine's resolver, firewall and routes, the kill switch of an exit node included
    Restore,
    /// Let nothing leave outside the tunnel before the agent runs, if the settings name an exit node; at boot
    KillSwitch,
}
