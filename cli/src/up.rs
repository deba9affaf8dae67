//! `maru up`: starts the appliance on this machine and keeps it running.
//!
//! A foreground supervisor, as root. Its order: check, take the instance's lock, clean up
//! after a run that was killed, make directories and missing configuration, start the
//! services and wait for each, join the home node, say where to go next; then watch until
//! a signal, and stop everything. Every step may be repeated: what is there is used.

use std::{
    io::IsTerminal as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::{args::UpArgs, output};

mod binaries;
mod checks;
mod config;
mod directories;
pub(crate) mod engine;
mod guide;
mod leftovers;
pub(crate) mod limits;
mod lock;
mod log;
mod plan;
pub(crate) mod ports;
mod progress;
mod ready;
mod setup;
mod start;
mod supervisor;

pub(crate) use binaries::find as find_binary;
pub(crate) use checks::missing_tools;
pub(crate) use engine::Podman;

/// File that is there while everything runs, below the root.
const READY: &str = "run/maru/ready";

/// Runs the appliance until it is told to stop.
pub(crate) async fn run(args: UpArgs, root: &Path) -> anyhow::Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        return Err(again_with_sudo());
    }
    checks::machine()?;
    no_core_dumps()?;
    directories::root(root)?;
    let mut lock = lock::Lock::take(root)?;
    let (podman, plan) = match prepare(&args, root, &mut lock).await {
        Ok(prepared) => prepared,
        Err(error) => {
            lock.release()?;
            return Err(error);
        }
    };
    let mut supervisor = supervisor::Supervisor::new(root, lock, args.verbose)?;
    let mut stop = Stop::watch()?;
    let started = tokio::select! {
        started = start::all(&plan, &podman, &mut supervisor) => started.map(Some),
        () = stop.asked() => Ok(None),
    };
    if let Ok(Some(home)) = &started {
        supervisor.settle();
        std::fs::write(root.join(READY), format!("{}\n", std::process::id()))
            .context("cannot write run/maru/ready")?;
        guide::print(home)?;
        output::line("maru: ready")?;
        stop.asked().await;
    }
    leftovers::forget(root);
    supervisor.stop_all().await;
    leftovers::after_stop(root, &podman).await;
    supervisor.release()?;
    started?;
    Ok(ExitCode::SUCCESS)
}

/// Keeps keys and words of every service out of core dumps; children inherit the limit.
fn no_core_dumps() -> anyhow::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).context("cannot forbid core dumps")
}

/// Cleans up after an earlier run and decides what this one does; starts nothing.
async fn prepare(
    args: &UpArgs,
    root: &Path,
    lock: &mut lock::Lock,
) -> anyhow::Result<(Podman, plan::Plan)> {
    let podman = Podman::prepare(root)?;
    leftovers::clean(root, lock, &podman).await?;
    let plan = plan::Plan::make(args, root)?;
    Ok((podman, plan))
}

/// Becomes the same command under sudo; returns only if that cannot be done.
fn again_with_sudo() -> anyhow::Error {
    let needs = "`maru up` needs root: it makes a network interface and starts services under \
                 users of their own; run it as `sudo maru up`";
    if !std::io::stdin().is_terminal() {
        return anyhow::anyhow!(needs);
    }
    output::note("`maru up` needs root; sudo asks for your password.");
    let program = std::env::current_exe().unwrap_or_else(|_| "maru".into());
    let error =
        Command::new("sudo").arg("--").arg(program).args(std::env::args_os().skip(1)).exec();
    anyhow::anyhow!("{needs} (sudo: {error})")
}

/// The signals that end `maru up`.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Stop {
    fn watch() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context("cannot watch for signals");
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
