//! The current network, and the map streams that watch it.
//!
//! After a change the database is read again, except that what one node told of itself is taken over as it was stored. Then
//! the network is compiled once. The map streams of the nodes that see the change are woken, and send what has changed.

mod connected;

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::state::StateError;
use control_protocol::{
    key::{MachinePublic, NodePublic},
    map::DerpMap,
};
use coordinator_core::{
    dns::ExtraDns,
    model::{Node, NodeId, Owner},
    network::{CompiledNetwork, Input},
    time::Millis,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::connected::ConnectedNodes;
pub(crate) use self::connected::Moves;
use crate::{
    admission::ListWriter,
    clock,
    derp_map::Relays,
    limits::NodeRateLimit,
    store::{Store, StoreError, StoredNetwork, shared::News},
};

/// The network at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The network as stored.
    pub(crate) loaded: Arc<StoredNetwork>,
    /// The network compiled by the policy.
    pub(crate) compiled: CompiledNetwork,
    /// The nodes that are reported as connected.
    pub(crate) online: Arc<BTreeSet<NodeId>>,
    /// The machines that have a node.
    pub(crate) machines: Arc<HashSet<MachinePublic>>,
    /// When the next node key expires.
    pub(crate) next_expiry: Option<Millis>,
    /// The relays.
    derp: Arc<DerpMap>,
    /// The policy, parsed.
    policy: Arc<acl::Policy>,
}

impl Snapshot {
    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.loaded.nodes.iter().find(|node| node.id == id).map(|node| &**node)
    }

    /// Whether the lists for the relay and telmeet are those of `before`.
    fn has_lists_of(&self, before: &Self) -> bool {
        let is_same = |(node, before): (&Arc<Node>, &Arc<Node>)| {
            let of = |node: &Node| (node.id, node.keys.node, node.times.expires);
            let has_same = || {
                of(node) == of(before)
                    && node.stable_id == before.stable_id
                    && node.owner == before.owner
                    && node.wireguard.is_some() == before.wireguard.is_some()
            };
            Arc::ptr_eq(node, before) || has_same()
        };
        let (now, then) = (&self.loaded, &before.loaded);
        self.next_expiry == before.next_expiry
            && now.users == then.users
            && now.nodes.len() == then.nodes.len()
            && now.nodes.iter().zip(&*then.nodes).all(is_same)
    }

    /// Whether a node has this key and the key has not expired. A WireGuard device uses no relay.
    pub(crate) fn has_node_key(&self, key: &NodePublic, now: Millis) -> bool {
        let mut clients = self.loaded.nodes.iter().filter(|node| node.wireguard.is_none());
        clients.any(|node| node.keys.node == *key && !node.is_expired(now))
    }

    /// The login name of an owner that is a user.
    pub(crate) fn user_of(&self, owner: &Owner) -> Option<String> {
        owner.user().and_then(|id| self.user_name(id)).map(str::to_owned)
    }

    pub(crate) fn user_name(&self, id: u64) -> Option<&str> {
        self.loaded.users.iter().find(|user| user.id == id).map(|user| user.name.as_str())
    }
}

/// The network could not be read or published.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored policy is invalid.
    #[error("the stored policy is invalid")]
    Policy(#[source] acl::Error),
    /// A list for the relay or telmeet cannot be written.
    #[error(transparent)]
    Nodes(#[from] StateError),
}

/// Holds the current network.
#[derive(Debug)]
pub(crate) struct Hub {
    store: Store,
    domain: String,
    names: Arc<ExtraDns>,
    relays: Relays,
    list: ListWriter,
    current: watch::Sender<Arc<Snapshot>>,
    /// The machines of [`Self::current`]. Every channel watches them, and they seldom change.
    machines: watch::Sender<Arc<HashSet<MachinePublic>>>,
    /// Locked while the database is read. Holds the number of the newest call of [`Self::refresh`] that a finished read
    /// covers.
    reading: tokio::sync::Mutex<u64>,
    requests: AtomicU64,
    connected: Mutex<ConnectedNodes>,
    /// Wakes [`Self::moved`].
    moved: Notify,
}

impl Hub {
    /// Reads the network, and writes the lists for the relay and telmeet.
    pub(crate) async fn start(
        store: Store,
        domain: String,
        names: ExtraDns,
        relays: Relays,
        list: ListWriter,
        grace: Duration,
    ) -> Result<Self, HubError> {
        let names = Arc::new(names);
        let loaded = Arc::new(store.load().await?);
        let first = compile(&domain, &names, relays.current(), loaded, Arc::default(), None)?;
        list.follow(&first.loaded.users, &first.loaded.nodes, clock::now()).await?;
        store.tells(first.loaded.revision);
        Ok(Self {
            store,
            domain,
            names,
            relays,
            list,
            machines: watch::Sender::new(Arc::clone(&first.machines)),
            current: watch::Sender::new(Arc::new(first)),
            reading: tokio::sync::Mutex::new(0),
            requests: AtomicU64::new(0),
            connected: Mutex::new(ConnectedNodes::new(grace)),
            moved: Notify::new(),
        })
    }

    /// The current network.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.borrow())
    }

    /// The relays that devices are told of.
    pub(crate) fn relays(&self) -> Arc<DerpMap> {
        self.relays.current()
    }

    /// Receives the network whenever it changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.current.subscribe()
    }

    /// Receives the machines that have a node whenever they change.
    pub(crate) fn watch_machines(&self) -> watch::Receiver<Arc<HashSet<MachinePublic>>> {
        self.machines.subscribe()
    }

    /// Reads the database again. When this returns, the network and the lists contain everything that was stored
    /// before the call. Concurrent calls share one read.
    pub(crate) async fn refresh(&self) -> Result<(), HubError> {
        let request = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let mut served = self.reading.lock().await;
        if *served >= request {
            return Ok(());
        }
        let upto = self.requests.load(Ordering::SeqCst);
        let loaded = Arc::new(self.store.load().await?);
        self.publish(loaded).await?;
        *served = upto;
        Ok(())
    }

    /// Takes over a node as the change with this revision stored it and nothing else. The database is read only if another
    /// change is between. When this returns, the network contains the change.
    pub(crate) async fn follow(&self, node: Node, revision: i64) -> Result<(), HubError> {
        let reading = self.reading.lock().await;
        if self.store.must_read_all() {
            drop(reading);
            return self.refresh().await;
        }
        let before = Arc::clone(&self.snapshot().loaded);
        if before.revision >= revision {
            return Ok(());
        }
        if let Some(loaded) = before.with(node, revision) {
            return self.publish(Arc::new(loaded)).await;
        }
        drop(reading);
        self.catch_up().await?;
        match self.snapshot().loaded.revision >= revision {
            true => Ok(()),
            false => self.refresh().await,
        }
    }

    /// Takes over what other coordinators changed: single nodes as they were stored, otherwise the database is read again.
    pub(crate) async fn catch_up(&self) -> Result<(), HubError> {
        if self.store.is_shared() && !self.store.must_read_all() {
            let _reading = self.reading.lock().await;
            let before = Arc::clone(&self.snapshot().loaded);
            match self.store.news_since(before.revision).await? {
                News::Nothing => return Ok(()),
                News::Nodes(nodes, revision) => {
                    if let Some(loaded) = before.with_all(nodes, revision) {
                        return self.publish(Arc::new(loaded)).await;
                    }
                }
                News::More => {}
            }
        }
        self.refresh().await
    }

    /// Compiles the network again without reading it: after a key has expired, after a node has connected or disconnected, and
    /// if [`Self::is_outdated`].
    pub(crate) async fn recompile(&self) -> Result<(), HubError> {
        let _reading = self.reading.lock().await;
        let loaded = Arc::clone(&self.snapshot().loaded);
        self.publish(loaded).await
    }

    /// Whether the DERP map or who is connected has changed, or a list could not be written.
    pub(crate) fn is_outdated(&self) -> bool {
        let current = self.snapshot();
        self.list.has_failed()
            || !Arc::ptr_eq(&self.relays.current(), &current.derp)
            || self.connected().online(&current.online) != current.online
    }

    async fn publish(&self, loaded: Arc<StoredNetwork>) -> Result<(), HubError> {
        let before = self.snapshot();
        let (domain, names, derp) = (&self.domain, &self.names, self.relays.current());
        let online = self.connected().online(&before.online);
        let next = compile(domain, names, derp, loaded, online, Some(&before))?;
        self.store.tells(next.loaded.revision);
        let had_failed = self.list.has_failed();
        let (users, nodes) = (&next.loaded.users, &next.loaded.nodes);
        let is_listed = !had_failed && next.has_lists_of(&before);
        if !is_listed
            && let Err(error) = self.list.follow(users, nodes, clock::now()).await
            && !had_failed
        {
            // The change stays. Writing is retried; until then relay and telmeet use the earlier lists.
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot write the lists for the relay and telmeet; retrying"
            );
        }
        let audience = next.compiled.audience(&before.compiled);
        let machines = Arc::clone(&next.machines);
        self.current.send_replace(Arc::new(next));
        self.machines.send_if_modified(|known| {
            let has_changed = !Arc::ptr_eq(known, &machines) && *known != machines;
            *known = machines;
            has_changed
        });
        self.connected().wake(audience.as_ref());
        Ok(())
    }

    fn connected(&self) -> MutexGuard<'_, ConnectedNodes> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The nodes that are reported as connected to this coordinator.
    pub(crate) fn online_here(&self) -> BTreeSet<NodeId> {
        self.connected().presences.reported().collect()
    }

    /// How what other coordinators report differs from what they reported before.
    pub(crate) fn moves_elsewhere(&self, elsewhere: &BTreeSet<NodeId>) -> Moves {
        self.connected().moves(elsewhere)
    }

    /// Takes over which nodes other coordinators report, for the next time that the network is compiled.
    pub(crate) fn set_elsewhere(&self, elsewhere: BTreeSet<NodeId>) {
        self.connected().elsewhere = elsewhere;
    }

    /// Marks a node as connected until the returned guard is dropped, and ends the node's earlier map stream.
    pub(crate) fn arrive(self: &Arc<Self>, id: NodeId) -> StreamGuard {
        let mut connected = self.connected();
        let streams = connected.streams.entry(id).or_default();
        streams.end.cancel();
        streams.end = CancellationToken::new();
        streams.concerned = Arc::default();
        streams.count += 1;
        let (ended, concerned) = (streams.end.clone(), Arc::clone(&streams.concerned));
        if streams.count == 1 {
            connected.presences.connect(id, Instant::now());
            self.moved.notify_one();
        }
        StreamGuard { hub: Arc::clone(self), id, ended, concerned }
    }

    fn depart(&self, id: NodeId) {
        let mut connected = self.connected();
        if let Some(streams) = connected.streams.get_mut(&id) {
            streams.count = streams.count.saturating_sub(1);
            if streams.count == 0 {
                connected.streams.remove(&id);
                connected.presences.disconnect(id, Instant::now());
                self.moved.notify_one();
            }
        }
    }

    /// Waits until the reported presence changes, and returns the nodes that left.
    pub(crate) async fn moved(&self, node_rates: &NodeRateLimit) -> BTreeSet<NodeId> {
        loop {
            let due = {
                let (now, presences) = (Instant::now(), &mut self.connected().presences);
                if let Some(left) = presences.handle_timeout(now, |id| node_rates.take(id, now)) {
                    return left;
                }
                presences.poll_timeout()
            };
            let due = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.moved.notified() => {}
            }
        }
    }

    /// Whether a node is connected, or reported as connected, here or at another coordinator.
    pub(crate) fn is_here(&self, id: NodeId) -> bool {
        self.connected().is_here(id)
    }
}

/// One map stream of a node. A node that reconnects before its old connection has ended stays online.
#[derive(Debug)]
pub(crate) struct StreamGuard {
    hub: Arc<Hub>,
    id: NodeId,
    ended: CancellationToken,
    concerned: Arc<Notify>,
}

impl StreamGuard {
    /// Waits until the network has changed for the node since the guard was made, or since this last returned.
    pub(crate) async fn is_concerned(&self) {
        self.concerned.notified().await;
    }

    /// Waits until the node starts a newer map stream.
    pub(crate) async fn is_superseded(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.hub.depart(self.id);
    }
}

fn compile(
    domain: &str,
    names: &Arc<ExtraDns>,
    derp: Arc<DerpMap>,
    loaded: Arc<StoredNetwork>,
    online: Arc<BTreeSet<NodeId>>,
    previous: Option<&Snapshot>,
) -> Result<Snapshot, HubError> {
    let kept = previous.filter(|previous| previous.loaded.policy == loaded.policy);
    let policy = match kept {
        Some(previous) => Arc::clone(&previous.policy),
        None => Arc::new(parse(&loaded.policy, previous.is_none())?),
    };
    let now = clock::now();
    let input = Input {
        domain,
        users: &loaded.users,
        nodes: &loaded.nodes,
        records: &loaded.records,
        names: Arc::clone(names),
        policy: &policy,
        policy_revision: loaded.policy_revision,
        online: &online,
        derp: Arc::clone(&derp),
        now,
    };
    // A database that went back may give another policy the number of one that was told.
    let followed = previous.filter(|previous| {
        kept.is_some() || previous.loaded.policy_revision != loaded.policy_revision
    });
    let compiled = CompiledNetwork::build(&input, followed.map(|previous| &previous.compiled));
    let next_expiry = compiled.next_expiry();
    let machines = machines(&loaded, previous);
    Ok(Snapshot { loaded, compiled, online, machines, next_expiry, derp, policy })
}

/// The machines that have a node. A node's never changes.
fn machines(loaded: &StoredNetwork, previous: Option<&Snapshot>) -> Arc<HashSet<MachinePublic>> {
    if let Some(previous) = previous {
        let before = &previous.loaded.nodes;
        let is_same = |(node, before): (&Arc<Node>, &Arc<Node>)| {
            let of = |node: &Node| (node.id, node.keys.machine);
            Arc::ptr_eq(node, before) || of(node) == of(before)
        };
        if loaded.nodes.len() == before.len() && loaded.nodes.iter().zip(&**before).all(is_same) {
            return Arc::clone(&previous.machines);
        }
    }
    let clients = loaded.nodes.iter().filter(|node| node.wireguard.is_none());
    Arc::new(clients.map(|node| node.keys.machine).collect())
}

/// Parses the stored policy, and warns of what it does not hold to only at the start: a policy that is set later is valid as
/// a whole.
fn parse(text: &str, is_start: bool) -> Result<acl::Policy, HubError> {
    let (policy, left_out) = acl::Policy::parse_stored(text).map_err(HubError::Policy)?;
    if is_start {
        for error in left_out {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a section of the policy is ignored; fix it with `maru policy set`"
            );
        }
        for warning in policy.warnings() {
            tracing::warn!(%warning, "the policy uses a feature that is not supported");
        }
    }
    Ok(policy)
}
