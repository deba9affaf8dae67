//! Changes the engines' model while chats go on.
//!
//! ```text
//!            spare                              first
//!   both old ─────▶ first old, spare new ─────────────▶ both new
//!                      │ it does not start                 │ it does not start
//!                      └──────────────▶ both old ◀─────────┘
//! ```
//!
//! While one engine changes, the other answers. An engine is stopped only after new callers were sent to the other one and
//! its replies have ended.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chassis::unix::Connector;
use coordinator_api::settings::Settings;
use messages::message;
use serde::Deserialize;
use services::{Service, podman::Model};

use crate::{
    containers::Containers,
    engine::Podman,
    local::LocalClient,
    parameters::{Note, Parameters},
    processes::Supervisor,
    ready,
};

/// How long an engine's replies may take to end before they are cut.
const DRAIN: Duration = Duration::from_secs(10 * 60);
/// How often an engine is polled for running replies.
const LOOK: Duration = Duration::from_millis(200);
/// Idle polls in a row before an engine is stopped: a request may be between its connection and its slot.
const LOOKS: u32 = 3;
/// Timeout of one request.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest list of slots, in bytes; an engine's is shorter.
const SLOTS_MAX: usize = 1 << 20;

/// Changes the model of the running engines.
pub struct ModelChange<'a> {
    /// Parameters of the run.
    pub parameters: &'a mut Parameters,
    /// The running engines, in the order of the service table.
    pub services: Vec<&'static Service>,
    /// Their images and limits.
    pub containers: &'a Containers,
    /// Runs containers.
    pub podman: &'a Podman,
    /// Watches the services.
    pub supervisor: &'a mut Supervisor,
    /// The coordinator's settings.
    pub settings: &'a Settings,
    /// Shows errors of going back to the old model.
    pub note: Note,
}

impl ModelChange<'_> {
    /// Makes all engines use the model, the spare first. If one does not start with it, all go back to the old model.
    ///
    /// Dropping the future leaves engines of both models, known to the supervisor.
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
                    (self.note)(&format!("{error:#}").into());
                }
            }
            let (refused, known) = (refused.path.display(), self.parameters.model.path.display());
            return Err(error.context(message!("engines-keep-model", refused, known)));
        }
        Ok(())
    }

    /// Stops an engine once it is idle, and starts it with the current parameters.
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

/// Renames a socket, so that new calls go to the other engine while old ones are still answered. `None` if there is no
/// socket.
fn put_aside(socket: &Path) -> Option<PathBuf> {
    let aside = socket.with_extension("leaving");
    fs::rename(socket, &aside).is_ok().then_some(aside)
}

/// Waits until an engine was idle at [`LOOKS`] polls in a row, or is gone, or [`DRAIN`] is over.
async fn until_idle(socket: &Connector, since: Instant) {
    let mut idle = 0;
    while idle < LOOKS && since.elapsed() < DRAIN {
        idle = if is_busy(socket).await { 0 } else { idle + 1 };
        tokio::time::sleep(LOOK).await;
    }
}

/// An engine's slot, in the answer of `/slots`.
#[derive(Deserialize)]
struct Slot {
    is_processing: bool,
}

/// Whether an engine has a running reply. One that times out counts as busy; one that is away, or answers something else,
/// does not.
async fn is_busy(socket: &Connector) -> bool {
    let local = match LocalClient::open(socket, PATIENCE).await {
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
