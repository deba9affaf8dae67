//! `maru-telmeet`: see the library.

use std::{fs::File, io, os::fd::AsFd as _, path::PathBuf, process::ExitCode};

use chassis::{args::DaemonArgs, failure, log::LevelFilter};
use clap::Parser as _;
use telmeet::{Args, Job};

fn main() -> ExitCode {
    let args = Args::parse();
    if matches!(args.job, Some(Job::Thumbnail)) {
        return failure::exit("maru-telmeet", telmeet::thumbnail::run());
    }
    serve(args)
}

#[tokio::main]
async fn serve(Args { job, daemon: DaemonArgs { root, config, log } }: Args) -> ExitCode {
    // It says of each event that it is allowed, and below that what is in it.
    log.start(&[("ruma_state_res", LevelFilter::WARN)]);
    if matches!(job, Some(Job::CopyDatabase)) {
        return failure::exit("maru-telmeet", copy(root, config).await);
    }
    failure::exit("maru-telmeet", telmeet::run(&root, config).await)
}

async fn copy(root: PathBuf, config: Option<PathBuf>) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    Ok(telmeet::copy_database(&root, config, &mut out).await?)
}
