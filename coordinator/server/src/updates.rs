//! What nodes say of themselves, on its way to the database.
//!
//! Each write costs the database a commit and everyone a new map, so it takes from the node's bucket ([`NodeRateLimit`]). A node
//! that says more than that is not refused: it is answered at once, and the newest that it said is written when it may be. One
//! update of each node waits at most. What waits is written when the coordinator stops, and lost if it crashes; our
//! agent reports anew whenever it connects.

use std::{
    collections::HashMap,
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

/// Endpoints of a node that are kept.
const ENDPOINTS_MAX: usize = 32;

/// What a node says of itself. What is `None` stays as it is.
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
    /// Merges this over an older update: what this one does not mention is taken from that.
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

    /// The node as it says it is; `None` if that is nothing new.
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

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpdateOutcome {
    /// It is stored, and everyone's maps show it.
    Written,
    /// It is written later, unless the node says something newer until then.
    Later,
    /// It was dropped: there is no such node any more.
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
    caused: NodeRateLimit,
    /// Those that a task writes now: of each node the newest, unless it is being written.
    served: Arc<Mutex<HashMap<NodeId, Option<QueuedUpdate>>>>,
}

/// The newest update, which is not written yet.
#[derive(Debug)]
struct QueuedUpdate {
    update: Update,
    /// Told what became of it, if somebody waits for that.
    asked: Option<oneshot::Sender<UpdateOutcome>>,
}

/// What is to be done for a node.
enum NextStep {
    Nothing,
    Later(Duration),
    Now(Box<QueuedUpdate>),
}

impl Updates {
    /// Starts without updates. They are written on `tasks`; those that wait when `stop` is cancelled are written then.
    pub(crate) fn new(
        store: Store,
        hub: Arc<Hub>,
        tasks: TaskTracker,
        stop: CancellationToken,
        caused: NodeRateLimit,
    ) -> Self {
        Self { store, hub, tasks, stop, caused, served: Arc::default() }
    }

    /// Writes what a node says of itself, if that is anything new, and goes on with it although the caller hangs up.
    pub(crate) async fn submit(&self, node: &Node, update: Update) -> UpdateOutcome {
        match self.enqueue(node, update, Instant::now()) {
            // Nobody answers any more if a newer update came, or if it must wait.
            Ok(written) => written.await.unwrap_or(UpdateOutcome::Later),
            Err(outcome) => outcome,
        }
    }

    fn served(&self) -> MutexGuard<'_, HashMap<NodeId, Option<QueuedUpdate>>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an update in the place of the node's older one; `Err` if nobody needs to wait for it.
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
        let must_wait = !self.caused.wait(node.id, now).is_zero();
        *next = Some(QueuedUpdate { update, asked: (!must_wait).then_some(asked) });
        if !is_served {
            self.tasks.spawn(self.clone().serve(node.id));
        }
        if must_wait { Err(UpdateOutcome::Later) } else { Ok(written) }
    }

    /// What to do for a node now; after [`NextStep::Nothing`] nobody serves it.
    fn due(&self, id: NodeId, now: Instant, is_last: bool) -> NextStep {
        let mut served = self.served();
        let Some(mut next) = served.get_mut(&id).and_then(Option::take) else {
            served.remove(&id);
            return NextStep::Nothing;
        };
        match self.caused.take(id, now) {
            Err(wait) if !is_last => {
                next.asked = None;
                served.insert(id, Some(next));
                NextStep::Later(wait)
            }
            Ok(()) | Err(_) => NextStep::Now(Box::new(next)),
        }
    }

    /// AttemptLimit again what could not be written and nobody waits for, unless there is something newer.
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
                    tracing::error!(
                        node = id,
                        error,
                        "what a node says of itself cannot be written"
                    );
                    UpdateOutcome::Failed
                }
            };
            match next.asked {
                // Whoever asked may have hung up.
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

    /// Writes an update; false if there is no such node any more.
    async fn write(&self, id: NodeId, update: &Update) -> Result<bool, HubError> {
        let mut change = self.store.change_by_node(Actor::Device { id: Some(id) }).await?;
        let node = change.node_by_key(&update.node_key).await?.filter(|node| node.id == id);
        let Some(node) = node else { return Ok(false) };
        let Some(node) = update.applied_to(&node) else { return Ok(true) };
        change.update_node(&node).await?;
        change.commit().await?;
        self.hub.refresh().await?;
        Ok(true)
    }
}
