//! The agent daemon: a device's part in the mesh.
//!
//! * `start`: gives up root's rights, before anything else; `restore` undoes what an agent that was killed left;
//!   `kill_switch` is what runs at boot.
//! * [`control`]: registers this device and follows the network map.
//! * `tunnel`: applies the map to device, interface, firewall, [`relay`]s, [`dns`], services, endpoint discovery.
//! * `wireguard`: forwards devices that have plain WireGuard alone into the mesh.
//! * `https`: TLS in front of services, and the network's own authority.
//! * `dial`: sockets through which users of this machine reach loopback and mesh addresses.
//! * `change`: notices another network, and sleep.
//! * `api`: the local API for joining and leaving.
//! * `agent`: shared state; `state` is its part on disk.
//!
//! The tunnel does not wait for the coordinator: it applies the last map, which is kept on disk.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a daemon is a shell: it reads the clock")]

use std::{
    io,
    os::fd::AsFd as _,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use chassis::{
    log::event,
    notify,
    signal::Termination,
    unix::{Access, BindError, Socket},
};
use services::Instance;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

mod agent;
mod api;
mod args;
mod backoff;
mod change;
mod clock;
mod config;
mod connect;
pub mod control;
mod dial;
pub mod dns;
mod endpoints;
mod firewall;
mod home;
mod https;
mod kill_switch;
mod link;
mod netlink;
mod outside;
mod ports;
mod probe;
mod proxy;
mod reach;
pub mod relay;
mod restore;
mod router;
mod routing;
mod service;
mod start;
mod state;
mod tunnel;
mod wireguard;

use agent::{Agent, Progress};
use api::{Api, Command};
pub use args::{Action, Args};
use control::ControlEnd;
use dns::helper::Helper;
pub use kill_switch::{KillSwitchError, close as kill_switch};
pub use restore::{RestoreError, restore};
use start::{RootResources, STORED_TUN, StartError, Startup};
use state::{State, StateError};
use tunnel::{Tunnel, TunnelError, TunnelSetup};

/// Every endpoint of the local API.
#[must_use]
pub fn endpoints() -> Vec<chassis::endpoint::Declaration> {
    chassis::endpoint::list(&api::endpoints())
}

/// Every endpoint of plain HTTP on the mesh port of HTTPS.
#[must_use]
pub fn trust_endpoints() -> Vec<chassis::endpoint::Declaration> {
    chassis::endpoint::list(&https::page::endpoints())
}

/// Timeout of the logout at the coordinator.
const LOGOUT: Duration = Duration::from_secs(5);
/// Pause before the control client is restarted after a panic.
const CONTROL_AGAIN: Duration = Duration::from_secs(5);
/// How long changes of the map are collected before they are written.
const STORE_AFTER: Duration = Duration::from_millis(500);

/// The agent cannot run. Each message is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot start with the right privileges.
    #[error(transparent)]
    Startup(#[from] StartError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The tunnel.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// The local API.
    #[error(transparent)]
    Api(#[from] BindError),
    /// The asynchronous runtime cannot start.
    #[error("cannot start threads (raise the limit of processes)")]
    Runtime(#[source] io::Error),
    /// Signals cannot be received.
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
}

/// Runs the agent of the instance at `root` until it receives a stop signal. Call it while the process has one thread: rights
/// are given up per thread, and new threads inherit the rest.
///
/// `config` is another settings file than `etc/maru/agent.toml` below the root.
///
/// # Errors
///
/// See [`Error`]; nothing is left behind but a kill switch, for the next start or [`restore()`].
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

async fn serve(start: Startup, helper: Option<Arc<Helper>>) -> Result<(), Error> {
    chassis::process::raise_file_limit();
    let Startup { config, paths, root, inherited: RootResources { tun, wireguard_tun, .. } } =
        start;
    let state = State::load_or_generate(&paths)?;
    let netmap = match &state.membership {
        Some(membership) if membership.registered => state::load_netmap(&paths)?,
        Some(_) | None => None,
    };
    let instance = Instance::of(&root);
    let (interface, table) = (config.settings.interface(&instance), instance.table());
    let agent = Arc::new(Agent::new(config, paths, state, netmap.unwrap_or_default()));
    let mut stop = Termination::watch().map_err(Error::Signals)?;

    let is_stored = tun.as_ref().is_some_and(|tun| {
        notify::store_fd(STORED_TUN, tun.as_fd()).unwrap_or_else(|error| {
            tracing::warn!(%error, "connections will end when the agent is restarted");
            false
        })
    });
    let firewall = OnceLock::new();
    let setup =
        TunnelSetup { interface, table, firewall, instance, tun, wireguard_tun, is_stored, helper };
    let tunnel = start_tunnel(&agent, &setup).await?;
    let socket = match Socket::bind(&agent.paths.socket(), Access::Everyone) {
        Ok(socket) => socket,
        Err(error) => {
            if let Some(tunnel) = tunnel {
                tunnel.stop().await;
            }
            return Err(error.into());
        }
    };
    let (commands, requests) = mpsc::channel(4);
    let interface = setup.interface.clone();
    let api = Api::new(Arc::clone(&agent), commands, interface);
    let api = tokio::spawn(api::serve(socket, api, api::Timeouts::default()));
    let dials = tokio::spawn(dial::run(Arc::clone(&agent), setup.interface.clone()));
    let local = tokio::spawn(service::local::run(Arc::clone(&agent)));
    let store = tokio::spawn(keep_map(Arc::clone(&agent)));
    let changes = tokio::spawn(change::watch(Arc::clone(&agent), setup.interface.clone()));
    notify::ready();
    tracing::info!(interface = setup.interface, "agent started");

    let agent_loop =
        AgentLoop { agent: Arc::clone(&agent), setup, requests, tunnel, control: None };
    let ended = agent_loop.run(&mut stop).await;
    // This closes their sockets.
    cancel(Some(dials)).await;
    cancel(Some(api)).await;
    local.abort();
    store.abort();
    changes.abort();
    store_map(&agent);
    ended
}

/// Starts the tunnel, unless the node is paused.
async fn start_tunnel(agent: &Arc<Agent>, setup: &TunnelSetup) -> Result<Option<Tunnel>, Error> {
    if agent.is_paused() {
        tracing::info!("paused: there is no tunnel until `maru resume`");
        return Ok(None);
    }
    Ok(Some(Tunnel::start(agent, setup).await?))
}

/// Returns only if another program removed the interface.
async fn follow(tunnel: Option<&Tunnel>) {
    match tunnel {
        Some(tunnel) => tunnel.follow().await,
        None => std::future::pending().await,
    }
}

/// The agent's main loop.
struct AgentLoop {
    agent: Arc<Agent>,
    setup: TunnelSetup,
    requests: mpsc::Receiver<Command>,
    /// `None` while the node is paused.
    tunnel: Option<Tunnel>,
    /// `None` without a membership, and while the node is paused.
    control: Option<JoinHandle<Option<ControlEnd>>>,
}

/// An event of the main loop.
enum Event {
    Stop,
    /// The interface was removed.
    InterfaceRemoved,
    Command(Option<Command>),
    /// The control client ended; `None` after a panic.
    Control(Option<ControlEnd>),
}

impl AgentLoop {
    async fn run(mut self, stop: &mut Termination) -> Result<(), Error> {
        self.contact();
        loop {
            let event = tokio::select! {
                () = stop.asked() => Event::Stop,
                command = self.requests.recv() => Event::Command(command),
                ended = ended(&mut self.control) => Event::Control(ended),
                () = follow(self.tunnel.as_ref()) => Event::InterfaceRemoved,
            };
            match event {
                Event::Stop | Event::Command(None) => {
                    cancel(self.control).await;
                    tracing::info!("agent stops");
                    match self.tunnel {
                        Some(tunnel) if self.setup.is_stored => tunnel.hand_over().await,
                        Some(tunnel) => tunnel.stop().await,
                        None => {}
                    }
                    return Ok(());
                }
                Event::InterfaceRemoved => {
                    tracing::error!("another program removed the interface: recreating it");
                    self.restart().await?;
                }
                Event::Command(Some(command)) => self.perform(command).await?,
                Event::Control(ended) => self.handle_control(ended).await?,
            }
        }
    }

    /// Performs a command; its sender is dropped when that is done.
    async fn perform(&mut self, command: Command) -> Result<(), Error> {
        match command {
            Command::Join(membership, _done) => {
                cancel(self.control.take()).await;
                self.agent.join(*membership);
                self.resume().await
            }
            Command::Leave(_done) => {
                cancel(self.control.take()).await;
                self.leave().await?;
                self.restart().await
            }
            Command::Pause(_done) => {
                cancel(self.control.take()).await;
                if let Some(tunnel) = self.tunnel.take() {
                    tunnel.stop().await;
                }
                // The kill switch, too: root wants this machine as it was.
                self.setup.release();
                self.setup.firewall.take();
                // Last, so that a pause that is cut short leaves nothing behind.
                self.agent.set_paused(true);
                tracing::info!("paused");
                Ok(())
            }
            Command::Resume(_done) if self.tunnel.is_some() => Ok(()),
            Command::Resume(_done) => {
                // First, so that the next start removes what a crash leaves from here on.
                self.agent.set_paused(false);
                tracing::info!("resumed");
                self.resume().await
            }
        }
    }

    async fn handle_control(&mut self, ended: Option<ControlEnd>) -> Result<(), Error> {
        match ended {
            Some(ControlEnd::Refused(reason)) => {
                let event = event::DEVICE_REFUSED;
                tracing::warn!(%event, %reason, "the coordinator refused this device");
                self.agent.revert_join(reason);
            }
            Some(ControlEnd::KeyExpired) => {
                tracing::warn!(event = %event::KEY_EXPIRED, "the node key has expired: registering another");
                self.agent.rotate_node_key()?;
                self.agent.clear_netmap();
                self.agent.progress.send_modify(Progress::restart);
                self.restart().await?;
            }
            None => {}
        }
        self.contact();
        Ok(())
    }

    /// Starts the tunnel if there is none, and the control client.
    async fn resume(&mut self) -> Result<(), Error> {
        if self.tunnel.is_none() {
            self.tunnel = start_tunnel(&self.agent, &self.setup).await?;
        }
        self.contact();
        Ok(())
    }

    /// Starts the control client of a member that is not paused.
    fn contact(&mut self) {
        let contacts = self.agent.membership().is_some() && !self.agent.is_paused();
        let agent = Arc::clone(&self.agent);
        self.control = contacts.then(|| tokio::spawn(async { Some(control::run(agent).await) }));
    }

    /// Restarts the tunnel, with the current node key.
    async fn restart(&mut self) -> Result<(), Error> {
        if let Some(tunnel) = self.tunnel.take() {
            tunnel.stop().await;
        }
        self.tunnel = start_tunnel(&self.agent, &self.setup).await?;
        Ok(())
    }

    async fn leave(&self) -> Result<(), Error> {
        match timeout(LOGOUT, control::logout(&self.agent)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "not logged out at the coordinator"),
            Err(_) => tracing::warn!("not logged out: the coordinator does not answer"),
        }
        self.agent.wipe()?;
        self.agent.progress.send_replace(Progress::needs_join(None));
        tracing::info!("left the network");
        Ok(())
    }
}

/// Waits for the control client's end. A panic of it does not stop the tunnel.
async fn ended(control: &mut Option<JoinHandle<Option<ControlEnd>>>) -> Option<ControlEnd> {
    loop {
        let Some(task) = control else { return std::future::pending().await };
        match task.await {
            Ok(ended) => return ended,
            Err(error) => {
                tracing::error!(%error, "the control client panicked; restarting it");
                // The pause replaces the task: a finished task must not be awaited again, and this future may be dropped.
                *control = Some(tokio::spawn(async {
                    tokio::time::sleep(CONTROL_AGAIN).await;
                    None
                }));
            }
        }
    }
}

/// Aborts a task and waits for its end.
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
    let stored = agent.store_map();
    agent.note_stored("netmap.json", &stored);
    if let Err(error) = stored {
        let (event, error) = (event::STATE_NOT_STORED, &error as &dyn std::error::Error);
        tracing::error!(%event, error, "the map is not stored");
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
