//! The engines get another model while chats go on.
//!
//! ```text
//!            spare                              first
//!   both old ─────▶ first old, spare new ─────────────▶ both new
//!                      │ it does not start                 │ it does not start
//!                      └──────────────▶ both old ◀─────────┘
//! ```
//!
//! While one engine changes the other answers. Before it is stopped nobody finds it any more, and what it is saying is
//! awaited.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chassis::unix::Connector;
use coordinator_api::settings::Settings;
use serde::Deserialize;
use services::{Service, podman::Model};

use crate::{
    containers::Containers,
    engine::Podman,
    local::Local,
    parameters::{Note, Parameters},
    processes::Supervisor,
    ready,
};

/// How long the replies of an engine may take to end before they are cut.
const LEAVING: Duration = Duration::from_secs(10 * 60);
/// How often an engine is asked what it does.
const LOOK: Duration = Duration::from_millis(200);
/// Looks at an engine that does nothing before it is stopped: a request may be between its connection and its slot.
const LOOKS: u32 = 3;
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than an engine says of its slots, in bytes.
const SLOTS_MAX: usize = 1 << 20;

/// What changing an engine takes.
pub struct Engines<'a> {
    /// What they are started with.
    pub parameters: &'a mut Parameters,
    /// Those that run, in the order of the service table.
    pub services: Vec<&'static Service>,
    /// Their images and limits.
    pub containers: &'a Containers,
    /// What runs them.
    pub podman: &'a Podman,
    /// What watches them.
    pub supervisor: &'a mut Supervisor,
    /// The coordinator's settings.
    pub settings: &'a Settings,
    /// Is told what fails beside the change.
    pub note: Note,
}

impl Engines<'_> {
    /// Makes all engines use the model, the spare first. If one does not start with it, all use again what they used before.
    ///
    /// Dropping the future leaves engines of both models, known to the supervisor.
    ///
    /// # Errors
    ///
    /// Fails if an engine does not start with the model.
    pub async fn use_model(&mut self, model: Model) -> anyhow::Result<()> {
        if model == self.parameters.model {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.parameters.model, model);
        let mut engines = self.services.clone();
        engines.reverse();
        for (at, &engine) in engines.iter().enumerate() {
            let Err(error) = self.exchange(engine).await else { continue };
            let refused = std::mem::replace(&mut self.parameters.model, before);
            for &engine in engines[..=at].iter().rev() {
                if let Err(error) = self.exchange(engine).await {
                    (self.note)(&format!("{error:#}"));
                }
            }
            let (refused, stays) = (refused.path.display(), self.parameters.model.path.display());
            return Err(error.context(format!("{refused} does not do; {stays} goes on")));
        }
        Ok(())
    }

    /// Stops an engine once it has nothing to do, and starts it as the plan is now.
    async fn exchange(&mut self, engine: &'static Service) -> anyhow::Result<()> {
        let spec = self.containers.spec(engine, self.parameters, self.podman)?;
        if let Some(socket) = engine.socket(&self.parameters.root) {
            let aside = put_aside(&socket);
            if let Some(aside) = &aside {
                let started = Instant::now();
                let socket = Connector::new(&self.parameters.root, aside).listener(engine.uid);
                until_idle(&socket, started).await;
            }
            self.supervisor.stop(engine.name).await;
            drop(aside.map(fs::remove_file));
        }
        self.supervisor.start(spec)?;
        let (root, settings) = (&self.parameters.root, self.settings);
        let is_ready = || ready::is_ready(engine, root, settings);
        self.supervisor.ready_again(engine.name, engine.ready.patience, is_ready).await
    }
}

/// Gives a socket another name, under which nobody looks for it: who calls now is sent to the other engine, who called
/// before is still answered. `None` if nothing is there.
fn put_aside(socket: &Path) -> Option<PathBuf> {
    let aside = socket.with_extension("leaving");
    fs::rename(socket, &aside).is_ok().then_some(aside)
}

/// Waits until an engine has had nothing to do at some looks in a row, or is gone, or [`LEAVING`] is over.
async fn until_idle(socket: &Connector, since: Instant) {
    let mut idle = 0;
    while idle < LOOKS && since.elapsed() < LEAVING {
        idle = if is_busy(socket).await { 0 } else { idle + 1 };
        tokio::time::sleep(LOOK).await;
    }
}

/// What an engine says of a slot, as far as it matters here.
#[derive(Deserialize)]
struct Slot {
    is_processing: bool,
}

/// Whether an engine is answering somebody. One that says nothing in time may be too busy for it; one that is not there, or
/// says something else, is not.
async fn is_busy(socket: &Connector) -> bool {
    let local = match Local::open(socket, PATIENCE).await {
        Ok(local) => local,
        Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
    };
    let mut answer = match local.http.get("http://localhost/slots").send().await {
        Ok(answer) => answer,
        Err(error) => return error.is_timeout(),
    };
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => break,
            Err(error) => return error.is_timeout(),
        }
        if bytes.len() > SLOTS_MAX {
            return false;
        }
    }
    let slots: Vec<Slot> = serde_json::from_slice(&bytes).unwrap_or_default();
    slots.iter().any(|slot| slot.is_processing)
}

#[cfg(test)]
mod tests;
