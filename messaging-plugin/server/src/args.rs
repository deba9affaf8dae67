//! The command line.

use chassis::args::DaemonArgs;
use clap::{Parser, ValueEnum};

/// A homeserver for Matrix clients, and the relay of sealed chats, for members of the mesh.
#[derive(Debug, Parser)]
#[command(name = "maru-telmeet", version)]
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
    /// Writes a consistent copy of the database to standard output.
    CopyDatabase,
    /// Makes a thumbnail of the picture on standard input, without threads, which it could not start any more.
    #[value(hide = true)]
    Thumbnail,
}
