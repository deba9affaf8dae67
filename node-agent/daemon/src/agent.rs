//! What the agent's parts share: keys, membership, map, progress.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak},
    time::SystemTime,
};

use control_protocol::{
    key::{DiscoPublic, MachinePrivate, NodePrivate, NodePublic},
    map::{MapResponse, RegionId},
};
use node_agent_core::netmap::Netmap;
use tokio::sync::watch;
use wireguard_device::Device;

use crate::{
    backoff::Backoff,
    config::{Config, Paths},
    dns::forward::Forwarder,
    relay::Home,
    state::{self, Membership, State, StateError},
};

/// Where registration stands, as the local API tells it.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Whether this device is a node, waits, or must join.
    pub state: node_agent_api::State,
    /// What is wrong and what to do.
    pub problem: Option<String>,
    /// A page that says how it gets approved.
    pub auth_url: Option<String>,
    /// Whether the map stream is open.
    pub connected: bool,
    /// Why the last attempt to join another network failed; the device is then where it was before.
    pub refusal: Option<String>,
}

impl Progress {
    /// The progress of a device with this state and map; `refusal` says why it failed to join another network.
    fn of(state: &State, netmap: &Netmap, refusal: Option<String>) -> Self {
        match &state.membership {
            Some(membership) => {
                Self { refusal, ..Self::member(membership.registered && netmap.node.is_some()) }
            }
            None => Self::needs_join(refusal),
        }
    }

    /// A device that is no node of any network; `problem` says why.
    #[must_use]
    pub fn needs_join(problem: Option<String>) -> Self {
        let state = node_agent_api::State::NeedsJoin;
        Self { state, problem, auth_url: None, connected: false, refusal: None }
    }

    /// A node, or about to become one.
    #[must_use]
    pub fn member(registered: bool) -> Self {
        let state = if registered {
            node_agent_api::State::Running
        } else {
            node_agent_api::State::Joining
        };
        Self { state, problem: None, auth_url: None, connected: false, refusal: None }
    }

    /// Goes back to registering.
    pub fn begin_again(&mut self) {
        *self = Self { refusal: self.refusal.take(), ..Self::member(false) };
    }
}

/// What the coordinator is told about reaching this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Addresses, each with how it was found (the protocol's numbers).
    pub endpoints: Vec<(SocketAddr, i64)>,
    /// The relay region that this node waits in.
    pub home: Option<RegionId>,
}

/// What of the map the interface has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// These addresses, and the mesh's routes if it has one.
    Has(Vec<IpAddr>),
    /// The kernel refused something of the newest map, for that reason.
    Failed(String),
}

/// What the agent's parts share.
pub struct Agent {
    /// The settings.
    pub config: Config,
    /// Where files lie.
    pub paths: Paths,
    /// What of the map the interface has.
    pub interface: watch::Sender<Interface>,
    /// The DNS resolvers that the system had before the agent.
    pub forwarder: Arc<Forwarder>,
    /// The map in force.
    pub netmap: watch::Sender<Arc<Netmap>>,
    /// Where registration stands.
    pub progress: watch::Sender<Progress>,
    /// What the coordinator is told.
    pub report: watch::Sender<Report>,
    /// The relay that this node waits at.
    pub home: watch::Sender<Option<Home>>,
    /// The wait between attempts to register. A new node key does not reset it.
    pub attempts: Backoff,
    state: Mutex<State>,
    /// Held while the map's file is written or removed.
    map_file: Mutex<()>,
    device: RwLock<Weak<Device>>,
}

impl Agent {
    /// Puts together what was loaded.
    #[must_use]
    pub fn new(config: Config, paths: Paths, mut state: State, mut netmap: Netmap) -> Self {
        netmap.naming = state.membership.as_ref().map(|is| is.naming.clone()).unwrap_or_default();
        // A member of before domains were kept: the map that is in force says which one it is.
        netmap.fix_domain();
        if let Some(membership) = &mut state.membership {
            membership.naming = netmap.naming.clone();
        }
        let progress = Progress::of(&state, &netmap, None);
        Self {
            config,
            paths,
            interface: watch::Sender::new(Interface::Has(Vec::new())),
            forwarder: Arc::default(),
            netmap: watch::Sender::new(Arc::new(netmap)),
            progress: watch::Sender::new(progress),
            report: watch::Sender::default(),
            home: watch::Sender::default(),
            attempts: Backoff::default(),
            state: Mutex::new(state),
            map_file: Mutex::default(),
            device: RwLock::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The coordinator that this device belongs to, or is joining.
    #[must_use]
    pub fn membership(&self) -> Option<Membership> {
        self.state().membership.clone()
    }

    /// Returns the machine key: this device's identity towards the coordinator.
    #[must_use]
    pub fn machine_key(&self) -> MachinePrivate {
        self.state().machine_key.clone()
    }

    /// Returns the private node key: this node's WireGuard identity.
    #[must_use]
    pub fn private_key(&self) -> NodePrivate {
        self.state().node_key.clone()
    }

    /// Returns the node key, and the key that it replaces at the coordinator, if any.
    #[must_use]
    pub fn node_keys(&self) -> (NodePublic, Option<NodePublic>) {
        let state = self.state();
        (state.node_key.public(), state.old_node_key)
    }

    /// Returns the public path discovery key.
    #[must_use]
    pub fn disco_key(&self) -> DiscoPublic {
        self.state().disco_key.public()
    }

    /// The name to ask the coordinator for.
    #[must_use]
    pub fn hostname(&self) -> String {
        let asked = self.membership().and_then(|membership| membership.hostname);
        asked
            .or_else(|| self.config.settings.hostname.clone())
            .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
    }

    /// Changes the state and stores it. A state that cannot be stored is logged and holds until the end.
    pub fn change_state(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        if let Err(error) = state.store(&self.paths) {
            tracing::error!(error = &error as &dyn std::error::Error, "the state is not stored");
        }
    }

    /// Changes the membership, if there is one, and stores it.
    pub fn change_membership(&self, change: impl FnOnce(&mut Membership)) {
        self.change_state(|state| {
            if let Some(membership) = &mut state.membership {
                change(membership);
            }
        });
    }

    /// Begins to join a network. The membership so far is kept until the new coordinator has taken the request.
    pub fn join(&self, membership: Membership) {
        self.change_state(|state| state.join(membership));
        self.progress.send_replace(Progress::member(false));
    }

    /// Forgets the former membership: the new coordinator has taken this device's request.
    pub fn stay(&self) {
        if self.state().former.is_some() {
            self.change_state(|state| state.former = None);
        }
    }

    /// Goes back to the former membership, if there was one: the new coordinator refused this device.
    pub fn go_back(&self, reason: String) {
        let mut before = false;
        self.change_state(|state| before = state.go_back());
        let reason = if before {
            format!("{reason}; this device is where it was before")
        } else {
            self.clear_netmap();
            reason
        };
        let progress = Progress::of(&self.state(), &self.netmap.borrow(), Some(reason));
        self.progress.send_replace(progress);
    }

    /// Takes a message of the map stream; returns whether it could be used.
    pub fn apply_map(&self, message: MapResponse, first: bool) -> bool {
        let mut netmap = Netmap::clone(&self.netmap.borrow());
        let told = netmap.problem();
        let naming = self.membership().map(|is| is.naming).unwrap_or_default();
        if first {
            netmap.naming = naming.clone();
            if let Err(error) = netmap.apply_first(message) {
                tracing::warn!(%error, "unusable map");
                return false;
            }
        } else {
            netmap.apply(message);
        }
        if netmap.naming != naming {
            self.change_membership(|membership| membership.naming = netmap.naming.clone());
        }
        if let Some(problem) = netmap.problem().filter(|problem| told.as_ref() != Some(problem)) {
            tracing::warn!("{problem}");
        }
        self.netmap.send_if_modified(|current| {
            let changed = **current != netmap;
            if changed {
                *current = Arc::new(netmap);
            }
            changed
        });
        true
    }

    /// Forgets the map: this device is no node any more.
    pub fn clear_netmap(&self) {
        self.netmap.send_if_modified(|current| {
            let changed = **current != Netmap::default();
            if changed {
                *current = Arc::default();
            }
            changed
        });
    }

    /// Cuts peers whose keys have ended by this machine's clock, until the coordinator's next map. While it is connected
    /// nothing is done: it says so itself.
    pub fn expire_peers(&self) {
        if self.progress.borrow().connected {
            return;
        }
        let now = SystemTime::now();
        self.netmap.send_if_modified(|current| match current.with_expired(now) {
            Some(next) => {
                tracing::info!(
                    "the coordinator is away, and a peer's key has expired: it is cut off"
                );
                *current = Arc::new(next);
                true
            }
            None => false,
        });
    }

    /// Whether this node's key has expired: as the coordinator says while connected, else by this machine's clock.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        let netmap = Arc::clone(&self.netmap.borrow());
        let alone = !self.progress.borrow().connected;
        netmap.is_expired(alone.then(SystemTime::now))
    }

    /// Makes a new node key, to be registered in place of the current one.
    ///
    /// # Errors
    ///
    /// Fails if the system gives no randomness.
    pub fn rotate_node_key(&self) -> Result<(), StateError> {
        let node_key = NodePrivate::generate().map_err(StateError::Random)?;
        self.change_state(|state| {
            state.old_node_key = Some(state.node_key.public());
            state.node_key = node_key;
            if let Some(membership) = &mut state.membership {
                membership.registered = false;
            }
        });
        Ok(())
    }

    /// Forgets keys, membership and map.
    ///
    /// # Errors
    ///
    /// The system gives no randomness for new keys, or the map's file cannot be removed.
    pub fn wipe(&self) -> Result<(), StateError> {
        let fresh = State::generate()?;
        self.change_state(|state| *state = fresh);
        self.clear_netmap();
        self.store_map()
    }

    /// Writes the map in force to its file; where there is none, removes that.
    ///
    /// # Errors
    ///
    /// The file cannot be written or removed.
    pub fn store_map(&self) -> Result<(), StateError> {
        // The map is looked at by whoever has the file, so that none comes back that was replaced meanwhile.
        let _file = self.map_file.lock().unwrap_or_else(PoisonError::into_inner);
        let netmap = Arc::clone(&self.netmap.borrow());
        match netmap.node {
            Some(_) => state::store_netmap(&self.paths, &netmap),
            None => state::remove_netmap(&self.paths),
        }
    }

    /// Keeps the running device, so that the local API can tell the paths to peers.
    pub fn set_device(&self, device: &Arc<Device>) {
        *self.device.write().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(device);
    }

    /// The running device.
    #[must_use]
    pub fn device(&self) -> Option<Arc<Device>> {
        self.device.read().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}

#[cfg(test)]
mod tests;
