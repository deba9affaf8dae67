//! The command line.

use chassis::args::DaemonArgs;
use clap::{Parser, ValueEnum};

/// Opens sealed chats and asks the models.
#[derive(Debug, Parser)]
#[command(name = "maru-gateway", version)]
pub struct Args {
    /// Something else to do than to serve
    pub job: Option<Job>,
    /// What daemons share.
    #[command(flatten)]
    pub daemon: DaemonArgs,
}

/// What else the program does.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Job {
    /// Writes a consistent copy of the conversations' database to standard output.
    CopyDatabase,
}
