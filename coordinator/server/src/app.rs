//! The state that handlers share: configuration, database, network and limits.

use std::sync::{Arc, atomic::AtomicU64};

use chassis::quota::Quota;
use control_protocol::key::{MachinePrivate, MachinePublic};
use coordinator_api::invitation::ServerUrl;
use coordinator_core::{model::Owner, time::Millis};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    config::Config,
    hub::{Hub, HubError},
    limits::{self, Caller, EvictionQueue, Origin},
    listener::Acme,
    metrics::Metrics,
    store::{Change, Store},
    updates::Updates,
};

/// Concurrent Noise handshakes.
const HANDSHAKES: usize = 16;
/// Concurrent database lookups of nodes that are not in memory.
const LOOKUPS: usize = 2;

/// The state that handlers share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) hub: Arc<Hub>,
    pub(crate) noise: Arc<MachinePrivate>,
    pub(crate) handshakes: Arc<Semaphore>,
    pub(crate) newcomers: EvictionQueue,
    pub(crate) strangers: EvictionQueue,
    pub(crate) channels: Quota<MachinePublic>,
    pub(crate) lookups: Arc<Semaphore>,
    pub(crate) updates: Updates,
    pub(crate) node_rates: limits::NodeRateLimit,
    pub(crate) metrics: Arc<Metrics>,
    /// Uses of invalid API keys that are not in the audit log yet.
    pub(crate) wrong_keys: Arc<AtomicU64>,
    pub(crate) waiting: limits::WaitingByOrigin,
    pub(crate) tries: limits::AttemptLimit,
    /// Uses of invalid API keys, by origin.
    pub(crate) key_tries: limits::AttemptLimit,
    pub(crate) registrations: limits::RegistrationQueue,
    pub(crate) bodies: limits::RequestBodies,
    /// Orders certificates, if ACME is set up.
    pub(crate) acme: Option<Arc<Acme>>,
    pub(crate) orders: limits::OrderLimit,
    /// Tasks that must complete before the coordinator exits.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the coordinator is to stop.
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn new(
        config: Config,
        store: Store,
        hub: Hub,
        noise: MachinePrivate,
        acme: Option<Arc<Acme>>,
        stop: CancellationToken,
    ) -> Self {
        let (hub, tasks) = (Arc::new(hub), TaskTracker::new());
        let node_rates = limits::NodeRateLimit::default();
        let updates = Updates::new(
            store.clone(),
            Arc::clone(&hub),
            tasks.clone(),
            stop.clone(),
            node_rates.clone(),
        );
        let bodies = limits::RequestBodies::new(config.body_time);
        Self {
            config: Arc::new(config),
            metrics: Arc::new(Metrics::new(store.metrics())),
            wrong_keys: Arc::default(),
            updates,
            node_rates,
            store,
            hub,
            noise: Arc::new(noise),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            newcomers: limits::newcomers(),
            strangers: limits::strangers(),
            channels: limits::channels(),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            waiting: limits::WaitingByOrigin::default(),
            tries: limits::AttemptLimit::default(),
            key_tries: limits::AttemptLimit::default(),
            registrations: limits::RegistrationQueue::default(),
            bodies,
            acme,
            orders: limits::OrderLimit::default(),
            tasks,
            stop,
        }
    }

    /// When the node key of a new node expires; never for a tagged node.
    pub(crate) fn expiry(&self, owner: &Owner, now: Millis) -> Option<Millis> {
        match owner {
            Owner::User(_) => self.config.node_key_life().map(|life| now.saturating_add(life)),
            Owner::Tags(_) => None,
        }
    }

    /// Commits a change, and updates the maps.
    pub(crate) async fn commit(&self, change: Change) -> Result<(), HubError> {
        change.commit().await?;
        self.hub.refresh().await
    }

    /// Runs `work` on a task of its own, to completion even if the caller is dropped.
    pub(crate) async fn carry_out<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let work = work.in_current_span();
        match self.tasks.spawn(work).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime shuts down, and with it the caller.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Whether the request came over plain HTTP, or `server_url` is plain HTTP.
    pub(crate) fn is_plain(&self, caller: &Caller) -> bool {
        let url = ServerUrl::parse(&self.config.settings.server_url());
        !caller.is_secure || url.map_or(true, |url| url.is_plain())
    }

    /// URL of the page for the waiting device with this ticket.
    pub(crate) fn auth_url(&self, ticket: &str) -> String {
        format!("{}/register/{ticket}", self.config.settings.server_url())
    }
}

/// The client of a Noise channel.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) app: App,
    /// Proved by the handshake.
    pub(crate) machine: MachinePublic,
    /// Its address, as the coordinator sees it.
    pub(crate) origin: Origin,
}

impl Peer {
    /// The machine key, if the machine has a node.
    pub(crate) fn node(&self) -> Option<MachinePublic> {
        self.app.hub.snapshot().machines.contains(&self.machine).then_some(self.machine)
    }
}
