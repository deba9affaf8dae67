//! `maru up`: starts the appliance on this machine and keeps it running.
//!
//! A foreground supervisor, as root. Its order: take the instance's lock, clean up after a
//! run that was killed, check, and only then make directories and missing configuration,
//! start the services and wait for each, join the home node, say where to go next; then
//! watch, and change the model when asked to, until a signal, and stop everything. Every step may be repeated: what is there is
//! used. A start that is refused leaves everything as it was.

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;
use messages::message;
use services::ENGINE;

use supervisor::{
    Lock, Podman, Supervisor,
    change::ModelChange,
    directories,
    leftovers::{self, READY},
    memory,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    machine_key,
    ollama::is_mesh,
    output::{self, note, note_message},
    sudo, units,
    up::{args::UpArgs, control::Control, plan::Plan, saved_options::SavedOptions, start::Started},
};

pub(crate) mod args;
pub(crate) mod checks;
pub(crate) mod config;
pub mod control;
pub(crate) mod guide;
pub(crate) mod ollama;
mod plan;
pub(crate) mod progress;
pub(crate) mod saved_options;
pub(crate) mod setup;
pub(crate) mod start;

pub(crate) use checks::missing_tools;

/// Whether all that `maru up` starts at `root` has been ready.
pub(crate) fn is_ready(root: &Path) -> bool {
    root.join(leftovers::READY).exists()
}

/// Prevents `maru up` from starting at `root` until the returned value is dropped; creates the folder of its lock.
///
/// # Errors
///
/// Fails if it runs, or if processes of a killed run do.
pub(crate) fn hold(root: &Path) -> anyhow::Result<impl Sized + use<>> {
    directories::root(root)?;
    let mut lock = Lock::take(root)?;
    if lock.has_leftovers() {
        anyhow::bail!(message!("up-leftovers"));
    }
    lock.release()?;
    Ok(lock)
}

/// Runs the services until a signal.
pub(crate) async fn run(args: UpArgs, root: &Path) -> anyhow::Result<ExitCode> {
    checks::options(args.address.as_deref(), args.network.as_deref(), args.user.as_deref())?;
    if !rustix::process::geteuid().is_root() {
        return Err(sudo::again(message!("up-needs-root")));
    }
    units::refuse_beside(root).await?;
    checks::machine()?;
    // Keeps keys and texts of every service out of core dumps: children inherit the limit.
    chassis::process::forbid_core_files().context(message!("no-core-limit"))?;
    directories::passable(root)?;
    crate::backup::restore::is_whole(root)?;
    let podman = Podman::at(root);
    let (lock, mut plan) = prepare(&args, root, &podman).await?;
    for folder in crate::backup::restore::left_behind(root) {
        note(message!("restore-leftovers", path = folder.display()));
    }
    let mut supervisor = Supervisor::new(root, lock, args.verbose, note_message)?;
    let mut stop = StopSignals::watch()?;
    let started = tokio::select! {
        started = begin(&mut plan, &podman, &mut supervisor) => started.map(Some),
        () = stop.asked() => Ok(None),
    };
    let ended = match started {
        Ok(Some(started)) => {
            let Started { home, containers } = started;
            supervisor.settle();
            let is_alone = plan.parameters.spare_model.is_some();
            let changes =
                |it: &&services::Service| it.uid == ENGINE && !(is_alone && it.is_spare());
            let engines = ModelChange {
                services: plan.services().filter(changes).collect(),
                parameters: &mut plan.parameters,
                containers: &containers,
                podman: &podman,
                supervisor: &mut supervisor,
                settings: &plan.config.coordinator,
                note: note_message,
            };
            keep(engines, root, &home, &mut stop).await
        }
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    leftovers::forget(root);
    supervisor.stop_all().await;
    memory::Group::of(root).remove();
    leftovers::after_stop(root, &podman, note_message).await;
    machine_key::take_back(root);
    supervisor.release()?;
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// Reports that everything is ready, and serves requests until a signal.
async fn keep(
    mut engines: ModelChange<'_>,
    root: &Path,
    home: &guide::Summary,
    stop: &mut StopSignals,
) -> anyhow::Result<()> {
    let mut control = Control::serve(root)?;
    std::fs::write(root.join(READY), format!("{}\n", std::process::id()))
        .context(message!("ready-not-written"))?;
    guide::print(home, &message!("guide-end"))?;
    output::line(message!("up-ready"))?;
    loop {
        let ask = tokio::select! {
            () = stop.asked() => return Ok(()),
            ask = control.next() => ask,
        };
        let done = tokio::select! {
            () = stop.asked() => return Ok(()),
            done = use_model(&mut engines, &ask.path) => done,
        };
        // An error means that the client has gone.
        let _ = ask.answer.send(done.map_err(|error| format!("{error:#}")));
    }
}

/// Changes all engines to the model at `path`, then saves the choice.
async fn use_model(engines: &mut ModelChange<'_>, path: &Path) -> anyhow::Result<()> {
    engines.use_model(checks::model(path)?).await?;
    SavedOptions::keep_model(&engines.parameters.root, &engines.parameters.model.path)
}

/// Cleans up after an earlier run, checks everything, and then creates what is missing; starts nothing. If a check fails,
/// nothing is changed.
async fn prepare(args: &UpArgs, root: &Path, podman: &Podman) -> anyhow::Result<(Lock, Plan)> {
    let mut found = Lock::found(root)?;
    let mut plan = match check(args, root, podman, found.as_mut()).await {
        Ok(plan) => plan,
        Err(error) => return Err(refused(found, error)),
    };
    directories::root(root)?;
    let lock = match found {
        Some(lock) => lock,
        None => Lock::take(root)?,
    };
    match podman.prepare().and_then(|()| plan.lay_out()) {
        Ok(()) => Ok((lock, plan)),
        Err(error) => Err(refused(Some(lock), error)),
    }
}

async fn check(
    args: &UpArgs,
    root: &Path,
    podman: &Podman,
    found: Option<&mut Lock>,
) -> anyhow::Result<Plan> {
    if let Some(lock) = found {
        leftovers::clean(root, lock, podman, note_message).await?;
    }
    let found = match args.ollama.filter(|at| !is_mesh(*at)) {
        Some(at) => Some(ollama::ask(&ollama::client(root, at)?).await?),
        None => None,
    };
    Plan::make(args, root, found.as_ref())
}

/// Starts everything; twice if an Ollama in the mesh, which only the running agent reaches, changed the configuration.
async fn begin(
    plan: &mut Plan,
    podman: &Podman,
    supervisor: &mut Supervisor,
) -> anyhow::Result<Started> {
    let started = start::all(plan, podman, supervisor).await?;
    let Some(at) = plan.ollama.take() else { return Ok(started) };
    let changed = match ollama::ask(&ollama::client(&plan.parameters.root, at)?).await {
        Ok(found) => ollama::connect(&found, &mut plan.config, &plan.parameters.root, plan.write)?,
        Err(error) => {
            note(format!("{error:#}"));
            false
        }
    };
    note(message!("policy-needs-line", line = ollama::policy_line(at)));
    if !changed {
        return Ok(started);
    }
    plan.config.write(&plan.parameters.root)?;
    note(message!("starting-again"));
    supervisor.stop_all().await;
    start::all(plan, podman, supervisor).await
}

/// Empties the pid file, if there is one, and returns the error.
fn refused(lock: Option<Lock>, error: anyhow::Error) -> anyhow::Error {
    match lock.map(|mut lock| lock.release()) {
        Some(Err(other)) => other.context(error.to_string()),
        Some(Ok(())) | None => error,
    }
}

/// The signals that end `maru up`.
struct StopSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl StopSignals {
    fn watch() -> anyhow::Result<Self> {
        let on = |kind| signal(kind).context(message!("no-signals"));
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
