//! Stores what nodes report about themselves.
//!
//! Each write costs a commit and new maps for the peers, so it takes a token from the node's bucket ([`NodeRateLimit`]). Updates
//! beyond the limit are acknowledged at once and stored later, only the newest for each node. Pending updates are written
//! when the coordinator stops, and lost if it crashes; agents report again when they reconnect.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use control_protocol::{
    key::{DiscoPublic, NodePublic},
    map::{Hostinfo, MapRequest},
    register::RegisterRequest,
};
use coordinator_api::Actor;
use coordinator_core::model::{Node, NodeId};
use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    hub::{Hub, HubError},
    limits::NodeRateLimit,
    store::Store,
};

/// Endpoints that are stored for a node.
const ENDPOINTS_MAX: usize = 32;

/// What a node reports about itself. `None`: unchanged.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    node_key: NodePublic,
    version: u32,
    hostinfo: Option<Hostinfo>,
    endpoints: Option<Vec<SocketAddr>>,
    disco: Option<DiscoPublic>,
}

impl From<MapRequest> for Update {
    fn from(request: MapRequest) -> Self {
        let mut endpoints = request.endpoints;
        endpoints.truncate(ENDPOINTS_MAX);
        Self {
            node_key: request.node_key,
            version: request.version,
            hostinfo: request.hostinfo,
            endpoints: Some(endpoints),
            disco: Some(request.disco_key),
        }
    }
}

impl From<&RegisterRequest> for Update {
    fn from(request: &RegisterRequest) -> Self {
        Self {
            node_key: request.node_key,
            version: request.version,
            hostinfo: request.hostinfo.clone(),
            endpoints: None,
            disco: None,
        }
    }
}

impl Update {
    /// Merges this with an older update, whose fields apply where this has none.
    fn over(self, older: Self) -> Self {
        if self.node_key != older.node_key {
            return self;
        }
        Self {
            hostinfo: self.hostinfo.or(older.hostinfo),
            endpoints: self.endpoints.or(older.endpoints),
            disco: self.disco.or(older.disco),
            ..self
        }
    }

    /// The updated node; `None` if nothing changes.
    fn applied_to(&self, before: &Node) -> Option<Node> {
        let mut node = before.clone();
        node.claims.version = self.version;
        if let Some(hostinfo) = &self.hostinfo {
            node.claims.hostinfo.clone_from(hostinfo);
        }
        if let Some(home_derp) = node.claims.hostinfo.preferred_derp() {
            node.claims.home_derp = home_derp;
        }
        if let Some(endpoints) = &self.endpoints {
            node.claims.endpoints.clone_from(endpoints);
        }
        if let Some(disco) = self.disco {
            node.keys.disco = disco;
        }
        (node.claims != before.claims || node.keys.disco != before.keys.disco).then_some(node)
    }
}

/// The result of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpdateOutcome {
    /// It is stored, and the maps show it.
    Written,
    /// It is stored later, unless a newer update replaces it.
    Later,
    /// It was dropped: the node no longer exists.
    Gone,
    /// It was dropped: the database failed.
    Failed,
}

/// The updates of all nodes.
#[derive(Clone, Debug)]
pub(crate) struct Updates {
    store: Store,
    hub: Arc<Hub>,
    tasks: TaskTracker,
    stop: CancellationToken,
    node_rates: NodeRateLimit,
    /// The nodes whose updates a task writes, each with its newest pending update.
    served: Arc<Mutex<HashMap<NodeId, Option<QueuedUpdate>>>>,
}

/// A pending update.
#[derive(Debug)]
struct QueuedUpdate {
    update: Update,
    /// Receives the result, if the caller waits for it.
    asked: Option<oneshot::Sender<UpdateOutcome>>,
}

/// The next step for a node.
enum NextStep {
    Nothing,
    Later(Duration),
    Now(Box<QueuedUpdate>),
}

impl Updates {
    /// Updates are written on `tasks`; those that wait when `stop` is cancelled are written then.
    pub(crate) fn new(
        store: Store,
        hub: Arc<Hub>,
        tasks: TaskTracker,
        stop: CancellationToken,
        node_rates: NodeRateLimit,
    ) -> Self {
        Self { store, hub, tasks, stop, node_rates, served: Arc::default() }
    }

    /// Stores an update if it changes the node, even if the caller disconnects.
    pub(crate) async fn submit(&self, node: &Node, update: Update) -> UpdateOutcome {
        match self.enqueue(node, update, Instant::now()) {
            // The sender is dropped if a newer update arrives or this one must wait.
            Ok(written) => written.await.unwrap_or(UpdateOutcome::Later),
            Err(outcome) => outcome,
        }
    }

    fn served(&self) -> MutexGuard<'_, HashMap<NodeId, Option<QueuedUpdate>>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the node's pending update; `Err` if the caller need not wait.
    fn enqueue(
        &self,
        node: &Node,
        update: Update,
        now: Instant,
    ) -> Result<oneshot::Receiver<UpdateOutcome>, UpdateOutcome> {
        let mut served = self.served();
        let is_served = served.contains_key(&node.id);
        if !is_served && update.applied_to(node).is_none() {
            return Err(UpdateOutcome::Written);
        }
        let next = served.entry(node.id).or_default();
        let update = match next.take() {
            Some(older) => update.over(older.update),
            None => update,
        };
        let (asked, written) = oneshot::channel();
        let must_wait = !self.node_rates.wait(node.id, now).is_zero();
        *next = Some(QueuedUpdate { update, asked: (!must_wait).then_some(asked) });
        if !is_served {
            self.tasks.spawn(self.clone().serve(node.id));
        }
        if must_wait { Err(UpdateOutcome::Later) } else { Ok(written) }
    }

    /// Drops the updates of these nodes that wait: they have gone to another coordinator, and tell that one.
    pub(crate) fn forget(&self, nodes: &BTreeSet<NodeId>) {
        let mut served = self.served();
        for id in nodes {
            if let Some(next) = served.get_mut(id) {
                *next = None;
            }
        }
    }

    /// The next step for a node; after [`NextStep::Nothing`] its task ends.
    fn due(&self, id: NodeId, now: Instant, is_last: bool) -> NextStep {
        let mut served = self.served();
        let Some(mut next) = served.get_mut(&id).and_then(Option::take) else {
            served.remove(&id);
            return NextStep::Nothing;
        };
        match self.node_rates.take(id, now) {
            Err(wait) if !is_last => {
                next.asked = None;
                served.insert(id, Some(next));
                NextStep::Later(wait)
            }
            Ok(()) | Err(_) => NextStep::Now(Box::new(next)),
        }
    }

    /// Queues a failed update again, below a newer one.
    fn put_back(&self, id: NodeId, update: Update) {
        if let Some(next) = self.served().get_mut(&id) {
            let (update, asked) = match next.take() {
                Some(newer) => (newer.update.over(update), newer.asked),
                None => (update, None),
            };
            *next = Some(QueuedUpdate { update, asked });
        }
    }

    /// Writes a node's updates until there is none.
    async fn serve(self, id: NodeId) {
        loop {
            let is_last = self.stop.is_cancelled();
            let next = match self.due(id, Instant::now(), is_last) {
                NextStep::Nothing => return,
                NextStep::Later(wait) => {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.stop.cancelled() => {}
                    }
                    continue;
                }
                NextStep::Now(next) => *next,
            };
            let outcome = match self.write(id, &next.update).await {
                Ok(true) => UpdateOutcome::Written,
                Ok(false) => UpdateOutcome::Gone,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(node = id, error, "cannot store an update of a node");
                    UpdateOutcome::Failed
                }
            };
            match next.asked {
                // The caller may have disconnected.
                Some(asked) => {
                    let _ = asked.send(outcome);
                }
                None if outcome == UpdateOutcome::Failed && !is_last => {
                    self.put_back(id, next.update)
                }
                None => {}
            }
        }
    }

    /// Writes an update; false if the node no longer exists.
    async fn write(&self, id: NodeId, update: &Update) -> Result<bool, HubError> {
        let mut change = self.store.change_by_node(Actor::Device { id: Some(id) }).await?;
        let node = change.node_by_key(&update.node_key).await?.filter(|node| node.id == id);
        let Some(node) = node else { return Ok(false) };
        let Some(node) = update.applied_to(&node) else { return Ok(true) };
        change.update_node(&node).await?;
        // As it is stored: long claims are cut.
        let stored = change.node(id).await?;
        let revision = change.revision();
        change.is_of(id);
        change.commit().await?;
        match stored {
            Some(node) => self.hub.follow(node, revision).await?,
            None => self.hub.refresh().await?,
        }
        Ok(true)
    }
}
