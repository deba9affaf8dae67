//! Devices as they are named on the command line.

use clap::Args;

/// A node by number or name.
#[derive(Clone, Debug, Args)]
pub struct NodeId {
    /// Number or name of the device
    #[arg(value_name = "DEVICE")]
    pub id: String,
}
