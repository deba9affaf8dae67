//! Arguments that daemons share.

use std::path::PathBuf;

use crate::log::LogArgs;

/// Arguments of a daemon with one settings file; to be flattened into its own.
#[derive(Clone, Debug, clap::Args)]
pub struct DaemonArgs {
    /// Directory that all of Maru's paths lie below
    #[arg(long, default_value = "/", value_name = "DIR")]
    pub root: PathBuf,
    /// Settings file [default: this daemon's file in etc/maru below the root]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
}
