//! Devices as they are named on the command line.

use clap::Args;

#[derive(Clone, Debug, Args)]
pub(crate) struct NodeId {
    /// Number or name of the device
    #[arg(value_name = "DEVICE")]
    pub(crate) id: String,
}
