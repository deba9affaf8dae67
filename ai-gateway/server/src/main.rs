//! `maru-gateway`: see the library.

use std::{fs::File, io, os::fd::AsFd as _, path::PathBuf, process::ExitCode};

use ai_gateway::{Args, Job, arena::Allocator};
use chassis::{args::DaemonArgs, failure};
use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// This thread is one of the workers; `run` starts the others.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Args { job, daemon: DaemonArgs { root, config, log } } = Args::parse();
    log.start(&[]);
    if matches!(job, Some(Job::CopyDatabase)) {
        return failure::exit("maru-gateway", copy(root, config).await);
    }
    failure::exit("maru-gateway", ai_gateway::run(&root, config).await)
}

async fn copy(root: PathBuf, config: Option<PathBuf>) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    Ok(ai_gateway::copy_database(&root, config, &mut out).await?)
}
