//! State that the agent's parts share: keys, membership, map, progress.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak},
    time::SystemTime,
};

use chassis::log::event;
use control_protocol::{
    key::{DiscoPrivate, DiscoPublic, MachinePrivate, NodePrivate, NodePublic},
    map::{MapResponse, RegionId},
};
use messages::{Message, message};
use node_agent_core::{domain::Domain, netmap::Netmap};
use tokio::sync::watch;
use wireguard_device::Device;

use crate::{
    backoff::Backoff,
    clock::CoordinatorClock,
    config::{Config, Paths},
    dns::forward::Forwarder,
    https::{
        authority::{Authority, AuthorityError},
        public::{CertificateState, StoredCertificate},
    },
    reach::Reach,
    relay::HomeRegion,
    router::RouterState,
    state::{self, Membership, State, StateError},
    wireguard::speaker::ServiceState,
};

/// Progress of the registration, for the local API.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// The state.
    pub(crate) state: node_agent_api::State,
    /// What is wrong and what to do.
    pub(crate) problem: Option<Message>,
    /// A page that says how this device gets approved.
    pub(crate) auth_url: Option<String>,
    /// Whether the map stream is open.
    pub(crate) connected: bool,
    /// Why the last attempt to join another network failed; the former membership is then in force.
    pub(crate) refusal: Option<Message>,
}

impl Progress {
    /// The progress of a device with this state and map; `refusal` says why it failed to join another network.
    fn of(state: &State, netmap: &Netmap, refusal: Option<Message>) -> Self {
        match &state.membership {
            Some(membership) => {
                Self { refusal, ..Self::member(membership.registered && netmap.node.is_some()) }
            }
            None => Self::needs_join(refusal),
        }
    }

    /// A device that is not a node of any network; `problem` says why.
    pub(crate) fn needs_join(problem: Option<Message>) -> Self {
        let state = node_agent_api::State::NeedsJoin;
        Self { state, problem, auth_url: None, connected: false, refusal: None }
    }

    /// A node, or about to become one.
    pub(crate) fn member(registered: bool) -> Self {
        let state = if registered {
            node_agent_api::State::Running
        } else {
            node_agent_api::State::Joining
        };
        Self { state, problem: None, auth_url: None, connected: false, refusal: None }
    }

    /// Goes back to registering.
    pub(crate) fn restart(&mut self) {
        *self = Self { refusal: self.refusal.take(), ..Self::member(false) };
    }
}

/// How this node can be reached, as reported to the coordinator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndpointReport {
    /// Addresses, each with how it was found (the protocol's numbers).
    pub(crate) endpoints: Vec<(SocketAddr, i64)>,
    /// The relay region that this node waits in.
    pub(crate) home: Option<RegionId>,
}

/// Which part of the map the interface has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InterfaceState {
    /// These addresses, and the mesh's routes if it has one.
    Configured(Vec<IpAddr>),
    /// The kernel refused an address or route of the newest map, for this reason.
    Failed(String),
}

/// State that the agent's parts share.
pub(crate) struct Agent {
    /// The settings.
    pub(crate) config: Config,
    /// Where files lie.
    pub(crate) paths: Paths,
    /// Which part of the map the interface has.
    pub(crate) interface: watch::Sender<InterfaceState>,
    /// The DNS resolvers that the system had before the agent.
    pub(crate) forwarder: Arc<Forwarder>,
    /// The map in force.
    pub(crate) netmap: watch::Sender<Arc<Netmap>>,
    /// Progress of the registration.
    pub(crate) progress: watch::Sender<Progress>,
    /// How this node can be reached.
    pub(crate) report: watch::Sender<EndpointReport>,
    /// Whether others reach this node at its outer addresses.
    pub(crate) reach: Reach,
    /// What the router forwards.
    pub(crate) router: watch::Sender<RouterState>,
    /// The relay that this node waits at.
    pub(crate) home: watch::Sender<Option<HomeRegion>>,
    /// Counts changes of this machine's network, sleep included.
    pub(crate) network_changes: watch::Sender<u64>,
    /// How programs are led to the resolver, as the status shows it.
    pub(crate) dns: watch::Sender<Option<&'static str>>,
    /// The backoff between attempts to register. A new node key does not reset it.
    pub(crate) attempts: Backoff,
    /// The time of day by the coordinator.
    pub(crate) clock: CoordinatorClock,
    /// Files of the state that could not be written, with the reason.
    unstored: Mutex<BTreeMap<&'static str, String>>,
    /// How the public certificates stand, by name.
    certificates: Mutex<BTreeMap<String, CertificateState>>,
    state: Mutex<State>,
    /// Held while the map's file is written or removed.
    map_file: Mutex<()>,
    device: RwLock<Weak<Device>>,
    wireguard: Mutex<ServiceState>,
}

impl Agent {
    /// An agent with the loaded settings, state and map.
    pub(crate) fn new(config: Config, paths: Paths, mut state: State, mut netmap: Netmap) -> Self {
        netmap.naming = state.membership.as_ref().map(|is| is.naming.clone()).unwrap_or_default();
        netmap.fix_domain();
        if let Some(membership) = &mut state.membership {
            membership.naming = netmap.naming.clone();
        }
        let progress = Progress::of(&state, &netmap, None);
        let exit_node = config.settings.exit_node.as_ref();
        let of_exit = exit_node.map(|_| config.settings.exit_node_dns.clone());
        let forwarder = Arc::new(Forwarder::new(of_exit));
        Self {
            config,
            paths,
            interface: watch::Sender::new(InterfaceState::Configured(Vec::new())),
            forwarder,
            netmap: watch::Sender::new(Arc::new(netmap)),
            progress: watch::Sender::new(progress),
            report: watch::Sender::default(),
            reach: Reach::default(),
            router: watch::Sender::default(),
            home: watch::Sender::default(),
            network_changes: watch::Sender::default(),
            dns: watch::Sender::default(),
            attempts: Backoff::default(),
            clock: CoordinatorClock::default(),
            unstored: Mutex::default(),
            certificates: Mutex::default(),
            state: Mutex::new(state),
            map_file: Mutex::default(),
            device: RwLock::default(),
            wireguard: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The coordinator that this device belongs to, or is joining.
    pub(crate) fn membership(&self) -> Option<Membership> {
        self.state().membership.clone()
    }

    /// Returns the machine key: this device's identity towards the coordinator.
    pub(crate) fn machine_key(&self) -> MachinePrivate {
        self.state().machine_key.clone()
    }

    /// Returns the private node key: this node's WireGuard identity.
    pub(crate) fn private_key(&self) -> NodePrivate {
        self.state().node_key.clone()
    }

    /// Returns the node key, and the key that it replaces at the coordinator, if any.
    pub(crate) fn node_keys(&self) -> (NodePublic, Option<NodePublic>) {
        let state = self.state();
        (state.node_key.public(), state.old_node_key)
    }

    /// Returns the private path discovery key.
    pub(crate) fn discovery_key(&self) -> DiscoPrivate {
        self.state().disco_key.clone()
    }

    /// Returns the public path discovery key.
    pub(crate) fn disco_key(&self) -> DiscoPublic {
        self.state().disco_key.public()
    }

    /// The name to ask the coordinator for.
    pub(crate) fn hostname(&self) -> String {
        let asked = self.membership().and_then(|membership| membership.hostname);
        asked
            .or_else(|| self.config.settings.hostname.clone())
            .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
    }

    /// The authority of this network, if it was made.
    pub(crate) fn own_authority(&self, network: &Domain) -> Option<Authority> {
        self.state().authority.clone().filter(|authority| authority.network == *network)
    }

    /// The authority of this network; makes and stores one if there is none, in place of another network's.
    pub(crate) fn authority(&self, network: &Domain) -> Result<Authority, AuthorityError> {
        if let Some(authority) = self.own_authority(network) {
            return Ok(authority);
        }
        let authority = Authority::create(network)?;
        self.change_state(|state| state.authority = Some(authority.clone()));
        Ok(authority)
    }

    /// The stored public certificates.
    pub(crate) fn certificates(&self) -> Vec<StoredCertificate> {
        self.state().certificates.clone()
    }

    /// How the public certificates stand, by name.
    pub(crate) fn certificate_states(&self) -> MutexGuard<'_, BTreeMap<String, CertificateState>> {
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and stores it. If that fails, the error is logged and the change lasts until the agent stops.
    pub(crate) fn change_state(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let stored = state.store(&self.paths);
        self.note_stored("state.json", &stored);
        if let Err(error) = stored {
            let (event, error) = (event::STATE_NOT_STORED, &error as &dyn std::error::Error);
            tracing::error!(%event, error, "the state is not stored");
        }
    }

    /// Records whether a file of the state was written, for [`Self::trouble`].
    pub(crate) fn note_stored(&self, file: &'static str, stored: &Result<(), StateError>) {
        let mut unstored = self.unstored.lock().unwrap_or_else(PoisonError::into_inner);
        match stored {
            Ok(()) => unstored.remove(file),
            Err(error) => unstored.insert(file, first_cause(error)),
        };
    }

    /// What is wrong with this machine, although the tunnel works: its disk or its clock.
    pub(crate) fn trouble(&self) -> Option<Message> {
        let unstored = self.unstored.lock().unwrap_or_else(PoisonError::into_inner);
        let disk = unstored.values().next().map(|reason| {
            let folder = self.paths.state_dir();
            message!("problem-agent-not-stored", folder = folder.display(), reason)
        });
        disk.or_else(|| self.clock.difference(SystemTime::now()))
    }

    /// Changes the membership, if there is one, and stores it.
    pub(crate) fn change_membership(&self, change: impl FnOnce(&mut Membership)) {
        self.change_state(|state| {
            if let Some(membership) = &mut state.membership {
                change(membership);
            }
        });
    }

    /// Whether the tunnel is down until it is resumed.
    pub(crate) fn is_paused(&self) -> bool {
        self.state().paused
    }

    /// Records that the tunnel is down, or up again.
    pub(crate) fn set_paused(&self, paused: bool) {
        self.change_state(|state| state.paused = paused);
        self.progress.send_modify(|progress| progress.connected = false);
    }

    /// Begins to join a network. The current membership is kept until the new coordinator has accepted the request.
    pub(crate) fn join(&self, membership: Membership) {
        self.change_state(|state| state.join(membership));
        self.progress.send_replace(Progress::member(false));
    }

    /// Forgets the former membership: the new coordinator has accepted the request.
    pub(crate) fn confirm_join(&self) {
        if self.state().former.is_some() {
            self.change_state(|state| state.former = None);
        }
    }

    /// Restores the former membership, if there was one: the new coordinator refused this device.
    pub(crate) fn revert_join(&self, reason: Message) {
        let mut before = false;
        self.change_state(|state| before = state.revert_join());
        let reason = if before {
            message!("problem-agent-still-member", reason)
        } else {
            self.clear_netmap();
            reason
        };
        let progress = Progress::of(&self.state(), &self.netmap.borrow(), Some(reason));
        self.progress.send_replace(progress);
    }

    /// Applies a message of the map stream; returns whether it was valid.
    pub(crate) fn apply_map(&self, message: MapResponse, first: bool) -> bool {
        let mut netmap = Netmap::clone(&self.netmap.borrow());
        let known = netmap.problem();
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
        if let Some(problem) = netmap.problem().filter(|problem| known.as_ref() != Some(problem)) {
            tracing::warn!("{problem}");
        }
        replace(&self.netmap, Arc::new(netmap));
        true
    }

    /// Clears the map: this device is no longer a node.
    pub(crate) fn clear_netmap(&self) {
        replace(&self.netmap, Arc::default());
    }

    /// Cuts off peers whose keys have expired by [`Self::clock`], until the next map. A connected coordinator does that
    /// itself.
    pub(crate) fn expire_peers(&self) {
        if self.progress.borrow().connected {
            return;
        }
        let now = self.clock.now();
        self.netmap.send_if_modified(|current| match current.with_expired(now) {
            Some(next) => {
                tracing::info!(
                    "a peer's key has expired while the coordinator is not connected: the peer is cut off"
                );
                *current = Arc::new(next);
                true
            }
            None => false,
        });
    }

    /// Whether this node's key has expired: by the coordinator's word while connected, else by [`Self::clock`].
    pub(crate) fn is_expired(&self) -> bool {
        let netmap = Arc::clone(&self.netmap.borrow());
        let alone = !self.progress.borrow().connected;
        netmap.is_expired(alone.then(|| self.clock.now()))
    }

    /// Generates a new node key, to be registered in place of the current one.
    pub(crate) fn rotate_node_key(&self) -> Result<(), StateError> {
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
    pub(crate) fn wipe(&self) -> Result<(), StateError> {
        let fresh = State::generate()?;
        self.change_state(|state| *state = fresh);
        self.clear_netmap();
        self.store_map()
    }

    /// Writes the map in force to its file, or removes the file if there is no map.
    pub(crate) fn store_map(&self) -> Result<(), StateError> {
        // Read under the lock, so that an older map never overwrites a newer one.
        let _file = self.map_file.lock().unwrap_or_else(PoisonError::into_inner);
        let netmap = Arc::clone(&self.netmap.borrow());
        match netmap.node {
            Some(_) => state::store_netmap(&self.paths, &netmap),
            None => state::remove_netmap(&self.paths),
        }
    }

    /// Keeps the running device, so that the local API can show the paths to peers.
    pub(crate) fn set_device(&self, device: &Arc<Device>) {
        *self.device.write().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(device);
    }

    /// Returns the private key for WireGuard devices; generates and stores it if there is none.
    pub(crate) fn wireguard_key(&self) -> Result<NodePrivate, StateError> {
        if let Some(key) = self.state().wireguard_key.clone() {
            return Ok(key);
        }
        let mut key = NodePrivate::generate().map_err(StateError::Random)?;
        self.change_state(|state| key = state.wireguard_key.get_or_insert(key.clone()).clone());
        Ok(key)
    }

    /// How it stands with WireGuard devices.
    pub(crate) fn wireguard(&self) -> MutexGuard<'_, ServiceState> {
        self.wireguard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The running device.
    pub(crate) fn device(&self) -> Option<Arc<Device>> {
        self.device.read().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}

/// The cause behind an error and its causes, such as a full disk.
fn first_cause(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// Replaces a watched value; wakes nobody if it is the same. Returns whether it changed.
pub(crate) fn replace<T: PartialEq>(watched: &watch::Sender<T>, value: T) -> bool {
    watched.send_if_modified(|current| {
        let changed = *current != value;
        if changed {
            *current = value;
        }
        changed
    })
}

#[cfg(test)]
mod tests;
