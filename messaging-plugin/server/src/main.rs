//! `maru-telmeet`: see the library.

use std::{fs::File, io, os::fd::AsFd as _, path::PathBuf, process::ExitCode};

use chassis::{args::DaemonArgs, failure};
use clap::{Parser, ValueEnum};

/// A homeserver for Matrix clients, and the relay of sealed chats, for members of the mesh.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Something else to do than to serve
    job: Option<Job>,
    #[command(flatten)]
    daemon: DaemonArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Job {
    /// Writes a consistent copy of the database to standard output.
    CopyDatabase,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Args { job, daemon: DaemonArgs { root, config, log } } = Args::parse();
    log.start(&[]);
    match job {
        None => failure::exit("maru-telmeet", telmeet::run(&root, config).await),
        Some(Job::CopyDatabase) => failure::exit("maru-telmeet", copy(root, config).await),
    }
}

async fn copy(root: PathBuf, config: Option<PathBuf>) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    Ok(telmeet::copy_database(&root, config, &mut out).await?)
}
