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
use serde::Deserialize;
use services::{ENGINE, Service};

use crate::{
    client::Local,
    output,
    up::{
        checks, containers::Containers, engine::Podman, plan::Plan, ready, supervisor::Supervisor,
    },
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
pub(super) struct House<'a> {
    pub(super) plan: &'a mut Plan,
    pub(super) containers: &'a Containers,
    pub(super) podman: &'a Podman,
    pub(super) supervisor: &'a mut Supervisor,
}

impl House<'_> {
    /// Makes all engines use the model at `path`, the spare first; it is remembered once they do. If one does not start
    /// with it, all use again what they used before.
    ///
    /// Dropping the future leaves engines of both models, known to the supervisor.
    pub(super) async fn use_model(&mut self, path: &Path) -> anyhow::Result<()> {
        let model = checks::model(path)?;
        if model == self.plan.model {
            return self.plan.remember_model();
        }
        let before = std::mem::replace(&mut self.plan.model, model);
        let mut engines: Vec<_> =
            self.plan.services().filter(|service| service.uid == ENGINE).collect();
        engines.reverse();
        for (at, &engine) in engines.iter().enumerate() {
            let Err(error) = self.exchange(engine).await else { continue };
            self.plan.model = before;
            for &engine in engines[..=at].iter().rev() {
                if let Err(error) = self.exchange(engine).await {
                    output::note(&format!("{error:#}"));
                }
            }
            let stays = self.plan.model.path.display();
            return Err(error.context(format!("{} does not do; {stays} goes on", path.display())));
        }
        self.plan.remember_model()
    }

    /// Stops an engine once it has nothing to do, and starts it as the plan is now.
    async fn exchange(&mut self, engine: &'static Service) -> anyhow::Result<()> {
        let spec = self.containers.spec(engine, self.plan, self.podman)?;
        if let Some(socket) = engine.socket(&self.plan.root) {
            let aside = put_aside(&socket);
            if let Some(aside) = &aside {
                let started = Instant::now();
                let socket = Connector::new(&self.plan.root, aside).listener(engine.uid);
                until_idle(&socket, started).await;
            }
            self.supervisor.stop(engine.name).await;
            drop(aside.map(fs::remove_file));
        }
        self.supervisor.start(spec)?;
        let (root, settings) = (&self.plan.root, &self.plan.config.coordinator);
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
