//! The agent daemon: a device's part in the mesh.
//!
//! * [`start`]: gives up root's rights, before anything else.
//! * [`control`]: registers this device and follows the network map.
//! * [`tunnel`]: puts the map in force: device, interface, [`firewall`], [`relay`]s, [`dns`],
//!   [`service`]s, [`mod@endpoints`].
//! * [`dial`]: sockets that lead users of this machine to loopback and mesh addresses.
//! * [`api`]: the local API, through which people join and leave.
//! * [`agent`]: what these share; [`state`] is what of it stays on disk.
//!
//! The tunnel never waits for the coordinator: it follows the map that is there, which is kept
//! on disk.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a daemon is a shell: it reads the clock")]

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use chassis::{
    signal::Termination,
    unix::{Access, BindError, Socket},
};
use services::Instance;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

pub mod agent;
pub mod api;
pub mod backoff;
pub mod config;
pub mod control;
pub mod dial;
pub mod dns;
pub mod endpoints;
pub mod firewall;
pub mod link;
mod pass;
pub mod relay;
pub mod service;
pub mod start;
pub mod state;
pub mod tunnel;

use agent::{Agent, Progress};
use api::{Api, Command};
use control::Ended;
use dns::helper::Helper;
use start::{Inherited, Start, StartError};
use state::{State, StateError};
use tunnel::{Tunnel, TunnelError, TunnelSetup};

/// Every endpoint of the local API.
#[must_use]
pub fn endpoints() -> Vec<chassis::endpoint::Declaration> {
    chassis::endpoint::list(&api::endpoints())
}

/// How long logging out may hold up leaving.
const LOGOUT: Duration = Duration::from_secs(5);
/// How long after a failure of the control client it is started again.
const CONTROL_AGAIN: Duration = Duration::from_secs(5);
/// How long changes of the map are collected before they are written.
const STORE_AFTER: Duration = Duration::from_millis(500);

/// The agent cannot run. Each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot start, or not with the rights that it should have.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The tunnel.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// The local API.
    #[error(transparent)]
    Api(#[from] BindError),
    /// There is no asynchronous runtime.
    #[error("cannot start threads (raise the limit of processes)")]
    Runtime(#[source] io::Error),
    /// Signals cannot be received.
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
}

/// Runs the agent of the instance below `root` until it is told to stop. To be called while the process has one thread:
/// the agent gives up the rights that it does not need, and its threads have what is left.
///
/// `config` is another settings file than `etc/maru/agent.toml` below the root.
///
/// # Errors
///
/// See [`Error`]; nothing is left behind.
pub fn run(root: PathBuf, config: Option<PathBuf>) -> Result<(), Error> {
    let mut start = start::prepare(root, config)?;
    let helper = start.inherited.helper.take().map(Arc::new);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime.map_err(Error::Runtime) {
        Ok(runtime) => runtime.block_on(serve(start, helper.clone())),
        Err(error) => Err(error),
    };
    if let Some(helper) = helper.and_then(Arc::into_inner) {
        helper.end();
    }
    ended
}

async fn serve(start: Start, helper: Option<Arc<Helper>>) -> Result<(), Error> {
    chassis::process::raise_file_limit();
    let Start { config, paths, root, inherited: Inherited { tun, .. } } = start;
    let state = State::load_or_generate(&paths)?;
    let netmap = match &state.membership {
        Some(membership) if membership.registered => state::load_netmap(&paths)?,
        Some(_) | None => None,
    };
    let instance = Instance::of(&root);
    let (interface, table) = (config.settings.interface(&instance), instance.table());
    let agent = Arc::new(Agent::new(config, paths, state, netmap.unwrap_or_default()));
    let mut stop = Termination::watch().map_err(Error::Signals)?;

    let setup = TunnelSetup { interface, table, tun, helper };
    let tunnel = Tunnel::start(&agent, &setup).await?;
    let socket = match Socket::bind(&agent.paths.socket(), Access::Everyone) {
        Ok(socket) => socket,
        Err(error) => {
            tunnel.stop().await;
            return Err(error.into());
        }
    };
    let (commands, requests) = mpsc::channel(4);
    let api = Api { agent: Arc::clone(&agent), commands };
    let api = tokio::spawn(api::serve(socket, api, api::Timeouts::default()));
    let dials = tokio::spawn(dial::run(Arc::clone(&agent), setup.interface.clone()));
    let local = tokio::spawn(service::local::run(Arc::clone(&agent)));
    let store = tokio::spawn(keep_map(Arc::clone(&agent)));
    tracing::info!(interface = setup.interface, "agent started");

    let agent_loop = AgentLoop { agent: Arc::clone(&agent), setup, requests };
    let ended = agent_loop.run(tunnel, &mut stop).await;
    // With these go their sockets.
    cancel(Some(dials)).await;
    cancel(Some(api)).await;
    local.abort();
    store.abort();
    store_map(&agent);
    ended
}

/// The agent's course from start to stop.
struct AgentLoop {
    agent: Arc<Agent>,
    setup: TunnelSetup,
    requests: mpsc::Receiver<Command>,
}

/// What happens next.
enum Event {
    Stop,
    /// The interface is gone.
    Broken,
    Command(Option<Command>),
    /// The control client ended; `None` if it failed in a way that nobody foresaw.
    Control(Option<Ended>),
}

impl AgentLoop {
    async fn run(mut self, mut tunnel: Tunnel, stop: &mut Termination) -> Result<(), Error> {
        let mut control = self.control();
        loop {
            let event = tokio::select! {
                () = stop.asked() => Event::Stop,
                command = self.requests.recv() => Event::Command(command),
                ended = ended(&mut control) => Event::Control(ended),
                () = tunnel.follow() => Event::Broken,
            };
            match event {
                Event::Stop | Event::Command(None) => {
                    cancel(control).await;
                    tracing::info!("agent stops");
                    tunnel.stop().await;
                    return Ok(());
                }
                Event::Broken => {
                    tracing::error!("somebody removed the interface: making it again");
                    tunnel = self.restart(tunnel).await?;
                }
                Event::Command(Some(Command::Join(membership, done))) => {
                    cancel(control).await;
                    self.agent.join(*membership);
                    control = self.control();
                    drop(done);
                }
                Event::Command(Some(Command::Leave(done))) => {
                    cancel(control).await;
                    self.leave().await?;
                    tunnel = self.restart(tunnel).await?;
                    control = None;
                    drop(done);
                }
                Event::Control(Some(Ended::Refused(reason))) => {
                    tracing::warn!(%reason, "not a node of this network");
                    self.agent.go_back(reason);
                    control = self.control();
                }
                Event::Control(Some(Ended::KeyExpired)) => {
                    tracing::warn!("the node key has ended: registering another");
                    self.agent.rotate_node_key()?;
                    self.agent.clear_netmap();
                    self.agent.progress.send_modify(Progress::begin_again);
                    tunnel = self.restart(tunnel).await?;
                    control = self.control();
                }
                Event::Control(None) => control = self.control(),
            }
        }
    }

    fn control(&self) -> Option<JoinHandle<Option<Ended>>> {
        let joining = self.agent.membership().is_some();
        let agent = Arc::clone(&self.agent);
        joining.then(|| tokio::spawn(async { Some(control::run(agent).await) }))
    }

    /// Another node key is another device.
    async fn restart(&self, tunnel: Tunnel) -> Result<Tunnel, Error> {
        tunnel.stop().await;
        Ok(Tunnel::start(&self.agent, &self.setup).await?)
    }

    async fn leave(&self) -> Result<(), Error> {
        match timeout(LOGOUT, control::logout(&self.agent)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "not logged out at the coordinator"),
            Err(_) => tracing::warn!("not logged out: the coordinator is silent"),
        }
        self.agent.wipe()?;
        self.agent.progress.send_replace(Progress::needs_join(None));
        tracing::info!("left the network");
        Ok(())
    }
}

/// Waits for the control client's end. The tunnel outlives even a panic of it.
async fn ended(control: &mut Option<JoinHandle<Option<Ended>>>) -> Option<Ended> {
    loop {
        let Some(task) = control else { return std::future::pending().await };
        match task.await {
            Ok(ended) => return ended,
            Err(error) => {
                tracing::error!(%error, "the control client failed; starting it again");
                // The pause takes its place: what has ended must not be awaited again, and something else may happen meanwhile.
                *control = Some(tokio::spawn(async {
                    tokio::time::sleep(CONTROL_AGAIN).await;
                    None
                }));
            }
        }
    }
}

/// Stops a task and waits until it has.
async fn cancel<T>(task: Option<JoinHandle<T>>) {
    if let Some(task) = task {
        task.abort();
        let _ = task.await;
    }
}

/// Writes the map to disk soon after it changed.
async fn keep_map(agent: Arc<Agent>) {
    let mut maps = agent.netmap.subscribe();
    while maps.changed().await.is_ok() {
        tokio::time::sleep(STORE_AFTER).await;
        maps.mark_unchanged();
        tokio::task::block_in_place(|| store_map(&agent));
    }
}

fn store_map(agent: &Agent) {
    if let Err(error) = agent.store_map() {
        tracing::error!(error = &error as &dyn std::error::Error, "the map is not stored");
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_control_client_that_panicked_is_started_again_also_where_something_else_comes_first()
    {
        let mut control = Some(tokio::spawn(async { panic!("unforeseen") }));
        while !control.as_ref().unwrap().is_finished() {
            tokio::task::yield_now().await;
        }

        // As where another event comes while the pause lasts.
        assert!(ended(&mut control).now_or_never().is_none(), "not at once");

        let again = timeout(4 * CONTROL_AGAIN, ended(&mut control)).await;
        assert!(again.is_ok_and(|ended| ended.is_none()));
    }
}
