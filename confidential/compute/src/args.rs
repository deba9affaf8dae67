//! The command line.

use std::path::PathBuf;

use chassis::log::LogArgs;
use clap::{Parser, Subcommand};

/// A node of the confidential chain: makes evidence of its software, and answers sealed requests.
#[derive(Debug, Parser)]
#[command(name = "maru-compute", version)]
pub struct Args {
    /// Root directory of all paths.
    #[arg(long, global = true, default_value = "/")]
    pub root: PathBuf,
    /// Settings file [default: etc/maru/confidential-compute.toml below the root].
    #[arg(long, global = true)]
    pub config: Option<PathBuf>,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
    /// The process to run.
    #[command(subcommand)]
    pub process: Process,
}

/// A process of a node.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Process {
    /// Hold the private key, make evidence of it, and start a worker for each request.
    Boot,
    /// Serve the router.
    RouterCom,
    /// Make the TPM's attestation key if there is none, and print it as an anchor for the policy; once for each machine.
    Ak {
        /// Name of the machine in the policy.
        #[arg(long, default_value = "node")]
        name: String,
    },
    /// Answer one request; started by boot.
    #[command(hide = true)]
    Worker,
}
